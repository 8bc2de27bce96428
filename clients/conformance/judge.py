"""Finds the problems in the result of a runner: it must match its scenario, and keep the rules of every stream."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from clients.conformance.matching import convert_to_json, find_differences
from clients.conformance.scenario import Expected, Json, Scenario
from reasoning_grpc.client import Folder, IncompleteStream
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, interruption_pb2, models_pb2, routing_pb2

Event = events_pb2.StreamCompleteResponse

_RESPONSES: Final[Mapping[str, type[Message]]] = {
    "Complete": completion_pb2.CompleteResponse,
    "Classify": classification_pb2.ClassifyResponse,
    "ListModels": models_pb2.ListModelsResponse,
}
_NO_DETAILS: Final[Json] = {
    "reason": "",
    "domain": "",
    "metadata": {},
    "request_id": "",
    "retry_after_seconds": None,
    "violations": [],
    "interruption": None,
    "route_decision": None,
}
"""The details of an error when gRPC itself ended the call."""
_ERROR_KEYS: Final = frozenset({"code", "message", *_NO_DETAILS})
_CODES_OF_CLIENTS: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED"})
"""The codes with which a client itself may end a call. They need no reason."""


def find_problems(scenario: Scenario, result: Json | None) -> list[str]:
    """Returns one line for each problem of a result. A result without problems conforms."""
    if result is None:
        return ["there is no result"]
    if "failure" in result:
        return [f"the runner failed: {result['failure']}"]
    if (keys := result.keys() - {"name"}) != (expected := _list_keys(scenario)):
        return [f"the result has {sorted(keys)}, expected {sorted(expected)}; its error: {result.get('error')}"]
    try:
        return list(_check_result(scenario, result))
    except ParseError as exc:
        return [f"the result is not ProtoJSON: {exc}"]
    except (TypeError, AttributeError, ValueError) as exc:
        return [f"the result is malformed: {exc}"]


def _list_keys(scenario: Scenario) -> set[str]:
    """Returns the keys that the result of a scenario must have beside its name."""
    is_error_expected = scenario.expect.error is not None
    match scenario.call.rpc:
        case "StreamComplete":
            return {"events", "unknown_events", "error" if is_error_expected else "folded"}
        case "Fold":
            return {"folded"}
    return {"error" if is_error_expected else "response"}


def _check_result(scenario: Scenario, result: Json) -> Iterator[str]:
    expected = scenario.expect
    if scenario.call.rpc == "StreamComplete":
        yield from _check_stream(expected, result)
    elif scenario.call.rpc == "Fold":
        yield from _check_fold(expected.folded, _parse_events(scenario.call.events or ()), result)
    elif expected.error is None:
        yield from _check_response(scenario, result)
    if expected.error is not None:
        yield from _check_error(expected.error, result["error"])


def _check_response(scenario: Scenario, result: Json) -> Iterator[str]:
    response = ParseDict(result["response"], _RESPONSES[scenario.call.rpc]())
    yield from find_differences(scenario.expect.response or {}, convert_to_json(response), "response")


def _check_stream(expected: Expected, result: Json) -> Iterator[str]:
    events = _parse_events(result["events"])
    yield from _check_rules(events, is_error_expected=expected.error is not None)
    others = [event for event in events if event.WhichOneof("kind") != "heartbeat"]
    if expected.heartbeats is (len(others) == len(events)):
        yield f"heartbeats: expected {'some' if expected.heartbeats else 'none'}, found {len(events) - len(others)}"
    if expected.events is not None:
        yield from _check_events(expected.events, join_deltas(others))
    counts = (result["unknown_events"], sum(event.WhichOneof("kind") is None for event in events))
    if counts != (expected.unknown_events, expected.unknown_events):
        yield f"unknown_events: expected {expected.unknown_events}, is {counts[0]}; {counts[1]} events have no kind"
    if expected.error is None:
        yield from _check_fold(expected.folded, events, result)


def _check_fold(expected: Json | None, events: Sequence[Event], result: Json) -> Iterator[str]:
    """Compares the client's fold with ours, which must be equal in every field, and with what is expected."""
    try:
        ours = _fold(events)
    except IncompleteStream as exc:
        yield str(exc)
        return
    theirs = ParseDict(result["folded"], completion_pb2.CompleteResponse())
    if theirs != ours:
        found = list(find_differences(convert_to_json(ours), convert_to_json(theirs), "folded"))
        yield from found or [f"folded: has more than it should: {theirs}"]
    yield from find_differences(expected or {}, convert_to_json(theirs), "folded")


def _check_events(expected: Sequence[Json], events: Sequence[Event]) -> Iterator[str]:
    kinds = [event.WhichOneof("kind") for event in events]
    expected_kinds = [next(iter(each), None) for each in expected]
    if kinds != expected_kinds:
        yield f"events: expected {expected_kinds}, are {kinds}"
        return
    for index, (wanted, event) in enumerate(zip(expected, events, strict=True)):
        found = convert_to_json(event)
        for kind, values in wanted.items():
            inner = dict(values or {})
            outer = {key: inner.pop(key) for key in ("step", "call") if key in inner}
            if isinstance(inner.get("task"), int):  # `task_finished` has a member of this name, which is no number
                outer["task"] = inner.pop("task")
            yield from find_differences({**outer, kind: inner}, found, f"events[{index}]")


def _check_error(expected: Json, error: Json) -> Iterator[str]:
    if error.keys() != _ERROR_KEYS:
        yield f"error: its keys are {sorted(error)}, expected {sorted(_ERROR_KEYS)}"
        return
    if not error["reason"] and error["code"] in _CODES_OF_CLIENTS:
        yield from (f"error: has {key} without a reason" for key, none in _NO_DETAILS.items() if error[key] != none)
    elif error["domain"] != "reasoning-grpc" or not error["request_id"]:
        yield f"error: domain {error['domain']!r}, request id {error['request_id']!r}"
    messages = {
        "interruption": _normalize(error["interruption"], interruption_pb2.Interruption()),
        "route_decision": _normalize(error["route_decision"], routing_pb2.RouteDecision()),
    }
    yield from find_differences(expected, {**error, **messages}, "error")


def _normalize(written: Json | None, message: Message) -> Json | None:
    """Converts ProtoJSON to the JSON that expectations are compared with."""
    return None if written is None else convert_to_json(ParseDict(dict(written), message))


def _check_rules(events: Sequence[Event], *, is_error_expected: bool) -> Iterator[str]:
    """Yields a line for each rule of every stream that this one breaks.

    Positions have no gap, and a heartbeat repeats the position before it. `started` is the first event and has the
    response id. `completed` is the last event, and comes only when the stream ended without an error.
    """
    if [event.sequence for event in events] != list(_number(events)):
        yield f"sequences: {[event.sequence for event in events]}"
    kinds = [event.WhichOneof("kind") for event in events]
    if kinds and kinds[0] != "started":
        yield "`started` is not the first event"
    elif kinds and not events[0].started.response_id:
        yield "`started` has no response id"
    if not is_error_expected and kinds[-1:] != ["completed"]:
        yield "`completed` is not the last event"
    if is_error_expected and "completed" in kinds:
        yield "there is a `completed` event and an error"


def _number(events: Iterable[Event]) -> Iterator[int]:
    """Yields the `sequence` that each event of a stream must have."""
    position = -1
    for event in events:
        position += event.WhichOneof("kind") != "heartbeat"
        yield position


def join_deltas(events: Iterable[Event]) -> list[Event]:
    """Joins neighbouring deltas of one kind, because it depends on the network which texts arrive together."""
    found: list[Event] = []
    for event in events:
        if found and _can_join(found[-1], event):
            _join(found[-1], event)
        else:
            copied = Event()
            copied.CopyFrom(event)
            found.append(copied)
    return found


def _find_place(event: Event) -> tuple[int, int, int, str | None]:
    return event.task, event.step, event.call, event.WhichOneof("kind")


def _can_join(last: Event, event: Event) -> bool:
    if _find_place(last) != _find_place(event):
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


def _parse_events(events: Iterable[Any]) -> list[Event]:
    return [ParseDict(event, Event()) for event in events]


def _fold(events: Sequence[Event]) -> completion_pb2.CompleteResponse:
    folder = Folder()
    for event in events:
        folder.add(event)
    return folder.response()
