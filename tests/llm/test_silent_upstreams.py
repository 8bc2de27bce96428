"""What a deadline that ends an attempt before its first token says about the upstream."""

import asyncio
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import ANONYMOUS, CallContext, Deployment, ModelCallPurpose, read_clock
from reasoning_grpc.domain.errors import UpstreamFailed, UpstreamTimeout
from reasoning_grpc.llm import GuardPolicy, TimeIsUp, UpstreamGuards, limit_time
from reasoning_grpc.llm.breaker import BreakerPolicy, BreakerState
from reasoning_grpc.llm.first_token_times import FirstTokenTimes
from reasoning_grpc.llm.upstream_guard import Admitted, UpstreamGuard
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_call, a_context
from tests.support.models import ScriptedModel, make_resilient

POLICY = GuardPolicy(breaker=BreakerPolicy(least_calls=4), most_calls=100, least_calls=2)
DEPLOYMENT = Deployment(name="fake", litellm_model="openai/fake", api_base="")
PATIENT = CallContext(caller=ANONYMOUS, request_id="r", arrival_time=0.0)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Upstream:
    """An upstream whose calls begin and end when the test says so."""

    def __init__(self, policy: GuardPolicy = POLICY) -> None:
        self.clock = Clock()
        self.guard: UpstreamGuard = UpstreamGuards(policy, self.clock).find(DEPLOYMENT)

    def admit(self, context: CallContext = PATIENT) -> Admitted:
        """Admits a call."""
        admitted = self.guard.try_admit(DEPLOYMENT, context)
        assert admitted is not None
        return admitted

    def answer(self, seconds: float) -> None:
        """Makes a call whose answer begins after this time."""
        admitted = self.admit()
        self.clock.now += seconds
        admitted.record_first_token()
        admitted.end()

    def stay_silent(self, seconds: float, calls: int = 4) -> None:
        """Makes calls at the same time that their deadline ends after this time."""
        admitted = [self.admit() for _ in range(calls)]
        self.clock.now += seconds
        for each in admitted:
            each.end_unanswered()

    def find_wait_seconds(self, patience_seconds: float) -> float | None:
        """Returns how long a call with this much time is kept away."""
        return self.guard.breaker.find_wait_seconds(patience_seconds)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.mark.parametrize(
    ("usual", "silence", "state"),
    [
        pytest.param(0.1, 0.9, BreakerState.CLOSED, id="less than a second"),
        pytest.param(0.1, 1.1, BreakerState.OPEN, id="a second"),
        pytest.param(8.0, 15.0, BreakerState.CLOSED, id="less than twice what is usual"),
        pytest.param(8.0, 17.0, BreakerState.OPEN, id="twice what is usual"),
        pytest.param(None, 9.0, BreakerState.CLOSED, id="nothing is usual yet"),
        pytest.param(None, 11.0, BreakerState.OPEN, id="nothing is usual yet, and it is long"),
    ],
)
def test_only_an_unusual_silence_opens_the_breaker(
    upstream: Upstream, usual: float | None, silence: float, state: BreakerState
) -> None:
    """A caller with a short deadline keeps nobody from a slow model that is well."""
    if usual is not None:
        upstream.answer(usual)

    upstream.stay_silent(silence)

    assert upstream.guard.state is state


def test_an_upstream_that_answers_others_is_not_silent(upstream: Upstream) -> None:
    """A caller whose prompts are too long for its deadline says nothing against it, whatever is usual."""
    upstream.answer(0.1)
    hopeless = [upstream.admit() for _ in range(8)]
    upstream.clock.now += 1.0
    upstream.answer(0.1)

    for each in hopeless:
        each.end_unanswered()

    assert upstream.guard.state is BreakerState.CLOSED


def test_slow_answers_stay_usual_among_fast_ones() -> None:
    """The slowest answers of late decide, so a model that is slow only with long prompts has time for them."""
    times = FirstTokenTimes()
    for _ in range(5):
        times.record(10.0, 0.0)
        for _ in range(20):
            times.record(0.2, 0.0)

    assert not times.is_unusual(10.0)

    for _ in range(300):
        times.record(0.2, 0.0)
    assert times.is_unusual(10.0)


def test_a_call_with_clearly_more_time_probes_at_once(upstream: Upstream) -> None:
    """Calls with about as much time as the silence lasted are kept away; the answer to another one ends that."""
    upstream.answer(0.1)
    upstream.stay_silent(2.0)

    assert upstream.find_wait_seconds(2.1) is not None
    assert upstream.find_wait_seconds(5.0) is None
    probe = upstream.admit(replace(PATIENT, deadline=read_clock() + 30.0))
    assert probe.is_probe
    assert upstream.find_wait_seconds(60.0) is not None
    upstream.clock.now += 8.0
    probe.record_first_token()

    assert upstream.guard.state is BreakerState.CLOSED


def test_a_failure_keeps_patient_calls_away_too(upstream: Upstream) -> None:
    """A probe that is let through early and fails is a failure like any other."""
    upstream.answer(0.1)
    upstream.stay_silent(2.0)

    upstream.admit().end(UpstreamFailed(model="fake", http_status=500))

    assert upstream.find_wait_seconds(600.0) is not None


def test_a_silent_probe_waits_longer_for_the_next_one(upstream: Upstream) -> None:
    """An upstream that hangs is tried less and less often, however short the deadlines are."""
    for _ in range(4):
        upstream.admit().end(UpstreamFailed(model="fake", http_status=500))

    waits = []
    for _ in range(4):
        wait = upstream.find_wait_seconds(0.0)
        assert wait is not None
        waits.append(wait)
        upstream.clock.now += wait
        upstream.stay_silent(0.3, calls=1)

    assert waits == [pytest.approx(seconds, rel=0.11) for seconds in (1, 2, 4, 8)]


def test_a_cancelled_probe_is_no_failure(upstream: Upstream) -> None:
    """A client that cancels says nothing: the next call is the probe."""
    for _ in range(4):
        upstream.admit().end(UpstreamFailed(model="fake", http_status=500))
    upstream.clock.now += upstream.find_wait_seconds(0.0) or 0.0

    upstream.admit().abandon()

    assert upstream.find_wait_seconds(0.0) is None


def test_a_late_first_token_ends_a_silence(upstream: Upstream) -> None:
    """A patient call that began before the breaker opened is answered, so nobody is kept away any more."""
    upstream.answer(0.1)
    patient = upstream.admit()
    upstream.stay_silent(2.0)
    before: BreakerState = upstream.guard.state

    patient.record_first_token()

    assert (before, upstream.guard.state) == (BreakerState.OPEN, BreakerState.CLOSED)


def test_a_first_token_does_not_end_other_failures(upstream: Upstream) -> None:
    """An upstream that fails keeps its breaker open, though an answer of an earlier call begins."""
    earlier = upstream.admit()
    for _ in range(4):
        upstream.admit().end(UpstreamFailed(model="fake", http_status=500))

    earlier.record_first_token()

    assert upstream.guard.state is BreakerState.OPEN


def test_a_probe_that_fails_after_its_first_token_is_one_failure(upstream: Upstream) -> None:
    """The first token has closed the breaker, and one failure does not open it."""
    for _ in range(4):
        upstream.admit().end(UpstreamFailed(model="fake", http_status=500))
    upstream.clock.now += upstream.find_wait_seconds(0.0) or 0.0
    probe = upstream.admit()

    probe.record_first_token()
    probe.end(UpstreamFailed(model="fake"))

    assert upstream.guard.state is BreakerState.CLOSED
    assert not upstream.admit().is_probe


@pytest.mark.parametrize("is_timed_out", [pytest.param(True, id="our timer"), pytest.param(False, id="a deadline")])
def test_a_silence_lowers_the_bound(*, is_timed_out: bool) -> None:
    """The bound learns from answers that never begin, and not only from those that begin late."""
    upstream = Upstream(GuardPolicy(breaker=BreakerPolicy(least_calls=1000), most_calls=100, least_calls=2))
    for _ in range(20):
        upstream.answer(0.1)

    for _ in range(10):
        admitted = [upstream.admit() for _ in range(10)]
        upstream.clock.now += 5.0
        for each in admitted:
            upstream.clock.now += 0.2
            if is_timed_out:
                each.end(UpstreamTimeout(model="fake"))
            else:
                each.end_unanswered()

    assert upstream.guard.slots.limit < 50


@pytest.mark.parametrize(
    ("is_sent", "is_cancelled", "is_open"),
    [
        pytest.param(True, False, True, id="the deadline"),
        pytest.param(True, True, False, id="a cancellation"),
        pytest.param(False, False, False, id="nothing sent"),
    ],
)
async def test_a_deadline_counts_only_when_the_upstream_has_the_request(
    *, is_sent: bool, is_cancelled: bool, is_open: bool
) -> None:
    """A client that cancels before its deadline says nothing, and neither does a request that was never sent."""

    async def cut(seconds: float) -> BreakerState | None:
        clock = Clock()
        guards = UpstreamGuards(GuardPolicy(breaker=BreakerPolicy(least_calls=1)), clock)
        model = ScriptedModel([asyncio.Event()], is_sent=is_sent)
        ends = read_clock() + seconds
        context = a_context(deadline=ends + 3600.0 * is_cancelled)
        source = make_resilient(model, guards=guards).stream_call(a_call(), ModelCallPurpose.ANSWER, context)

        async def read() -> list[object]:
            async with aclosing(limit_time(source, "fake", ends)) as events:
                return [event async for event in events]

        reading = asyncio.create_task(read())
        waiting = asyncio.create_task(model.is_waiting.wait())
        await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
        has_begun = waiting.done()
        waiting.cancel()
        clock.now += 20.0
        assert isinstance((await reading)[-1], TimeIsUp)
        return guards.find(DEPLOYMENT).state if has_begun else None

    state = await try_deadlines(cut, least_seconds=0.1)

    assert state is (BreakerState.OPEN if is_open else BreakerState.CLOSED)
