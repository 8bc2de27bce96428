"""What is wrong with a runner's result: against the scenario, and against the rules that every stream keeps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from clients.conformance.matching import as_json, differences
from clients.conformance.scenario import Expected, Json, Scenario
from reasoning_grpc.client import Folder, IncompleteStream
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, interruption_pb2, models_pb2, routing_pb2

Event = events_pb2.StreamCompleteResponse

_RESPONSES: Final[Mapping[str, type[Message]]] = {
    "Complete": completion_pb2.CompleteResponse,
    "Classify": classification_pb2.ClassifyResponse,
    "ListModels": models_pb2.ListModelsResponse,
}
_RESULT_KEYS: Final = frozenset({"name", "response", "events", "unknown_events", "folded", "error", "failure"})
_ERROR_KEYS: Final = frozenset(
    {
        "code",
        "message",
        "reason",
        "domain",
        "metadata",
        "request_id",
        "retry_after_seconds",
        "violations",
        "interruption",
        "route",
    }
)
_ONES_OWN: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED"})
"""Codes of what the client itself may have done: they need no reason."""


def complaints(scenario: Scenario, result: Json | None) -> list[str]:
    """One line for each thing that is wrong with a result; none: it conforms."""
    if result is None:
        return ["there is no result"]
    if "failure" in result:
        return [f"the runner failed: {result['failure']}"]
    if strange := result.keys() - _RESULT_KEYS:
        return [f"the result has unknown keys: {sorted(strange)}"]
    try:
        return list(_complaints(scenario, result))
    except ParseError as exc:
        return [f"what was written is not ProtoJSON: {exc}"]


def _complaints(scenario: Scenario, result: Json) -> Iterator[str]:
    expected = scenario.expect
    if scenario.call.rpc == "StreamComplete":
        yield from _of_stream(expected, result)
    elif scenario.call.rpc == "Fold":
        yield from _of_fold(scenario, result)
    else:
        yield from _of_response(scenario, result)
    yield from _of_error(expected.error, result.get("error"))


def _of_response(scenario: Scenario, result: Json) -> Iterator[str]:
    if scenario.expect.error is not None:
        if "response" in result:
            yield "there is a response beside the error"
        return
    if "response" not in result:
        yield "there is no response"
        return
    response = ParseDict(result["response"], _RESPONSES[scenario.call.rpc]())
    yield from differences(scenario.expect.response or {}, as_json(response), "response")


def _of_stream(expected: Expected, result: Json) -> Iterator[str]:
    events = _parsed(result.get("events", ()))
    yield from _broken_rules(events, ended_well="error" not in result)
    shown = [event for event in events if event.WhichOneof("kind") != "heartbeat"]
    if expected.heartbeats and len(shown) == len(events):
        yield "there is no heartbeat"
    if expected.events is not None:
        yield from _of_events(expected.events, joined(shown))
    if result.get("unknown_events") != expected.unknown_events:
        yield f"unknown_events: expected {expected.unknown_events}, is {result.get('unknown_events')}"
    if "error" in result:
        if "folded" in result:
            yield "a stream that ended with an error was folded"
        return
    yield from _of_folded(expected.folded, events, result)


def _of_fold(scenario: Scenario, result: Json) -> Iterator[str]:
    events = _parsed(scenario.call.events or ())
    yield from _of_folded(scenario.expect.folded, events, result)


def _of_folded(expected: Json | None, events: Sequence[Event], result: Json) -> Iterator[str]:
    """The client's fold must be ours, to the last field, and be as expected."""
    try:
        ours = _folded(events)
    except IncompleteStream as exc:
        yield str(exc)
        return
    if "folded" not in result:
        yield "nothing was folded"
        return
    theirs = ParseDict(result["folded"], completion_pb2.CompleteResponse())
    if theirs != ours:
        found = list(differences(as_json(ours), as_json(theirs), "folded"))
        yield from found or [f"folded: has more than it should: {theirs}"]
    yield from differences(expected or {}, as_json(theirs), "folded")


def _of_events(expected: Sequence[Json], events: Sequence[Event]) -> Iterator[str]:
    kinds = [event.WhichOneof("kind") for event in events]
    wanted = [next(iter(each), None) for each in expected]
    if kinds != wanted:
        yield f"events: expected {wanted}, are {kinds}"
        return
    for index, (each, event) in enumerate(zip(expected, events, strict=True)):
        found = as_json(event)
        for kind, values in each.items():
            told = dict(values or {})
            around = {key: told.pop(key) for key in ("step", "call") if key in told}
            yield from differences({**around, kind: told}, found, f"events[{index}]")


def _of_error(expected: Json | None, error: Json | None) -> Iterator[str]:
    if error is None or expected is None:
        if error is not expected:
            yield f"error: expected {expected}, is {error}"
        return
    if error.keys() != _ERROR_KEYS:
        yield f"error: its keys are {sorted(error)}, expected {sorted(_ERROR_KEYS)}"
        return
    if error["code"] not in _ONES_OWN and (error["domain"], bool(error["request_id"])) != ("reasoning-grpc", True):
        yield f"error: domain {error['domain']!r}, request id {error['request_id']!r}"
    read = {**error, "interruption": None, "route": None}
    if error["interruption"] is not None:
        read["interruption"] = as_json(ParseDict(error["interruption"], interruption_pb2.Interruption()))
    if error["route"] is not None:
        read["route"] = as_json(ParseDict(error["route"], routing_pb2.RouteDecision()))
    yield from differences(expected, read, "error")


def _broken_rules(events: Sequence[Event], *, ended_well: bool) -> Iterator[str]:
    """What every stream keeps: gapless, one id, `started` first, `completed` last and only when it ended well."""
    if [event.sequence for event in events] != list(range(len(events))):
        yield f"sequences: {[event.sequence for event in events]}"
    if len({event.response_id for event in events}) > 1:
        yield "the response id changes"
    kinds = [event.WhichOneof("kind") for event in events]
    if kinds and kinds.index("started") != 0:
        yield "`started` is not the first event"
    if ended_well and kinds[-1:] != ["completed"]:
        yield "`completed` is not the last event"
    if not ended_well and "completed" in kinds:
        yield "there is a `completed` event and an error"


def joined(events: Iterable[Event]) -> list[Event]:
    """The events, with neighbouring deltas of one kind joined: what arrives together depends on the network."""
    found: list[Event] = []
    for event in events:
        if found and _joins(found[-1], event):
            _join(found[-1], event)
        else:
            copied = Event()
            copied.CopyFrom(event)
            found.append(copied)
    return found


def _joins(last: Event, event: Event) -> bool:
    if (last.step, last.call, last.WhichOneof("kind")) != (event.step, event.call, event.WhichOneof("kind")):
        return False
    match event.WhichOneof("kind"):
        case "content_delta":
            return last.content_delta.refusal == event.content_delta.refusal and not last.content_delta.signature
        case "reasoning_delta":
            redacted = (last.reasoning_delta.redacted, event.reasoning_delta.redacted)
            return not any(redacted) and not last.reasoning_delta.signature
        case "tool_call_delta":
            return last.tool_call_delta.call_id == event.tool_call_delta.call_id
    return False


def _join(last: Event, event: Event) -> None:
    match event.WhichOneof("kind"):
        case "content_delta":
            last.content_delta.text += event.content_delta.text
            last.content_delta.logprobs.extend(event.content_delta.logprobs)
            last.content_delta.signature = event.content_delta.signature
        case "reasoning_delta":
            last.reasoning_delta.text += event.reasoning_delta.text
            last.reasoning_delta.signature = event.reasoning_delta.signature
        case _:
            last.tool_call_delta.arguments += event.tool_call_delta.arguments


def _parsed(events: Iterable[Any]) -> list[Event]:
    return [ParseDict(event, Event()) for event in events]


def _folded(events: Sequence[Event]) -> completion_pb2.CompleteResponse:
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()
