"""Checks of what the server reports in the end: model calls, attempts, tokens and cost, in an answer or a failure."""

from collections.abc import Iterator, Sequence
from typing import Final

from reasoning_grpc.v1 import classification_pb2, errors_pb2, usage_pb2
from tests.history.attempts import UNSERVED, align_attempts, group_model_calls
from tests.history.plan import Rpc
from tests.history.records import CallRecord, Exchange, Purpose
from tests.history.serving import MAX_RETRIES
from tests.history.usage_checks import Bill, bill_exchange, check_cost, check_usage, find_received, sum_bills

_UNSEEN_REASONS: Final = frozenset({"UPSTREAM_TIMEOUT", "UPSTREAM_UNREACHABLE"})
_UNSEEN: Final = Bill((0, 0), (100_000, 0), True, False)
"""What an attempt may have used of which the upstream saw nothing, because its time was over: an estimate."""


def check_totals(call: CallRecord, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yields how the totals of a call that succeeded differ from the ledger."""
    if isinstance(call.response, classification_pb2.ClassifyResponse):
        yield from _check_classification(call.response, exchanges, has_deadline=call.plan.deadline_seconds is not None)
        return
    end = call.end
    if end is None:
        return
    yield from _check_attempt_numbers(end.attempts)
    if call.plan.may_go_on_late:
        if len(exchanges) > len(end.attempts):
            yield f"there are {len(end.attempts)} attempts, and the upstream saw {len(exchanges)}"
        yield from check_usage(end.usage, bill_call(call, exchanges), "the answer")
        return
    pairs = align_attempts(end.attempts, exchanges)
    if pairs is None:
        attempts = [(attempt.model, errors_pb2.ErrorReason.Name(attempt.failure)) for attempt in end.attempts]
        seen = [(exchange.model, exchange.plan.fault.value) for exchange in exchanges]
        yield f"the attempts {attempts} are not the upstream's {seen}"
        return
    bills: dict[int, Bill] = {}
    for attempt, exchange in pairs:
        bill = _bill_attempt(attempt, exchange, call.text)
        bills[attempt.call] = bills.get(attempt.call, Bill()) + bill
    reported = {model_call.call: model_call for model_call in end.model_calls}
    if any(call_number not in bills for call_number in reported):
        yield f"there are tokens of the model calls {sorted(reported)}, and attempts at {sorted(bills)}"
    for number, bill in bills.items():
        used = reported[number].usage if number in reported else usage_pb2.Usage()
        yield from check_usage(used, bill, f"model call {number}")
    yield from check_usage(end.usage, sum_bills(bills.values()), "the answer")
    succeeded = [each for attempt, each in pairs if each is not None and not attempt.failure and each.is_counted]
    yield from check_cost(end.cost, end.usage, succeeded, "the cost")


def _bill_attempt(attempt: usage_pb2.Attempt, exchange: Exchange | None, text: str) -> Bill:
    if attempt.model == UNSERVED and attempt.failure == errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE:
        return Bill()
    if exchange is None:
        return _UNSEEN
    received = find_received(exchange, text)
    return bill_exchange(exchange, failed=bool(attempt.failure), http_status=attempt.http_status, received=received)


def _check_attempt_numbers(attempts: Sequence[usage_pb2.Attempt]) -> Iterator[str]:
    """Yields how the attempts are numbered wrong, and which call goes on after an attempt that succeeded."""
    call = number = 0
    succeeded = True
    for attempt in attempts:
        begins = (attempt.call, attempt.number) == (call + 1, 1)
        continues = (attempt.call, attempt.number) == (call, number + 1)
        if not (begins or continues):
            yield f"attempt {attempt.number} of call {attempt.call} follows attempt {number} of call {call}"
        if continues and succeeded:
            yield f"call {attempt.call} was attempted again after it had succeeded"
        call, number, succeeded = attempt.call, attempt.number, not attempt.failure


def _check_classification(
    response: classification_pb2.ClassifyResponse, exchanges: Sequence[Exchange], *, has_deadline: bool
) -> Iterator[str]:
    classification = response.route_decision.classification
    if len(group_model_calls(exchanges)) > 2:  # the classification and its repair
        yield f"the classifier made {len(group_model_calls(exchanges))} model calls"
    is_last_failed = bool(classification.failure)
    bills = list(_bill_all(exchanges, "", is_last_failed=is_last_failed, has_deadline=has_deadline))
    if is_last_failed and errors_pb2.ErrorReason.Name(classification.failure)[13:] in _UNSEEN_REASONS:
        bills.append(_UNSEEN)
    yield from check_usage(classification.usage, sum_bills(bills), "the classification")
    if classification.HasField("usage"):
        yield from check_cost(classification.cost, classification.usage, (), "the cost of the classification")


def _bill_all(exchanges: Sequence[Exchange], text: str, *, is_last_failed: bool, has_deadline: bool) -> Iterator[Bill]:
    """Yields the bill of each exchange when the server does not report its attempts one by one.

    The classifier and the agent's steps have but a part of a client's deadline, and go on without an answer after it.
    The upstream may see a request that was cut in this way after those that follow it.
    """
    for group in group_model_calls(exchanges):
        for exchange in group:
            is_last = exchange is group[-1]
            is_cut = is_last_failed and (has_deadline or exchange is exchanges[-1])
            is_cut = is_cut or (has_deadline and exchange.purpose is not Purpose.ANSWER)
            failed = not exchange.is_finished or not is_last or is_cut
            yield bill_exchange(exchange, failed=failed, received=find_received(exchange, text))


def check_interruption(call: CallRecord, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yields how the progress in a failure differs from what the client received and from the ledger."""
    failure = call.failure
    if failure is None or not call.is_ended_by_server or call.plan.rpc is Rpc.CLASSIFY:
        return
    progress = failure.interruption
    if progress is None:
        if exchanges:
            yield f"the status has no Interruption, although the upstream got {len(exchanges)} requests"
        return
    if not exchanges and failure.reason not in _UNSEEN_REASONS:
        yield "the status has an Interruption, although the upstream got no request"
    if call.plan.rpc is Rpc.STREAM:
        last = call.messages[-1].sequence if call.events else -1
        if progress.last_sequence != last:
            yield f"Interruption has last_sequence {progress.last_sequence}, and the client's last is {last}"
        if progress.content_characters != len(call.text):
            yield f"Interruption counts {progress.content_characters} characters, and the client {len(call.text)}"
    else:
        sent = max((len(each.sent_text) for each in exchanges if each.purpose is Purpose.ANSWER), default=0)
        if progress.content_characters > sent:
            yield f"Interruption counts {progress.content_characters} characters, and the upstream sent {sent}"
    yield from _check_progress_counts(call, progress.model_call_count, progress.attempt_count, exchanges)
    bill = bill_call(call, exchanges)
    yield from check_usage(progress.usage, bill, "Interruption")
    if progress.HasField("cost"):
        yield from check_cost(progress.cost, progress.usage, (), "the cost in Interruption")
    elif progress.usage.total_tokens:
        yield "Interruption has tokens and no cost"


def bill_call(call: CallRecord, exchanges: Sequence[Exchange]) -> Bill:
    """Returns what a call may have used whose attempts are not known one by one."""
    has_deadline, is_failed = call.plan.deadline_seconds is not None, call.code != "OK"
    bills = list(_bill_all(exchanges, call.text, is_last_failed=is_failed, has_deadline=has_deadline))
    reason = call.failure.reason if call.failure else ""
    if (is_failed and not reason) or call.plan.may_go_on_late or reason in _UNSEEN_REASONS:
        bills += [_UNSEEN, _UNSEEN]
    return sum_bills(bills)


def _check_progress_counts(
    call: CallRecord, model_calls: int, attempts: int, exchanges: Sequence[Exchange]
) -> Iterator[str]:
    seen = len(group_model_calls(exchanges))
    unseen = 2 if call.plan.may_go_on_late else int(call.failure is not None and call.failure.reason in _UNSEEN_REASONS)
    if not seen <= model_calls <= seen + max(1, unseen):
        yield f"Interruption counts {model_calls} model calls, and the upstream saw {seen}"
    unseen += (MAX_RETRIES + 1) * model_calls if call.plan.model == UNSERVED else 0
    if not len(exchanges) <= attempts <= len(exchanges) + unseen:
        yield f"Interruption counts {attempts} attempts, and the upstream saw {len(exchanges)}"
