"""Checks of how calls ended: the status names what the upstream did, and no attempt was one too many."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.history.attempts import group_model_calls
from tests.history.plan import CallPlan, Fault, Rpc, Turn
from tests.history.records import CallRecord, Exchange, Purpose
from tests.history.serving import FALLBACKS, LIMIT_SECONDS, MAX_RETRIES

Outcome = tuple[str, str]
"""The names of a status and of its reason."""
_REFUSED: Final = ("INVALID_ARGUMENT", "INVALID_FIELD")
_UNREACHABLE: Final = ("UNAVAILABLE", "UPSTREAM_UNREACHABLE")
_FAILED: Final = ("UNAVAILABLE", "UPSTREAM_ERROR")
_OVERLOADED: Final = ("UNAVAILABLE", "UPSTREAM_OVERLOADED")
_TRUNCATED: Final = ("UNAVAILABLE", "UPSTREAM_STREAM_TRUNCATED")
_TIMEOUT: Final = ("DEADLINE_EXCEEDED", "UPSTREAM_TIMEOUT")
_STALLED: Final = ("DEADLINE_EXCEEDED", "UPSTREAM_STALLED")
_RATE_LIMITED: Final = ("RESOURCE_EXHAUSTED", "UPSTREAM_RATE_LIMITED")
_QUOTA: Final = ("RESOURCE_EXHAUSTED", "UPSTREAM_QUOTA_EXHAUSTED")
_KEY: Final = ("INTERNAL", "UPSTREAM_CREDENTIALS_REJECTED")
_MISSING: Final = ("FAILED_PRECONDITION", "UPSTREAM_MODEL_MISSING")
_TOO_LONG: Final = ("INVALID_ARGUMENT", "CONTEXT_WINDOW_EXCEEDED")
_REJECTED: Final = ("INVALID_ARGUMENT", "UPSTREAM_REJECTED_REQUEST")
_MALFORMED: Final = ("INTERNAL", "UPSTREAM_MALFORMED_RESPONSE")
_EMPTY: Final = ("INTERNAL", "UPSTREAM_EMPTY_RESPONSE")

_BY_STATUS: Final[dict[int, Outcome]] = {
    **dict.fromkeys((400, 422), _REJECTED),
    **dict.fromkeys((401, 403), _KEY),
    402: _QUOTA,
    404: _MISSING,
    **dict.fromkeys((408, 504), _TIMEOUT),
    **dict.fromkeys((409, 424, 500, 502), _FAILED),
    413: _TOO_LONG,
    429: _RATE_LIMITED,
    **dict.fromkeys((503, 529), _OVERLOADED),
}
_BY_FAULT: Final[dict[Fault, frozenset[Outcome]]] = {
    Fault.RESET_FIRST: frozenset({_UNREACHABLE}),
    Fault.CLOSE_FIRST: frozenset({_UNREACHABLE}),
    Fault.HANG_FIRST: frozenset({_TIMEOUT}),
    Fault.RESET: frozenset({_UNREACHABLE}),
    Fault.CLOSE: frozenset({_UNREACHABLE}),
    Fault.END: frozenset({_TRUNCATED}),
    Fault.STALL: frozenset({_TIMEOUT, _STALLED}),
    Fault.JUNK: frozenset({_MALFORMED}),
    Fault.ERROR: frozenset({_FAILED, _RATE_LIMITED}),
    Fault.HTML: frozenset({_MALFORMED}),
    Fault.NO_CHOICES: frozenset({_EMPTY, _TRUNCATED}),
}
_TOO_LATE: Final = frozenset({_TIMEOUT, _STALLED})
"""How a call may end whatever the upstream does, where the machine is too slow for our own time limits."""
_RETRIED: Final = frozenset({_UNREACHABLE, _FAILED, _OVERLOADED, _TRUNCATED})
_RETRIED_ONCE: Final = frozenset({_MALFORMED, _EMPTY})
_NAMES_TIME: Final = frozenset({409, 424, 429, 500, 502, 503, 529})
_LONGEST_RETRY_AFTER: Final = 300.0
_WITHOUT_FALLBACK: Final = frozenset({_TOO_LONG, _REJECTED})


def list_outcomes(exchange: Exchange) -> frozenset[Outcome]:
    """Returns the statuses and reasons with which a call may end after this exchange failed."""
    if not exchange.is_over:
        return _TOO_LATE
    if exchange.plan.fault is Fault.END and not exchange.sent:
        return frozenset({_EMPTY}) | _TOO_LATE
    if exchange.plan.status:
        return frozenset({_BY_STATUS[exchange.plan.status]})
    return _BY_FAULT.get(exchange.plan.fault, frozenset()) | _TOO_LATE


def check_outcome(call: CallRecord, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yields why the status of a failed call is not what the upstream's last exchange leads to."""
    failure = call.failure
    if call.plan.turn is Turn.REPEAT and (exchanges or call.code == "OK"):
        yield "a state that had gone on already went on again"
    if failure is None:
        plan = call.plan
        cancels = plan.cancel_after_events is not None or plan.cancel_after_seconds is not None
        allowed = {"OK", *["CANCELLED"] * cancels, *["DEADLINE_EXCEEDED"] * (plan.deadline_seconds is not None)}
        if call.code not in allowed:
            yield f"the status {call.code} is without details, and not from the client"
        return
    outcome = (failure.code.name, failure.reason)
    if call.plan.turn is Turn.REPEAT and outcome == _REFUSED:
        return
    if call.plan.rpc is Rpc.CLASSIFY:
        yield f"Classify ended with {outcome}, although the upstream's failures are outcomes there"
    elif exchanges and not any(outcome in list_outcomes(each) for each in _select_last(call.plan, exchanges)):
        if not _may_be_late(call, exchanges):
            yield f"the status is {outcome}, after the upstream's {_describe(exchanges[-1])}"
    elif not exchanges and outcome not in {_UNREACHABLE, _TIMEOUT}:
        yield f"the status is {outcome}, and the upstream got no request"


def _may_be_late(call: CallRecord, exchanges: Sequence[Exchange]) -> bool:
    """Whether one of our time limits may have ended the call, although the upstream had answered.

    A slow machine may read an answer late. The call then lasts for one limit more than the upstream made it wait for.
    """
    outcome = call.failure and (call.failure.code.name, call.failure.reason)
    limits = 1 + sum(each.plan.fault in {Fault.HANG_FIRST, Fault.STALL} for each in exchanges)
    return outcome in _TOO_LATE and call.ended - call.began >= limits * LIMIT_SECONDS


def _select_last(plan: CallPlan, exchanges: Sequence[Exchange]) -> Sequence[Exchange]:
    """Returns the exchanges of which one was the last: a request that was cut late may arrive after its successor."""
    return exchanges if plan.may_go_on_late else exchanges[-1:]


def check_retry_info(call: CallRecord, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yields how the time before another attempt differs from what the upstream named."""
    if call.failure is None or not exchanges or any(exchange.purpose is not Purpose.ANSWER for exchange in exchanges):
        return
    plan, named = exchanges[-1].plan, None
    if exchanges[-1].is_over and plan.status in _NAMES_TIME and (plan.retry_after or "").isdigit():
        named = min(float(plan.retry_after or ""), _LONGEST_RETRY_AFTER)
    if call.failure.retry_after_seconds is None and _may_be_late(call, exchanges):
        return
    if call.failure.retry_after_seconds != named:
        yield f"RetryInfo has {call.failure.retry_after_seconds} seconds, and the upstream's answer means {named}"


def check_attempts(call: CallRecord, exchanges: Sequence[Exchange]) -> Iterator[str]:
    """Yields which requests reached the upstream against the rules for retries and fallback models."""
    for group in group_model_calls(exchanges):
        chain = list_models(call.plan) if group[0].purpose is not Purpose.ROUTING else [group[0].model]
        place, tries = 0, 0
        for exchange, before in zip(group, [None, *group], strict=False):
            if before is not None and before.is_finished and exchange.purpose is not Purpose.STEP:
                yield f"the upstream was called again after it had answered: {_describe(exchange)}"
            later = [index for index, model in enumerate(chain) if model == exchange.model and index >= place]
            if not later:
                yield f"the model {exchange.model} was called, which does not follow in {chain[place:]}"
                return
            tries = tries + 1 if later[0] == place and before is not None else 1
            if later[0] != place and before is not None and list_outcomes(before) <= _WITHOUT_FALLBACK:
                yield f"a fallback model was called after the upstream's {_describe(before)}"
            if later[0] == place and before is not None and tries > _count_tries(before):
                yield f"attempt {tries} with {exchange.model} follows the upstream's {_describe(before)}"
            place = later[0]


def list_models(plan: CallPlan) -> list[str]:
    """Returns the models that may be tried for a model call, in order."""
    return [plan.model, *(plan.fallbacks or FALLBACKS.get(plan.model, ()))]


def _count_tries(failed: Exchange) -> int:
    """Returns the most attempts with one model of which the last but one ended like this."""
    outcomes = list_outcomes(failed)
    if outcomes & _RETRIED:
        return MAX_RETRIES + 1
    return 2 if outcomes & _RETRIED_ONCE else 1


def _describe(exchange: Exchange) -> str:
    plan = exchange.plan
    ended = "" if exchange.is_over else ", which the server cut"
    return f"{plan.status or plan.fault.value} after {exchange.sent} tokens of {exchange.model}{ended}"
