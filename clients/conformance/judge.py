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
_NOTHING_READ: Final[Json] = {
    "reason": "",
    "domain": "",
    "metadata": {},
    "request_id": "",
    "retry_after_seconds": None,
    "violations": [],
    "interruption": None,
    "route_decision": None,
}
"""What an error says of itself when gRPC alone ended the call."""
_ERROR_KEYS: Final = frozenset({"code", "message", *_NOTHING_READ})
_ONES_OWN: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED"})
"""Codes of what the client itself may have done: they need no reason."""


def complaints(scenario: Scenario, result: Json | None) -> list[str]:
    """One line for each thing that is wrong with a result; none: it conforms."""
    if result is None:
        return ["there is no result"]
    if "failure" in result:
        return [f"the runner failed: {result['failure']}"]
    if (keys := result.keys() - {"name"}) != (expected := _keys(scenario)):
        return [f"the result has {sorted(keys)}, expected {sorted(expected)}; its error: {result.get('error')}"]
    try:
        return list(_complaints(scenario, result))
    except ParseError as exc:
        return [f"what was written is not ProtoJSON: {exc}"]
    except (TypeError, AttributeError, ValueError) as exc:
        return [f"what was written is no result: {exc}"]


def _keys(scenario: Scenario) -> set[str]:
    """What the result of a scenario has, beside its name."""
    failed = scenario.expect.error is not None
    match scenario.call.rpc:
        case "StreamComplete":
            return {"events", "unknown_events", "error" if failed else "folded"}
        case "Fold":
            return {"folded"}
    return {"error" if failed else "response"}


def _complaints(scenario: Scenario, result: Json) -> Iterator[str]:
    expected = scenario.expect
    if scenario.call.rpc == "StreamComplete":
        yield from _of_stream(expected, result)
    elif scenario.call.rpc == "Fold":
        yield from _of_fold(scenario, result)
    elif expected.error is None:
        yield from _of_response(scenario, result)
    if expected.error is not None:
        yield from _of_error(expected.error, result["error"])


def _of_response(scenario: Scenario, result: Json) -> Iterator[str]:
    response = ParseDict(result["response"], _RESPONSES[scenario.call.rpc]())
    yield from differences(scenario.expect.response or {}, as_json(response), "response")


def _of_stream(expected: Expected, result: Json) -> Iterator[str]:
    events = _parsed(result["events"])
    yield from _broken_rules(events, ended_well=expected.error is None)
    shown = [event for event in events if event.WhichOneof("kind") != "heartbeat"]
    if expected.heartbeats is (len(shown) == len(events)):
        yield f"heartbeats: expected {'some' if expected.heartbeats else 'none'}, are {len(events) - len(shown)}"
    if expected.events is not None:
        yield from _of_events(expected.events, joined(shown))
    counts = (result["unknown_events"], sum(event.WhichOneof("kind") is None for event in events))
    if counts != (expected.unknown_events, expected.unknown_events):
        yield f"unknown_events: expected {expected.unknown_events}, is {counts[0]}; {counts[1]} are without a kind"
    if expected.error is None:
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


def _of_error(expected: Json, error: Json) -> Iterator[str]:
    if error.keys() != _ERROR_KEYS:
        yield f"error: its keys are {sorted(error)}, expected {sorted(_ERROR_KEYS)}"
        return
    if not error["reason"] and error["code"] in _ONES_OWN:
        yield from (f"error: has {key} without a reason" for key, none in _NOTHING_READ.items() if error[key] != none)
    elif error["domain"] != "reasoning-grpc" or not error["request_id"]:
        yield f"error: domain {error['domain']!r}, request id {error['request_id']!r}"
    messages = {
        "interruption": _read(error["interruption"], interruption_pb2.Interruption()),
        "route_decision": _read(error["route_decision"], routing_pb2.RouteDecision()),
    }
    yield from differences(expected, {**error, **messages}, "error")


def _read(told: Json | None, message: Message) -> Json | None:
    return None if told is None else as_json(ParseDict(dict(told), message))


def _broken_rules(events: Sequence[Event], *, ended_well: bool) -> Iterator[str]:
    """Yields a line for each rule of every stream that this one breaks.

    Positions have no gap, and a heartbeat repeats the one before it; `started` is first and has the response id;
    `completed` is last, and there only when the stream ended well.
    """
    if [event.sequence for event in events] != list(_positions(events)):
        yield f"sequences: {[event.sequence for event in events]}"
    kinds = [event.WhichOneof("kind") for event in events]
    if kinds and kinds[0] != "started":
        yield "`started` is not the first event"
    elif kinds and not events[0].started.response_id:
        yield "`started` has no response id"
    if ended_well and kinds[-1:] != ["completed"]:
        yield "`completed` is not the last event"
    if not ended_well and "completed" in kinds:
        yield "there is a `completed` event and an error"


def _positions(events: Iterable[Event]) -> Iterator[int]:
    """Returns the `sequence` that each event of a stream must have."""
    position = -1
    for event in events:
        position += event.WhichOneof("kind") != "heartbeat"
        yield position


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
