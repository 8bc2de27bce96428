"""What callers have left of their limits, in the memory of a process."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from reasoning_grpc.domain import Amounts, CallerLimits, QuotaKind, Reservation
from reasoning_grpc.domain.errors import CallerLimitReached
from reasoning_grpc.quotas import MemoryQuotas

REQUESTS, CALLS, TOKENS, COST = QuotaKind.REQUESTS, QuotaKind.CALLS, QuotaKind.TOKENS, QuotaKind.COST
T = TypeVar("T")


class Clock:
    """A clock that a test sets; only the expiry of reservations depends on it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def remaining(quotas: MemoryQuotas, limits: CallerLimits, caller: str = "a") -> dict[QuotaKind, int]:
    """Returns what the caller has left of each limit."""
    return {balance.kind: balance.remaining for balance in quotas.list_balances(caller, limits)}


async def expect_refusal(quotas: MemoryQuotas, limits: CallerLimits, amounts: Amounts) -> CallerLimitReached:
    """Reserves amounts that the caller does not have."""
    with pytest.raises(CallerLimitReached) as refused:
        await quotas.reserve("a", limits, amounts)
    return refused.value


async def test_a_caller_gets_its_limits_and_no_more() -> None:
    """A refusal names the limit and its value, and says when as much is renewed."""
    limits = CallerLimits(requests_per_minute=2, tokens_per_minute=1000)
    quotas = MemoryQuotas()

    for _ in range(2):
        await quotas.reserve("a", limits, {REQUESTS: 1})
    refused = await expect_refusal(quotas, limits, {REQUESTS: 1})

    assert refused.metadata == {"limit": "requests_per_minute", "maximum": "2"}
    assert str(refused) == 'The caller has reached its limit "requests_per_minute", which is 2.'
    assert refused.retry_after_seconds == pytest.approx(30)
    assert remaining(quotas, limits) == {REQUESTS: 0, TOKENS: 1000}


async def test_a_reservation_takes_all_or_nothing() -> None:
    """When one amount is not left, the others are not reserved either."""
    limits = CallerLimits(tokens_per_minute=1000, nano_usd_per_day=50)
    quotas = MemoryQuotas()

    refused = await expect_refusal(quotas, limits, {TOKENS: 10, COST: 51})

    assert refused.metadata == {"limit": "usd_per_day", "maximum": "0.00000005"}
    assert remaining(quotas, limits) == {TOKENS: 1000, COST: 50}


@pytest.mark.parametrize(
    ("used", "left"), [pytest.param(0, 1000, id="nothing"), pytest.param(300, 700, id="less"), (600, 400), (900, 100)]
)
async def test_what_was_used_takes_the_place_of_what_was_reserved(used: int, left: int) -> None:
    """While a reservation is open its amount is missing; then what was used is, however much it was."""
    limits = CallerLimits(tokens_per_minute=1000, nano_usd_per_day=1000)
    quotas = MemoryQuotas()

    reservation = await quotas.reserve("a", limits, {TOKENS: 600, COST: 600})
    assert remaining(quotas, limits)[TOKENS] == 400
    reservation.settle({TOKENS: used, COST: used})
    reservation.settle({TOKENS: 1000, COST: 1000})

    assert remaining(quotas, limits)[TOKENS] == pytest.approx(left, abs=20)


async def test_a_debt_is_paid_first() -> None:
    """Tokens beyond the limit, which only the provider's count shows, delay the next call until they are renewed."""
    limits = CallerLimits(tokens_per_minute=1000)
    quotas = MemoryQuotas()
    reservation = await quotas.reserve("a", limits, {TOKENS: 600})

    reservation.settle({TOKENS: 3000})
    refused = await expect_refusal(quotas, limits, {TOKENS: 500})

    (balance,) = quotas.list_balances("a", limits)
    assert balance.remaining == 0
    assert balance.renewed_after_seconds == pytest.approx(180, abs=1)
    assert refused.retry_after_seconds == pytest.approx(150, abs=1)


async def test_a_days_dollars_are_renewed_at_midnight() -> None:
    """What a caller used too much of its dollars delays it until the next day of UTC, and no longer."""
    limits = CallerLimits(nano_usd_per_day=1_000_000_000)
    quotas = MemoryQuotas()

    (await quotas.reserve("a", limits, {COST: 900_000_000})).settle({COST: 2_000_000_000})
    refused = await expect_refusal(quotas, limits, {COST: 1})

    assert refused.metadata == {"limit": "usd_per_day", "maximum": "1"}
    assert refused.retry_after_seconds is not None
    assert 0 < refused.retry_after_seconds <= 86_400


async def test_a_call_without_a_price_needs_no_dollars() -> None:
    """A caller without dollars left may still make a call that costs nothing."""
    limits = CallerLimits(nano_usd_per_day=10)
    quotas = MemoryQuotas()
    (await quotas.reserve("a", limits, {COST: 10})).settle({COST: 10})

    await quotas.reserve("a", limits, {COST: 0})


async def test_calls_in_flight_come_back_when_they_end() -> None:
    """The place of a call that has ended is free at once. Nobody knows when one will end, so the delay is short."""
    limits = CallerLimits(calls_in_flight=1)
    quotas = MemoryQuotas()

    first = await quotas.reserve("a", limits, {CALLS: 1}, expires=False)
    refused = await expect_refusal(quotas, limits, {CALLS: 1})
    first.settle({})

    assert refused.retry_after_seconds is not None
    assert 0.5 <= refused.retry_after_seconds <= 1.5
    assert remaining(quotas, limits) == {CALLS: 1}
    assert [balance.renewed_after_seconds for balance in quotas.list_balances("a", limits)] == [None]


async def test_callers_share_nothing() -> None:
    """What one caller uses is not missing for another one with the same limits."""
    limits = CallerLimits(tokens_per_minute=1000)
    quotas = MemoryQuotas()

    await quotas.reserve("a", limits, {TOKENS: 1000})

    assert remaining(quotas, limits, "b") == {TOKENS: 1000}


async def test_a_reservation_expires() -> None:
    """Its amount then counts as used. What was used beyond it still counts when it is known at last."""
    limits, clock = CallerLimits(nano_usd_per_day=1000, calls_in_flight=3), Clock()
    quotas = MemoryQuotas(clock, reservation_seconds=60)
    small = await quotas.reserve("a", limits, {COST: 100})
    large = await quotas.reserve("a", limits, {COST: 100})
    await quotas.reserve("a", limits, {CALLS: 1}, expires=False)

    clock.now += 61
    assert remaining(quotas, limits) == {COST: 800, CALLS: 2}
    small.settle({COST: 30})
    large.settle({COST: 150})

    assert remaining(quotas, limits) == {COST: 750, CALLS: 2}


async def test_changed_limits_hold_at_once_and_forget_nothing() -> None:
    """After a new configuration, what was used and what is reserved counts against the new limits."""
    before = CallerLimits(nano_usd_per_day=1000, calls_in_flight=2)
    after = CallerLimits(nano_usd_per_day=500, calls_in_flight=1, requests_per_minute=5)
    quotas = MemoryQuotas()
    (await quotas.reserve("a", before, {COST: 400})).settle({COST: 400})
    call = await quotas.reserve("a", before, {CALLS: 1}, expires=False)

    assert remaining(quotas, after) == {COST: 100, CALLS: 0, REQUESTS: 5}
    call.settle({})

    assert remaining(quotas, after) == {COST: 100, CALLS: 1, REQUESTS: 5}


async def test_calls_in_progress_keep_their_limits() -> None:
    """A call that began with former limits settles what it reserved, and takes nothing from limits that it has not."""
    before = CallerLimits(calls_in_flight=2)
    after = CallerLimits(calls_in_flight=1, nano_usd_per_day=500)
    quotas = MemoryQuotas()
    call = await quotas.reserve("a", before, {CALLS: 1}, expires=False)
    (await quotas.reserve("a", after, {COST: 200})).settle({COST: 200})

    assert remaining(quotas, before) == {CALLS: 1}
    call.settle({})

    assert remaining(quotas, after) == {CALLS: 1, COST: 300}


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Returns the result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


async def test_reserving_never_waits() -> None:
    """A reservation in memory is made at once, so that a cancellation cannot fall between it and its settlement."""
    limits = CallerLimits(tokens_per_minute=10)
    settle: Callable[[Amounts], None] = finish(MemoryQuotas().reserve("a", limits, {TOKENS: 5})).settle

    await asyncio.to_thread(settle, {TOKENS: 5})


def test_reservations_that_were_settled_are_not_kept() -> None:
    """Calls that end leave nothing behind: the next ones of ten thousand take no more memory."""
    import tracemalloc

    limits = CallerLimits(tokens_per_minute=2**31 - 1)
    quotas = MemoryQuotas()

    def use(count: int) -> None:
        for _ in range(count):
            reservation: Reservation = finish(quotas.reserve("a", limits, {TOKENS: 5}))
            reservation.settle({TOKENS: 7})

    use(1000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    use(10_000)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert after - before < 50_000
