"""Rules: conditions on a request that decide its route before a classifier is asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from reasoning_grpc.config import PartKind, RuleCondition, RuleEntry
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    Media,
    Message,
    ResponseFormatKind,
    RoutingMode,
    RoutingPreference,
    Text,
    ToolResult,
)

_PART_KINDS: Final = {"image": PartKind.IMAGE, "audio": PartKind.AUDIO}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition, and the route of the requests that meet it."""

    id: str
    applies: Callable[[CompletionRequest, CallContext], bool]
    route: str
    """The name of a route, or "auto", which leaves the route to the classifier."""
    reason: str
    model: str = ""
    """The model that answers, whatever model the request names. Empty means the model of the request."""
    preference: RoutingPreference | None = None
    """Replaces the preference of the request."""
    yields_to: frozenset[RoutingMode] = frozenset()
    """Modes that a request may choose in spite of the rule."""
    yields_to_routes: bool = False
    """Whether a request may choose a route by its name in spite of the rule."""


def build_rule(entry: RuleEntry) -> Rule:
    """Returns the rule of a configuration entry. It yields to nothing: it overrides what requests choose."""
    return Rule(
        id=entry.id,
        applies=lambda request, context: _meets(entry.when, request, context),
        route=entry.route,
        reason="A rule of the server's operator decides.",
        model=entry.model,
        preference=entry.preference,
    )


def has_response_format(request: CompletionRequest) -> bool:
    """Returns whether the answer must be JSON."""
    response_format = request.response_format
    return response_format is not None and response_format.kind is not ResponseFormatKind.TEXT


BUILT_IN_RULES: Final = (
    Rule(
        id="caller-tools",
        applies=lambda request, _context: bool(request.tools),
        route="passthrough",
        reason="The request brings its own tools, which only the caller can run.",
        yields_to=frozenset({RoutingMode.REASONING, RoutingMode.ORCHESTRATION}),
        yields_to_routes=True,
    ),
    Rule(
        id="response-format",
        applies=lambda request, _context: has_response_format(request),
        route="passthrough",
        reason="The request asks for a response format.",
        yields_to=frozenset({RoutingMode.REASONING, RoutingMode.ORCHESTRATION}),
        yields_to_routes=True,
    ),
)
"""The built-in rules, which are tried after those of the configuration."""


def _meets(when: RuleCondition, request: CompletionRequest, context: CallContext) -> bool:
    characters, messages = None, len(request.messages)
    if when.min_characters is not None or when.max_characters is not None:
        characters = sum(len(text) for message in request.messages for text in _texts(message))
    return (
        (not when.models or any(fnmatchcase(request.model, pattern) for pattern in when.models))
        and (not when.callers or context.caller.name in when.callers)
        and when.labels.items() <= dict(request.labels).items()
        and when.metadata.items() <= dict(context.metadata).items()
        and (not when.parts or not when.parts.isdisjoint(_kinds(request)))
        and when.has_tools in {None, bool(request.tools)}
        and when.has_response_format in {None, has_response_format(request)}
        and _is_within(characters, when.min_characters, when.max_characters)
        and _is_within(messages, when.min_messages, when.max_messages)
    )


def _is_within(value: int | None, least: int | None, most: int | None) -> bool:
    return value is None or ((least is None or value >= least) and (most is None or value <= most))


def _texts(message: Message) -> Iterator[str]:
    return (part.content.text for part in message.content if isinstance(part.content, Text))


def _kinds(request: CompletionRequest) -> Iterator[PartKind]:
    for message in request.messages:
        for part in message.content:
            match part.content:
                case Media(mime_type=mime_type):
                    yield _PART_KINDS.get(mime_type.partition("/")[0], PartKind.DOCUMENT)
                case ToolResult():
                    yield PartKind.TOOL_RESULT
                case _:
                    pass
