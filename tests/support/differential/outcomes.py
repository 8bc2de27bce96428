"""Sends the cases, and judges each: the same in meaning, documented, refused by name, or none of these."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, CompleteResponse, EffectiveSetting
from tests.support.differential.capturing import Captured, CapturingUpstream
from tests.support.differential.case import Case
from tests.support.differential.documented import Documented, find_row, strip_positions
from tests.support.differential.targets import Target
from tests.support.serving import RunningServer
from tests.support.wire_meaning import Difference, UnreadableBody, find_differences, read_body, read_request

_REFUSALS: Final = frozenset({"UNSUPPORTED_PARAMETER", "INVALID_FIELD"})
_AT_ONCE: Final = 16


class Kind(StrEnum):
    """A kind of outcome of a request."""

    SAME = "SAME"
    DOCUMENTED = "DOCUMENTED"
    REFUSED = "REFUSED"
    OTHER = "OTHER"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one case with one model."""

    target: Target
    case: Case
    kind: Kind
    problems: tuple[str, ...] = ()
    """The reasons why it is none of the three, in words that name no values, so that equal reasons can be counted."""
    details: tuple[str, ...] = ()
    """The differences in words for people, with values."""
    rows: tuple[Documented, ...] = field(default=(), repr=False)


async def judge_all(
    running: RunningServer, upstream: CapturingUpstream, target: Target, cases: Iterable[Case]
) -> list[Outcome]:
    """Sends the cases to one model, several at once, and judges them."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def judge(number: int, case: Case) -> Outcome:
        async with gate:
            return await _judge(running, upstream, target, case, f"{target.name[:60]}-{number}")

    return await asyncio.gather(*(judge(number, case) for number, case in enumerate(cases)))


async def _judge(
    running: RunningServer, upstream: CapturingUpstream, target: Target, case: Case, request_id: str
) -> Outcome:
    request, answer, captured = await send(running, upstream, target, case, request_id)
    if isinstance(answer, CallFailed):
        return _judge_failure(target, case, answer, captured)
    return _judge_answer(target, case, request, answer, captured)


async def send(
    running: RunningServer, upstream: CapturingUpstream, target: Target, case: Case, request_id: str
) -> tuple[CompleteRequest, CompleteResponse | CallFailed, list[Captured]]:
    """Sends a case to a model; returns the request, its answer or failure, and what left."""
    request = CompleteRequest()
    request.CopyFrom(case.request)
    request.model, request.request_id = target.name, request_id
    try:
        answer: CompleteResponse | CallFailed = await running.client().complete(request)
    except CallFailed as failed:
        answer = failed
    return request, answer, upstream.take(request_id)


def _judge_failure(target: Target, case: Case, failed: CallFailed, captured: list[Captured]) -> Outcome:
    named = [violation.field for violation in failed.violations]
    details = (f"{failed.reason} {named}",)
    if captured:
        problem = f"sent, then {failed.reason}"
    elif failed.reason not in _REFUSALS:
        problem = f"fails: {failed.reason}"
    elif not named:
        problem = "refused without a field"
    elif strangers := [each for each in named if each not in case.fields]:
        problem = f"refused naming others: {', '.join(strangers)}"
    else:
        return Outcome(target=target, case=case, kind=Kind.REFUSED, details=details)
    return Outcome(target=target, case=case, kind=Kind.OTHER, problems=(problem,), details=details)


def _judge_answer(
    target: Target, case: Case, request: CompleteRequest, answer: CompleteResponse, captured: list[Captured]
) -> Outcome:
    if len(captured) != 1:
        problem = f"{len(captured)} requests were sent: {[each.path for each in captured]}"
        return Outcome(target=target, case=case, kind=Kind.OTHER, problems=(problem,))
    (sent,) = captured
    asked = read_request(request, target.model_on_wire, target.defaults)
    try:
        left = read_body(sent.path, sent.body, target.described_model)
    except UnreadableBody as exc:
        return Outcome(
            target=target,
            case=case,
            kind=Kind.OTHER,
            problems=(f"unreadable: {exc}"[:160],),
            details=(str(sent.body)[:600],),
        )
    problems: list[str] = []
    details: list[str] = []
    rows: list[Documented] = []
    reported = {setting.field: setting for setting in answer.effective_settings}
    for difference in find_differences(asked, left):
        row = find_row(target, difference)
        if row is None:
            problems.append(describe(difference))
            details.append(str(difference)[:400])
        elif row.is_reported and not _is_reported(difference, row, reported):
            problems.append(f"not reported: {describe(difference)}")
            details.append(f"not reported: {difference} {[*answer.effective_settings]}"[:600])
        else:
            rows.append(row)
    kind = Kind.OTHER if problems else Kind.DOCUMENTED if rows else Kind.SAME
    unique = tuple(dict.fromkeys(problems))
    return Outcome(target=target, case=case, kind=kind, problems=unique, details=tuple(details), rows=tuple(rows))


def describe(difference: Difference) -> str:
    """Returns the difference in stable words, without values and without positions."""
    return f"{strip_positions(difference.field)}: {difference.what}"


def _is_reported(difference: Difference, row: Documented, reported: dict[str, EffectiveSetting]) -> bool:
    """Whether an effective setting names the field, or what it stands in; of a parameter also what became of it."""
    field = difference.field
    if (setting := reported.get(field)) is not None and not isinstance(difference.left, dict | list):
        became = setting.effective.lower()
        left = row.effective or difference.left
        return became in ("", "false") if left is None else str(left).lower() in became
    without_positions = strip_positions(field).replace("[]", "")
    return any(
        f"{without_positions}.".startswith(f"{name}.") or field.startswith((name, f"{name}.", f"{name}["))
        for name in reported
    )
