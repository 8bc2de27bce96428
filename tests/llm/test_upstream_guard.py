"""What all calls to an upstream share."""

import asyncio

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import ANONYMOUS, CallContext, Caller, Deployment, read_clock
from reasoning_grpc.domain.errors import (
    UpstreamBusy,
    UpstreamCircuitOpen,
    UpstreamFailed,
    UpstreamParameterUnsupported,
    UpstreamRateLimited,
)
from reasoning_grpc.llm.breaker import BreakerPolicy, BreakerState
from reasoning_grpc.llm.upstream_guard import Admitted, GuardPolicy, UpstreamGuard, UpstreamGuards
from tests.support.upstream import PATIENCE_SECONDS

POLICY = GuardPolicy(breaker=BreakerPolicy(least_calls=2), most_calls=2, least_calls=1, most_waiting=1)
DEPLOYMENT = Deployment(name="m", litellm_model="openai/m", api_base="http://upstream")
CONTEXT = CallContext(caller=ANONYMOUS, request_id="r", arrival_time=0.0)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def build_guard(policy: GuardPolicy = POLICY) -> tuple[UpstreamGuard, Clock]:
    clock = Clock()
    return UpstreamGuards(policy, clock).find(DEPLOYMENT), clock


async def admit(guard: UpstreamGuard, deployment: Deployment = DEPLOYMENT, context: CallContext = CONTEXT) -> Admitted:
    """Admits an attempt as a model call does."""
    return guard.try_admit(deployment, context) or await guard.wait_for_slot(deployment, context)


async def call(guard: UpstreamGuard, error: UpstreamFailed | UpstreamRateLimited | None = None) -> None:
    """Makes a call with this outcome."""
    (await admit(guard)).end(error)


async def test_calls_stay_away_from_an_upstream_that_fails() -> None:
    """The error says when the next probe is, and that nothing was sent."""
    guard, clock = build_guard()
    for _ in range(2):
        await call(guard, UpstreamFailed(model="m", http_status=500))

    with pytest.raises(UpstreamCircuitOpen) as caught:
        await admit(guard)

    assert caught.value.reason == "UPSTREAM_UNREACHABLE"
    assert not caught.value.is_upstream_reached
    assert caught.value.retry_after_seconds is not None
    clock.now += caught.value.retry_after_seconds
    await call(guard)
    assert guard.state is BreakerState.CLOSED


async def test_a_call_that_waited_is_kept_away_like_any_other() -> None:
    """A cooldown or a breaker that begins while a call waits for the bound holds for it, and its slot is free again."""
    for error, refusal in (
        (UpstreamRateLimited(model="m", http_status=429, retry_after_seconds=7.0), UpstreamRateLimited),
        (UpstreamFailed(model="m", http_status=500), UpstreamCircuitOpen),
    ):
        guard, _ = build_guard()
        running = [await admit(guard), await admit(guard)]
        waiting = asyncio.create_task(admit(guard))
        await asyncio.sleep(0)
        assert guard.slots.waiting == 1

        for admitted in running:
            admitted.end(error)

        with pytest.raises(refusal):
            await waiting
        assert guard.slots.in_use == 0


async def test_a_rate_limit_keeps_all_calls_away_for_its_time() -> None:
    """The cooldown is that of the key: a caller with its own key is not concerned."""
    guard, clock = build_guard()
    await call(guard, UpstreamRateLimited(model="m", http_status=429, retry_after_seconds=7.0))
    clock.now += 2.0

    with pytest.raises(UpstreamRateLimited) as caught:
        await admit(guard)
    assert caught.value.retry_after_seconds == pytest.approx(5.0)
    own_key = replace(DEPLOYMENT, is_callers_key=True)
    (await admit(guard, own_key, replace(CONTEXT, caller=Caller(name="a")))).end()

    clock.now += 5.0
    await call(guard)


async def test_an_hour_of_cooldown_is_cut() -> None:
    """An upstream that asks for an hour is called again after the longest cooldown."""
    guard, clock = build_guard()
    await call(guard, UpstreamRateLimited(model="m", http_status=429, retry_after_seconds=3600.0))

    clock.now += POLICY.max_cooldown_seconds

    await call(guard)


async def test_a_rate_limit_without_a_time_has_no_cooldown() -> None:
    """Only the upstream knows how long it lasts."""
    guard, _ = build_guard()

    for _ in range(5):
        await call(guard, UpstreamRateLimited(model="m", http_status=429))


async def test_calls_beyond_the_bound_wait_and_then_fail() -> None:
    """One call waits for the slot, and the next one is refused at once because the queue is full."""
    guard, _ = build_guard(GuardPolicy(most_calls=1, least_calls=1, most_waiting=1, queue_seconds=60.0))
    first = await admit(guard)
    waiting = asyncio.create_task(admit(guard))
    await asyncio.sleep(0)

    with pytest.raises(UpstreamBusy) as caught:
        await admit(guard)
    first.end()

    assert caught.value.reason == "UPSTREAM_OVERLOADED"
    assert caught.value.retry_after_seconds == 1.0
    (await waiting).end()


async def test_a_call_whose_deadline_passes_in_the_queue_waits_for_its_end() -> None:
    """It does not fail as if the upstream were busy, and takes no slot that becomes free too late."""
    guard, _ = build_guard(GuardPolicy(most_calls=1, queue_seconds=PATIENCE_SECONDS))
    running = await admit(guard)
    context = replace(CONTEXT, deadline=read_clock() + 0.05)
    waiting = asyncio.create_task(admit(guard, context=context))

    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    running.end()
    assert (await admit(guard)).guard is guard
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert guard.slots.in_use == 1


async def test_a_cancelled_call_gives_its_slot_back_once() -> None:
    """Neither a second report nor a cancelled call that waits takes slots away."""
    guard, _ = build_guard(GuardPolicy(most_calls=1, least_calls=1, queue_seconds=60.0))
    first = await admit(guard)
    waiting = asyncio.create_task(admit(guard))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    first.abandon()
    first.end()
    first.abandon()

    second = await admit(guard)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await admit(guard)
    second.end()


async def test_what_was_never_sent_does_not_close_the_breaker() -> None:
    """A probe whose request litellm refuses says nothing about the upstream; the next call is the probe."""
    guard, clock = build_guard()
    for _ in range(2):
        await call(guard, UpstreamFailed(model="m", http_status=500))
    clock.now += 60.0

    probe = await admit(guard)
    probe.end(UpstreamParameterUnsupported(model="m", is_upstream_reached=False))

    before: BreakerState = guard.state
    await call(guard)
    assert (before, guard.state) == (BreakerState.OPEN, BreakerState.CLOSED)


async def test_the_bound_follows_the_time_to_the_first_token() -> None:
    """A full upstream whose answers begin late gets fewer calls."""
    guard, clock = build_guard(GuardPolicy(most_calls=20, least_calls=1, most_waiting=0))

    async def answer(seconds: float) -> None:
        admitted = [await admit(guard) for _ in range(20)]
        clock.now += seconds
        for each in admitted:
            clock.now += 0.1
            each.record_first_token()
            each.end()

    async def answer_ever_later() -> None:
        for doubling in range(10):
            await answer(2.0**doubling)

    await answer(0.1)

    with pytest.raises(UpstreamBusy):
        await answer_ever_later()


async def test_the_wait_for_an_own_connection_does_not_lower_the_bound() -> None:
    """Answers that begin late only because the calls waited for a connection of this server's leave the bound."""
    guard, clock = build_guard(GuardPolicy(most_calls=20, least_calls=1, most_waiting=0))

    for doubling in range(10):
        admitted = [await admit(guard) for _ in range(20)]
        clock.now += 2.0**doubling
        for each in admitted:
            clock.now += 0.1
            each.record_first_token(queued_seconds=2.0**doubling)
            each.end()

    assert guard.slots.limit == 20


def test_entries_with_one_upstream_share_its_guard() -> None:
    """The model and the server decide, and not the name in the table or the key."""
    guards = UpstreamGuards(POLICY, Clock())

    same = guards.find(replace(DEPLOYMENT, name="other", is_callers_key=True))
    other = guards.find(replace(DEPLOYMENT, api_base="http://other"))

    assert guards.find(DEPLOYMENT) is same
    assert other is not same


async def test_an_upstream_counts_as_open_until_a_call_may_try_it() -> None:
    """And again while that call does."""
    clock = Clock()
    guards = UpstreamGuards(POLICY, clock)
    guard = guards.find(DEPLOYMENT)
    assert not guards.is_open(DEPLOYMENT)
    for _ in range(2):
        await call(guard, UpstreamFailed(model="m", http_status=500))
    assert guards.is_open(DEPLOYMENT)

    clock.now += POLICY.breaker.base_open_seconds * 1.2
    assert not guards.is_open(DEPLOYMENT)
    probe = await admit(guard)
    assert guards.is_open(DEPLOYMENT)

    probe.end()
    assert not guards.is_open(DEPLOYMENT)
