"""The circuit breaker of an upstream."""

import pytest

from reasoning_grpc.domain.errors import (
    ContentPolicyViolated,
    ContextWindowExceeded,
    UpstreamCredentialsRejected,
    UpstreamEmptyResponse,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformedResponse,
    UpstreamOverloaded,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRejectedRequest,
    UpstreamRestarting,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from reasoning_grpc.llm.breaker import BreakerPolicy, BreakerState, CircuitBreaker, is_upstream_failure

POLICY = BreakerPolicy(least_calls=4, window_seconds=10.0, base_open_seconds=1.0, max_open_seconds=8.0)
JITTER = 1.1


class Calls:
    """Makes calls through a breaker, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.states: list[BreakerState] = []
        self.breaker = CircuitBreaker(POLICY, lambda: self.now, self.states.append)

    def call(self, *, fails: bool) -> bool:
        """Makes a call; returns whether it went to the upstream."""
        if self.breaker.find_wait_seconds() is not None:
            return False
        is_probe = self.breaker.begin()
        if fails:
            self.breaker.fail(is_probe=is_probe)
        else:
            self.breaker.succeed(is_probe=is_probe)
        return True

    def wait_for_probe(self) -> None:
        """Sets the time to that of the next probe."""
        self.now += self.breaker.find_wait_seconds() or 0.0


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_it_opens_when_half_of_the_calls_fail(calls: Calls) -> None:
    """Once it is open, calls stay away from the upstream, and learn when the next probe is."""
    assert all(calls.call(fails=number % 2 == 1) for number in range(4))

    assert calls.breaker.state is BreakerState.OPEN
    assert not calls.call(fails=False)
    seconds = calls.breaker.find_wait_seconds()
    assert seconds is not None
    assert 0.9 <= seconds <= JITTER


def test_it_does_not_open_on_few_calls(calls: Calls) -> None:
    """Three failures are no reason yet."""
    assert all(calls.call(fails=True) for _ in range(3))

    assert calls.breaker.state is BreakerState.CLOSED


def test_old_failures_are_forgotten(calls: Calls) -> None:
    """Failures long ago do not count against a failure now."""
    for _ in range(3):
        calls.call(fails=True)
    calls.now += 2 * POLICY.window_seconds

    calls.call(fails=True)

    assert calls.breaker.state is BreakerState.CLOSED


def test_a_probe_that_succeeds_closes_it(calls: Calls) -> None:
    """While the probe is at the upstream, other calls stay away from it."""
    for _ in range(4):
        calls.call(fails=True)
    calls.wait_for_probe()

    assert calls.breaker.find_wait_seconds() is None
    is_probe = calls.breaker.begin()
    assert is_probe
    assert calls.breaker.find_wait_seconds() == POLICY.base_open_seconds
    calls.breaker.succeed(is_probe=is_probe)

    assert calls.call(fails=True)
    assert calls.states == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


def test_probes_that_fail_become_rarer(calls: Calls) -> None:
    """The time between probes doubles up to its maximum, and begins anew after a success."""
    for _ in range(4):
        calls.call(fails=True)
    waits = []
    for _ in range(5):
        calls.wait_for_probe()
        assert calls.call(fails=True)
        waits.append(calls.breaker.find_wait_seconds() or 0.0)

    for wait, expected in zip(waits, [2, 4, 8, 8, 8], strict=True):
        assert expected * 0.9 <= wait <= expected * JITTER
    calls.wait_for_probe()
    assert calls.call(fails=False)
    for _ in range(4):
        calls.call(fails=True)
    assert (calls.breaker.find_wait_seconds() or 0.0) <= JITTER


def test_a_cancelled_probe_lets_the_next_call_be_the_probe(calls: Calls) -> None:
    """Nothing is known after it, and nobody waits for another time."""
    for _ in range(4):
        calls.call(fails=True)
    calls.wait_for_probe()
    calls.breaker.abandon(is_probe=calls.breaker.begin())

    assert calls.call(fails=False)

    assert calls.breaker.state is BreakerState.CLOSED


def test_calls_that_began_before_it_opened_do_not_open_it_again(calls: Calls) -> None:
    """Late failures of such calls leave the time of the probe as it is."""
    for _ in range(4):
        calls.call(fails=True)
    before = calls.breaker.find_wait_seconds()

    calls.breaker.fail(is_probe=False)

    assert calls.breaker.find_wait_seconds() == before


@pytest.mark.parametrize(
    ("error", "is_failure"),
    [
        (UpstreamUnreachable, True),
        (UpstreamFailed, True),
        (UpstreamOverloaded, True),
        (UpstreamTimeout, True),
        (UpstreamStalled, True),
        (UpstreamMalformedResponse, True),
        (UpstreamRestarting, False),
        (UpstreamRateLimited, False),
        (UpstreamQuotaExhausted, False),
        (UpstreamCredentialsRejected, False),
        (UpstreamRejectedRequest, False),
        (UpstreamEmptyResponse, False),
        (ContextWindowExceeded, False),
        (ContentPolicyViolated, False),
    ],
)
def test_only_failures_of_the_upstream_count(error: type[UpstreamError], is_failure: bool) -> None:
    """A refusal shows that the upstream answers."""
    assert is_upstream_failure(error(model="m")) is is_failure
