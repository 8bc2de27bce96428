"""Reads the scenarios: what is called, what the upstream answers, and what must come of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import yaml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Json = Mapping[str, Any]
T = TypeVar("T", bound="DataclassInstance")

SCENARIOS: Final = Path(__file__).parent / "scenarios"
DEFAULT_TOKEN: Final = "conformance-token"
UNARY: Final = " (Complete)"
"""Ends the name of the twin that a streamed scenario has with `complete_too`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a runner does; the words are those of the plan."""

    rpc: str
    address: str = "server"
    request: Json | None = None
    request_base64: str | None = None
    events: tuple[Json, ...] | None = None
    """For `Fold`."""
    token: str | None = DEFAULT_TOKEN
    metadata: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 60
    compression: str | None = None
    cancel_after_events: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedUpstream:
    """A model of the server, with an upstream of its own that answers as told."""

    entry: Json = field(default_factory=dict)
    """Further keys of `[models.NAME]`."""
    answers: tuple[Json, ...] = ()
    """One for each request, in their order: a one-line script of the fake upstream, with its arguments."""
    calls: int | None = None
    """Requests that must have come; as many as there are answers, unless told."""
    requests: tuple[Json, ...] = ()
    """What each of them must have been, in their order: `headers`, in lower case, and `body`; left out: anything."""
    disconnects: int = 0
    """Of them, how many the server must have given up."""
    protocol: str = "openai"
    """Of the fake upstream: litellm's prefix for it."""
    proxied: bool = False
    """Found through a LiteLLM proxy instead of the configuration."""
    refuses: bool = False
    """No upstream at all: its port refuses every connection."""

    @property
    def expected_calls(self) -> int:
        """Requests that must have come."""
        return len(self.answers) if self.calls is None else self.calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of a call; what is left out may be anything."""

    events: tuple[Json, ...] | None = None
    """Every event but heartbeats, in order, neighbouring deltas of a kind joined: {kind: fields}, or {} if unknown."""
    unknown_events: int = 0
    heartbeats: bool = False
    """Whether there must be at least one; otherwise there must be none."""
    response: Json | None = None
    folded: Json | None = None
    error: Json | None = None
    most_sent_bytes: int | None = None
    """What the client may have sent at the most, what its connection itself sends included; at "measured" alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One call, the world around it, and what must come of it."""

    name: str
    title: str
    call: Call
    upstreams: Mapping[str, ScriptedUpstream] = field(default_factory=dict)
    """By the name of the model; models of different scenarios have different names."""
    expect: Expected = field(default_factory=Expected)
    complete_too: bool = False
    """Whether the same request, unary, must be answered with the fold of these events."""


class BadScenario(ValueError):
    """A scenario cannot be read; the message says which, and why."""


def scenarios(folder: Path = SCENARIOS) -> list[Scenario]:
    """All scenarios of a folder, in the order of its files, twins included. Raises BadScenario."""
    found: list[Scenario] = []
    for path in sorted(folder.glob("*.yaml")):
        for raw in yaml.load(path.read_text("utf-8"), _Loader):
            found += _with_twin(_scenario(raw))
    names = [each.name for each in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadScenario(f"several scenarios are called {sorted(twice)}")
    return found


def _scenario(raw: Any) -> Scenario:
    name = raw.get("name", "?") if isinstance(raw, dict) else "?"
    try:
        return _read(raw)
    except (TypeError, KeyError, ValueError, AttributeError) as exc:
        raise BadScenario(f"scenario {name}: {exc}") from exc


def _read(raw: Json) -> Scenario:
    upstreams = {name: _made(ScriptedUpstream, told) for name, told in raw.get("upstreams", {}).items()}
    parts = {"call": _made(Call, raw["call"]), "expect": _made(Expected, raw["expect"]), "upstreams": upstreams}
    return _made(Scenario, {**raw, **parts})


def _made(kind: type[T], values: Json) -> T:
    """One of these dataclasses; lists become tuples."""
    known = {each.name for each in fields(kind)}
    if strange := values.keys() - known:
        raise ValueError(f"{kind.__name__} has no {sorted(strange)}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _with_twin(scenario: Scenario) -> Iterator[Scenario]:
    """The scenario, and the same request by `Complete`, if that is wanted."""
    yield scenario
    if scenario.complete_too:
        yield _twin(scenario)


def _twin(scenario: Scenario) -> Scenario:
    """The same request by `Complete`, with models of its own."""
    renamed = {name: f"{name}-unary" for name in scenario.upstreams}
    request = _renamed((scenario.call.request or {}).get("request", {}), renamed)
    upstreams = {
        renamed[name]: replace(told, entry=_renamed(told.entry, renamed), requests=_renamed(told.requests, renamed))
        for name, told in scenario.upstreams.items()
    }
    return replace(
        scenario,
        name=scenario.name + UNARY,
        call=replace(scenario.call, rpc="Complete", request=request),
        upstreams=upstreams,
        expect=_unary(scenario.expect, renamed),
        complete_too=False,
    )


def _unary(expected: Expected, renamed: Mapping[str, str]) -> Expected:
    """What must come of the same request by `Complete`."""
    response = None if expected.error is not None else _renamed(expected.folded or {}, renamed)
    error = _renamed(expected.error, renamed)
    return Expected(response=response, error=error, most_sent_bytes=expected.most_sent_bytes)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The value with every text that is one of these names replaced."""
    if isinstance(value, dict):
        return {key: _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


class _Loader(yaml.SafeLoader):
    """YAML with `!repeat [text or list, times]`, for what is too long to write out."""


def _repeat(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.SequenceNode):
        raise BadScenario("!repeat takes [text or list, times]")
    repeated, times = loader.construct_sequence(node, deep=True)
    return repeated * int(times)


_Loader.add_constructor("!repeat", _repeat)
