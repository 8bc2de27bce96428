"""Rules: what a request shows decides its mode, before anybody is asked."""

from collections.abc import Callable
from dataclasses import dataclass

from reasoning_grpc.types import CompletionRequest, ResponseFormatKind, RoutingMode


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition, and the mode of the requests that meet it."""

    id: str
    applies: Callable[[CompletionRequest], bool]
    mode: RoutingMode
    reason: str
    yields_to: frozenset[RoutingMode] = frozenset()
    """Modes that a request may ask for in spite of the rule."""
    contradicts: frozenset[RoutingMode] = frozenset()
    """Modes that a request that meets the condition must not ask for."""
    contradiction: str = ""
    """Why not, for the field violation."""


def _has_tools(request: CompletionRequest) -> bool:
    return bool(request.tools)


def _has_format(request: CompletionRequest) -> bool:
    response_format = request.response_format
    return response_format is not None and response_format.kind is not ResponseFormatKind.TEXT


SHIPPED_RULES = (
    Rule(
        id="caller-tools",
        applies=_has_tools,
        mode=RoutingMode.PASSTHROUGH,
        reason="The request brings its own tools, which only the caller can run.",
        yields_to=frozenset({RoutingMode.ORCHESTRATION}),
        contradicts=frozenset({RoutingMode.REASONING}),
        contradiction="The reasoning agent cannot run the caller's own tools; leave out `tools`, or the mode.",
    ),
    Rule(
        id="response-format",
        applies=_has_format,
        mode=RoutingMode.PASSTHROUGH,
        reason="The request asks for a response format.",
        yields_to=frozenset({RoutingMode.REASONING, RoutingMode.ORCHESTRATION}),
    ),
)
