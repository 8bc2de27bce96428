"""`CircuitBreaker`: stops calling an upstream that fails, and finds out by single calls when it answers again."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Final

from reasoning_grpc.domain.errors import (
    ReasoningError,
    UpstreamFailed,
    UpstreamMalformedResponse,
    UpstreamOverloaded,
    UpstreamRestarting,
    UpstreamStalled,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_FAILURES = (
    UpstreamFailed,
    UpstreamMalformedResponse,
    UpstreamOverloaded,
    UpstreamStalled,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamUnreachable,
)


_PATIENCE_FACTOR: Final = 2.0
"""How many times a silence a call must be able to wait, so that the silence says nothing about it. Calls with one and
the same deadline wait for nearly as long as each other, and shall keep the time between probes."""


def is_upstream_failure(error: ReasoningError) -> bool:
    """Whether an error says that the upstream is not well.

    A refusal of the request or of a key says that it is well. A limit of rates has its own cooldown, and the embedded
    model knows itself when it is back.
    """
    return isinstance(error, _FAILURES) and not isinstance(error, UpstreamRestarting)


class BreakerState(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "CLOSED"
    """Calls go to the upstream."""
    OPEN = "OPEN"
    """No call goes to the upstream until the next probe."""
    HALF_OPEN = "HALF_OPEN"
    """One call, the probe, is at the upstream; its outcome decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """The rule for opening a breaker, and for its probes."""

    failure_share: float = 0.5
    """The breaker opens when at least this share of the recent calls failed."""
    least_calls: int = 10
    """It never opens on fewer recent calls than this."""
    window_seconds: float = 10.0
    """How long a call is recent. It may count for up to twice as long."""
    base_open_seconds: float = 1.0
    """The time until the first probe. It doubles with each probe that fails, and a random tenth is added or taken."""
    max_open_seconds: float = 30.0


@dataclass(slots=True)
class _Count:
    calls: int = 0
    failures: int = 0


class CircuitBreaker:
    """The breaker of one upstream, for all calls to it.

    A call asks `find_wait_seconds` first, then says `begin`, and reports its outcome by one of the three other methods.

    A failure may be a mere silence until the deadline of a call. Callers with short deadlines must not keep a slow
    model from the others, so a breaker that such a silence has opened, or kept open, lets a call probe at once that
    can wait clearly longer than the silence lasted.
    """

    def __init__(
        self,
        policy: BreakerPolicy,
        clock: Callable[[], float],
        on_change: Callable[[BreakerState], None] | None = None,
    ) -> None:
        """`clock` returns seconds of a monotonic clock; `on_change` is called with each new state."""
        self._policy = policy
        self._clock = clock
        self._on_change = on_change
        self.state = BreakerState.CLOSED
        """The state now; only this class sets it."""
        self.is_closed = True
        self._now, self._before = _Count(), _Count()
        """The calls of this window and of the one before it."""
        self._window_end = 0.0
        self._failed_probes = 0
        self._probe_time = 0.0
        self._silent_seconds = inf
        """How long the silence lasted that opened the breaker last; infinite after a failure of another kind."""

    def find_wait_seconds(self, patience_seconds: float = 0.0) -> float | None:
        """Returns the time until the next probe; None when a call may go to the upstream now.

        The patience is how long the call can wait for an answer.
        """
        if self.state is BreakerState.CLOSED:
            return None
        remaining = self._probe_time - self._clock()
        is_patient = patience_seconds > self._silent_seconds * _PATIENCE_FACTOR
        if self.state is BreakerState.OPEN and (remaining <= 0 or is_patient):
            return None
        return max(remaining, self._policy.base_open_seconds if self.state is BreakerState.HALF_OPEN else 0.0)

    def begin(self) -> bool:
        """Records that a call goes to the upstream; returns whether it is the probe."""
        if self.state is not BreakerState.OPEN:
            return False
        self._change(BreakerState.HALF_OPEN)
        return True

    def succeed(self, *, is_probe: bool) -> None:
        """Records that the upstream answered, if only to refuse the request."""
        now = self._clock()
        if now >= self._window_end:
            self._begin_window(now)
        self._now.calls += 1
        if is_probe:
            self._close()

    def fail(self, *, is_probe: bool, silent_seconds: float = inf) -> None:
        """Records that the upstream failed, or that it was silent for this time until the deadline of the call."""
        now = self._clock()
        if now >= self._window_end:
            self._begin_window(now)
        self._now.calls += 1
        self._now.failures += 1
        if is_probe:
            self._failed_probes += 1
            self._open(silent_seconds)
        elif self.state is BreakerState.CLOSED and self._is_failing():
            self._failed_probes = 0
            self._open(silent_seconds)

    def end_silence(self) -> None:
        """Records that the upstream has begun an answer: a breaker that is open because of a silence closes."""
        if self.state is BreakerState.OPEN and self._silent_seconds < inf:
            self._close()

    def abandon(self, *, is_probe: bool) -> None:
        """Records that a call ended without an outcome, such as one that its caller cancelled."""
        if is_probe:
            self._probe_time = self._clock()  # the next call is the probe
            self._change(BreakerState.OPEN)

    def _begin_window(self, now: float) -> None:
        is_adjacent = now < self._window_end + self._policy.window_seconds
        self._before = self._now if is_adjacent else _Count()
        self._now, self._window_end = _Count(), now + self._policy.window_seconds

    def _is_failing(self) -> bool:
        calls = self._now.calls + self._before.calls
        failures = self._now.failures + self._before.failures
        return calls >= self._policy.least_calls and failures >= calls * self._policy.failure_share

    def _close(self) -> None:
        self._failed_probes = 0
        self._now, self._before = _Count(), _Count()
        self._change(BreakerState.CLOSED)

    def _open(self, silent_seconds: float) -> None:
        policy = self._policy
        self._silent_seconds = silent_seconds
        seconds = min(policy.max_open_seconds, policy.base_open_seconds * 2**self._failed_probes)
        self._probe_time = self._clock() + seconds * random.uniform(0.9, 1.1)
        self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        self.state, self.is_closed = state, state is BreakerState.CLOSED
        if self._on_change is not None:
            self._on_change(state)
