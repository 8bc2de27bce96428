"""Reads the scenarios: the call of a client, the answers of the upstreams, and the expected outcome."""

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
TWIN_SUFFIX: Final = " (Complete)"
"""The name of a twin is the name of its streamed scenario and this suffix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The call that a runner makes. The fields have the names that the plan uses."""

    rpc: str
    address: str = "server"
    request: Json | None = None
    request_base64: str | None = None
    events: tuple[Json, ...] | None = None
    """The events to fold when `rpc` is `Fold`."""
    token: str | None = DEFAULT_TOKEN
    metadata: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 60
    compression: str | None = None
    cancel_after_events: int | None = None
    answer_of: str | None = None
    """The name of an earlier scenario, whose answer the runner inserts before the last message of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedUpstream:
    """A model of the server, and the script of the upstream that serves this model alone."""

    entry: Json = field(default_factory=dict)
    """Further keys of the table `[models.NAME]` in the configuration."""
    answers: tuple[Json, ...] = ()
    """The answers to the requests, in their order. Each is the name of a script of the fake upstream, and arguments."""
    calls: int | None = None
    """The number of requests that the upstream must receive. None means one for each answer."""
    requests: tuple[Json, ...] = ()
    """The expected requests, in their order: `headers`, by lower-case names, and `body`. Both may be left out."""
    disconnects: int = 0
    """The number of requests that the server must abandon."""
    protocol: str = "openai"
    """The protocol that the fake upstream speaks, as the prefix that litellm has for it."""
    is_proxied: bool = False
    """Whether the server finds the model through a LiteLLM proxy instead of the configuration."""
    refuses_connections: bool = False
    """Whether there is no upstream: the port of the model refuses every connection."""

    @property
    def expected_calls(self) -> int:
        """Returns how many requests the upstream must receive."""
        return len(self.answers) if self.calls is None else self.calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The expected outcome of a call. Anything that is left out here is not checked."""

    events: tuple[Json, ...] | None = None
    """All events in order, as {kind: fields}, or {} for an unknown kind.

    Heartbeats are left out, and neighbouring deltas of one kind are joined.
    """
    unknown_events: int = 0
    heartbeats: bool = False
    """Whether the stream must have at least one heartbeat; otherwise it must have none."""
    response: Json | None = None
    folded: Json | None = None
    error: Json | None = None
    max_sent_bytes: int | None = None
    """The largest number of bytes that the client may send, frames of its connection included.

    Only calls of the address "measured" can have it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One call, the upstreams behind it, and its expected outcome."""

    name: str
    title: str
    call: Call
    upstreams: Mapping[str, ScriptedUpstream] = field(default_factory=dict)
    """The upstreams by the names of their models.

    Scenarios share no model but the classifier, and that of a paused run.
    """
    expect: Expected = field(default_factory=Expected)
    has_twin: bool = False
    """Whether the same request is also sent to `Complete`, which must answer with the fold of the events."""


class BadScenario(ValueError):
    """A scenario cannot be read; the message says which one, and why."""


def read_scenarios(folder: Path = SCENARIOS) -> list[Scenario]:
    """Returns all scenarios of a folder and their twins, in the order of the files. Raises BadScenario."""
    found: list[Scenario] = []
    for path in sorted(folder.glob("*.yaml")):
        for raw in yaml.load(path.read_text("utf-8"), _Loader):
            found += _add_twin(_parse(raw))
    names = [scenario.name for scenario in found]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise BadScenario(f"several scenarios have the same name: {sorted(duplicates)}")
    return found


def _parse(raw: Any) -> Scenario:
    """Builds a scenario from its YAML. Raises BadScenario."""
    name = raw.get("name", "?") if isinstance(raw, dict) else "?"
    try:
        upstreams = {name: _build(ScriptedUpstream, script) for name, script in raw.get("upstreams", {}).items()}
        parts = {"call": _build(Call, raw["call"]), "expect": _build(Expected, raw["expect"]), "upstreams": upstreams}
        return _build(Scenario, {**raw, **parts})
    except (TypeError, KeyError, ValueError, AttributeError) as exc:
        raise BadScenario(f"scenario {name}: {exc}") from exc


def _build(kind: type[T], values: Json) -> T:
    """Builds one of the dataclasses above, with tuples in place of lists."""
    known = {each.name for each in fields(kind)}
    if unknown := values.keys() - known:
        raise ValueError(f"{kind.__name__} has no {sorted(unknown)}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def _add_twin(scenario: Scenario) -> Iterator[Scenario]:
    """Yields the scenario, and its twin if it has one."""
    yield scenario
    if scenario.has_twin:
        yield _create_twin(scenario)


def _create_twin(scenario: Scenario) -> Scenario:
    """Creates the scenario that sends the same request to `Complete`. It has models of its own."""
    renamed = {name: f"{name}-unary" for name in scenario.upstreams}
    request = _rename((scenario.call.request or {}).get("request", {}), renamed)
    upstreams = {
        renamed[name]: replace(script, entry=_rename(script.entry, renamed), requests=_rename(script.requests, renamed))
        for name, script in scenario.upstreams.items()
    }
    return replace(
        scenario,
        name=f"{scenario.name}{TWIN_SUFFIX}",
        call=replace(scenario.call, rpc="Complete", request=request, answer_of=_name_twin(scenario.call.answer_of)),
        upstreams=upstreams,
        expect=_expect_in_twin(scenario.expect, renamed),
        has_twin=False,
    )


def _name_twin(name: str | None) -> str | None:
    return None if name is None else f"{name}{TWIN_SUFFIX}"


def _expect_in_twin(expected: Expected, renamed: Mapping[str, str]) -> Expected:
    """Returns the expected outcome of the same request when it is sent to `Complete`."""
    response = None if expected.error is not None else _rename(expected.folded or {}, renamed)
    error = _rename(expected.error, renamed)
    return Expected(response=response, error=error, max_sent_bytes=expected.max_sent_bytes)


def _rename(value: Any, names: Mapping[str, str]) -> Any:
    """Returns the value with every text that is one of these names replaced."""
    if isinstance(value, dict):
        return {key: _rename(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rename(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


class _Loader(yaml.SafeLoader):
    """Loads YAML, with the tag `!repeat [text or list, times]` for values that are too long to write out."""


def _repeat(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.SequenceNode):
        raise BadScenario("!repeat takes [text or list, times]")
    value, times = loader.construct_sequence(node, deep=True)
    return value * int(times)


_Loader.add_constructor("!repeat", _repeat)
