"""Checks that `Complete` and `StreamComplete` give the same to the same request under the same faults."""

import re
from collections.abc import Iterator
from typing import Any, Final

from reasoning_grpc.v1 import completion_pb2, errors_pb2, messages_pb2
from tests.history.plan import are_twins
from tests.history.records import CallRecord, History
from tests.support.fold_check import DeltaFold

_TIMEOUTS: Final = frozenset({"UPSTREAM_TIMEOUT", "UPSTREAM_STALLED"})
_OWN_NUMBERS: Final = re.compile(r"<\d{7}\.")


def check_twins(history: History) -> Iterator[tuple[int, str]]:
    """Yields the number of each call of `Complete` that differs from the fold of its twin's stream, and how."""
    calls = {call.plan.number: call for call in history.calls}
    for number, stream in calls.items():
        twin = calls.get(number + 1)
        if number % 2 or not are_twins(number) or twin is None or not _are_comparable(history, stream, twin):
            continue
        one, other = _select_facts(stream), _select_facts(twin)
        for name, value in one.items():
            if other.get(name) != value:
                yield number + 1, f"{name} is {other.get(name)!r}, and in the stream {value!r}"


def _are_comparable(history: History, stream: CallRecord, twin: CallRecord) -> bool:
    """Whether nothing but the RPC differs: both clients waited, and the upstream did the same to both.

    A deadline may change how often the server tries.
    """
    if not (stream.plan.is_patient and twin.plan.is_patient):
        return False
    played = [
        [(each.model, each.plan, each.purpose, each.is_over) for each in history.exchanges_of(call)]
        for call in (stream, twin)
    ]
    return played[0] == played[1] and _list_timeouts(stream) == _list_timeouts(twin)


def _list_timeouts(call: CallRecord) -> list[str]:
    """Returns the failures by our own time limits, which a slow machine may cause in one call and not in the other."""
    attempts = call.end.attempts if call.end else ()
    reasons = [errors_pb2.ErrorReason.Name(attempt.failure).removeprefix("ERROR_REASON_") for attempt in attempts]
    return [reason for reason in [*reasons, call.failure.reason if call.failure else ""] if reason in _TIMEOUTS]


def _select_facts(call: CallRecord) -> dict[str, Any]:
    """Returns what both RPCs must say, without ids and times."""
    facts: dict[str, Any] = {"code": call.code}
    if call.failure is not None:
        return facts | {"reason": call.failure.reason, "message": call.failure.message}
    end = call.end
    if end is None:
        return facts
    return facts | {
        "content": [_describe_part(part) for part in _read_content(call)],
        "finish reason": (end.finish_reason, end.provider_finish_reason),
        "model": end.model,
        "purposes": [model_call.purpose for model_call in end.model_calls],
        "failures of attempts": [(attempt.model, attempt.failure) for attempt in end.attempts],
        "source of the usage": end.usage.source,
        "steps": _count_steps(call),
    }


def _read_content(call: CallRecord) -> list[messages_pb2.Part]:
    if isinstance(call.response, completion_pb2.CompleteResponse):
        return list(call.response.message.content)
    fold = DeltaFold()
    for event in call.messages:
        fold.add(event)
    return fold.parts


def _count_steps(call: CallRecord) -> int:
    if isinstance(call.response, completion_pb2.CompleteResponse):
        return len(call.response.steps)
    return sum(event.WhichOneof("kind") == "step_finished" for event in call.messages)


def _describe_part(part: messages_pb2.Part) -> tuple[str | None, str]:
    return part.WhichOneof("kind"), _OWN_NUMBERS.sub("<", part.text)
