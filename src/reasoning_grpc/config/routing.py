"""The entries that say how requests are routed: `[routes.NAME]`, `[[rules]]` and `[classifier]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from reasoning_grpc.config.entries import TableReader
from reasoning_grpc.domain import RoutingMode, RoutingPreference

E = TypeVar("E", bound=StrEnum)

ROUTE_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_RULE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODES: Final = (RoutingMode.PASSTHROUGH, RoutingMode.REASONING)
"""What a route may run. AUTO is a question, not a path, and no build serves ORCHESTRATION."""
_BUILT_IN: Final = frozenset(mode.value.lower() for mode in RoutingMode)
_MOST: Final = 2**31 - 1


class PartKind(StrEnum):
    """A kind of part that a rule can look for."""

    IMAGE = "IMAGE"
    AUDIO = "AUDIO"
    DOCUMENT = "DOCUMENT"
    TOOL_RESULT = "TOOL_RESULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    """A path by a name of its own: `[routes.NAME]`."""

    name: str
    mode: RoutingMode
    description: str
    """Which requests it is for: what the classifier reads."""
    model: str = ""
    """Who answers instead of the model that was asked for; empty: nobody."""
    preferred_models: Mapping[RoutingPreference, str] = field(default_factory=dict)
    """The same for requests that prefer something; those not here take `model`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCondition:
    """What a request must show, all of it; what is empty or None does not matter."""

    models: tuple[str, ...] = ()
    """Patterns such as "gpt-*" for the model that the request names."""
    callers: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Values of the call's metadata, by key in lower case."""
    parts: frozenset[PartKind] = frozenset()
    """Any of them in any message."""
    has_tools: bool | None = None
    has_response_format: bool | None = None
    min_characters: int | None = None
    """Of text in all messages."""
    max_characters: int | None = None
    min_messages: int | None = None
    max_messages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    """What requests of a kind take, whatever they ask for: one of `[[rules]]`."""

    id: str
    when: RuleCondition
    route: str
    """A route's name; the built-in ones are named after their mode, and "auto" asks the classifier."""
    model: str = ""
    preference: RoutingPreference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierEntry:
    """Who decides for requests of mode AUTO, and how: `[classifier]`."""

    model: str = ""
    """Empty: the server's default model."""
    prompt_file: Path | None = None
    """What it is told; None: the prompt in the package."""
    timeout_seconds: float | None = None
    """None: 2 s, or 15 s when the embedded model classifies."""
    window_messages: int = 8
    """Of the end of a conversation, so many messages are shown to it."""
    window_characters: int = 6000
    cache_entries: int = 1000
    """0: nothing is remembered."""
    cache_ttl_seconds: float = 300.0


def route_entry(name: str, table: object, problems: list[str]) -> RouteEntry:
    """The entry `[routes.NAME]`."""
    read = TableReader(f"routes.{name}", table, problems)
    if not ROUTE_NAME.fullmatch(name):
        read.problem("", "a name is 1 to 64 of a-z, 0-9, _ and -, a letter first")
    mode = _choice(read, "mode", RoutingMode)
    if mode is not None and mode not in _MODES:
        read.problem("mode", f"must be one of {_names(_MODES)}")
    if name in _BUILT_IN:
        if name not in _names(_MODES).split(", "):
            read.problem("", "is the name of a mode that no route can have")
        elif mode is not None and mode.value.lower() != name:
            read.problem("mode", f"the route of this name is that of the mode {name}")
        mode = RoutingMode(name.upper())
    elif mode is None:
        read.problem("mode", "is missing")
    models = read.table("models")
    entry = RouteEntry(
        name=name,
        mode=mode or RoutingMode.PASSTHROUGH,
        description=read.text("description", required=name not in _BUILT_IN),
        model=read.text("model"),
        preferred_models={
            preference: model for preference in RoutingPreference if (model := models.text(preference.value.lower()))
        },
    )
    models.finish()
    read.finish()
    return entry


def rule_entries(tables: object, problems: list[str]) -> tuple[RuleEntry, ...]:
    """The entries `[[rules]]`, in their order."""
    if not isinstance(tables, list):
        problems.append("rules: must be a list of tables, [[rules]]")
        return ()
    rules = [_rule_entry(index, table, problems) for index, table in enumerate(tables)]
    seen: set[str] = set()
    for rule in rules:
        if rule.id and rule.id in seen:
            problems.append(f"rules: {rule.id!r} is there twice")
        seen.add(rule.id)
    return tuple(rules)


def classifier_entry(table: object, problems: list[str]) -> ClassifierEntry:
    """The entry `[classifier]`."""
    read = TableReader("classifier", table, problems)
    default = ClassifierEntry()
    prompt_file = read.text("prompt_file")
    ttl = read.number("cache_ttl_seconds", 0, 86_400)
    cache_entries = read.number("cache_entries", 0, 1_000_000)
    entry = ClassifierEntry(
        model=read.text("model"),
        prompt_file=Path(prompt_file) if prompt_file else None,
        timeout_seconds=read.number("timeout_seconds", 0.001, 600),
        window_messages=read.whole("window_messages", 1000) or default.window_messages,
        window_characters=read.whole("window_characters", 1_000_000) or default.window_characters,
        cache_entries=default.cache_entries if cache_entries is None else int(cache_entries),
        cache_ttl_seconds=default.cache_ttl_seconds if ttl is None else ttl,
    )
    read.finish()
    return entry


def _rule_entry(index: int, table: object, problems: list[str]) -> RuleEntry:
    shown = table.get("id") if isinstance(table, dict) else None
    read = TableReader(f"rules.{shown if isinstance(shown, str) and shown else index}", table, problems)
    rule_id = read.text("id", required=True)
    if rule_id and not _RULE_ID.fullmatch(rule_id):
        read.problem("id", "is 1 to 64 of letters, digits and . _ -, a letter or digit first")
    when, then = read.table("when"), read.table("then")
    entry = RuleEntry(
        id=rule_id,
        when=_condition(when),
        route=then.text("route", required=True),
        model=then.text("model"),
        preference=_choice(then, "preference", RoutingPreference),
    )
    for part in (when, then, read):
        part.finish()
    return entry


def _condition(read: TableReader) -> RuleCondition:
    condition = RuleCondition(
        models=read.texts("models") or (),
        callers=frozenset(read.texts("callers") or ()),
        labels=read.strings("labels"),
        metadata={key.lower(): value for key, value in read.strings("metadata").items()},
        parts=_part_kinds(read),
        has_tools=read.truth("has_tools"),
        has_response_format=read.truth("has_response_format"),
        min_characters=read.whole("min_characters", _MOST),
        max_characters=read.whole("max_characters", _MOST),
        min_messages=read.whole("min_messages", _MOST),
        max_messages=read.whole("max_messages", _MOST),
    )
    for what, least, most in (
        ("characters", condition.min_characters, condition.max_characters),
        ("messages", condition.min_messages, condition.max_messages),
    ):
        if least is not None and most is not None and least > most:
            read.problem(f"max_{what}", f"is less than min_{what}")
    if condition == RuleCondition():
        read.problem("", "is missing; a rule for all requests is the default mode")
    return condition


def _part_kinds(read: TableReader) -> frozenset[PartKind]:
    names = read.texts("parts") or ()
    known = {kind.value.lower(): kind for kind in PartKind}
    for name in names:
        if name not in known:
            read.problem("parts", f"{name!r} is none of {', '.join(known)}")
    return frozenset(known[name] for name in names if name in known)


def _choice(read: TableReader, key: str, choices: type[E]) -> E | None:
    value: Any = read.text(key)
    known = {member.value.lower(): member for member in choices}
    if value and value not in known:
        read.problem(key, f"must be one of {', '.join(known)}")
    return known.get(value)


def _names(modes: tuple[RoutingMode, ...]) -> str:
    return ", ".join(mode.value.lower() for mode in modes)
