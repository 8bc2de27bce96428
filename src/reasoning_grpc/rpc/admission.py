"""`Admission`: bounds the calls in flight of this process, and refuses early what it cannot serve in time."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reasoning_grpc.domain import FairSlots, ReadingPace, TurnQueue, read_clock
from reasoning_grpc.domain.errors import ServerOverloaded
from reasoning_grpc.rpc.loop_lag import LagLimit, LoopLag
from reasoning_grpc.rpc.pace_control import PaceControl
from reasoning_grpc.rpc.recent_count import RecentCount

_RETRY_SECONDS: Final = (0.5, 1.5)
"""The delay after which a refused client may try again is random between these: by then other calls have ended, and
those that were refused together do not come back together."""

_CALLS_IN_TURN: Final = 5
"""The new calls that begin in one turn of the event loop. Five take about a millisecond, which is how long the tokens
of all other streams then wait."""
_WAIT_OF_PRIORITY: Final = 0.1
"""The longest wait for a turn to begin, in seconds, for each step of a caller's priority: half a second for the default
one of 5, and a tenth for the lowest. Without a bound calls would wait until it is too late, while none is refused. A
wait that is not longer than the accepted lag of the loop refuses no call."""

logger = logging.getLogger("reasoning_grpc.admission")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """The limits of admission."""

    most_calls: int = 1024
    """The most calls in flight. Fewer are admitted while the event loop lags."""
    least_calls: int = 16
    """The calls that are admitted however much the loop lags."""
    max_lag_seconds: float = 0.025
    """The average lag of the loop that is accepted. It delays every token of every stream by about that."""
    most_waiting: int = 128
    """The calls that may wait for admission. Callers share the queue by priority, and fairly."""
    longest_pause_seconds: float = 0.5
    """The longest pause between two reads of an upstream's answer, by which tokens leave in groups under load."""
    queue_seconds: float = 0.02
    """How long a call waits. A refusal that comes later than this helps nobody."""


_DEFAULT_LIMITS: Final = AdmissionLimits()


class Admission:
    """Admits calls of our own service; health and reflection never ask it."""

    def __init__(
        self,
        limits: AdmissionLimits = _DEFAULT_LIMITS,
        on_lag: Callable[[float], None] | None = None,
        pace: ReadingPace | None = None,
    ) -> None:
        """`on_lag` is called with each measured lag of the work that is to be done, in seconds.

        `pace` is that of the upstreams' answers, which depends on the lag.
        """
        self._on_lag = on_lag
        self._limits = limits
        self._slots = FairSlots(limits.most_calls, limits.most_waiting, trims_queue=True)
        self._limit = LagLimit(
            target_seconds=limits.max_lag_seconds,
            minimum=min(limits.least_calls, limits.most_calls),
            maximum=limits.most_calls,
        )
        self._lag = LoopLag(self._record_lag)
        self._pace = pace or ReadingPace()
        self._pace_control = PaceControl(
            self._pace,
            max_lag_seconds=limits.max_lag_seconds,
            longest_pause_seconds=limits.longest_pause_seconds,
        )
        self._arriving = RecentCount()
        """The calls that may wait and are not in the queue yet."""
        self._receiving = 0
        """The calls whose requests are being received."""
        self._most_receiving = limits.most_calls + limits.most_waiting
        self._has_refused = False
        """Whether a call was refused since the latest sample of the lag."""
        self.openings: Final = TurnQueue(_CALLS_IN_TURN)
        """Where admitted calls wait for the turn of the loop in which they begin."""

    @property
    def in_flight(self) -> int:
        """The calls that were admitted and have not ended."""
        return self._slots.in_use

    @property
    def waiting(self) -> int:
        """The calls that wait for admission."""
        return self._slots.waiting

    @property
    def limit(self) -> int:
        """The calls in flight that are admitted now."""
        return self._slots.limit

    @property
    def is_full(self) -> bool:
        """Whether a call that arrives now is refused, unless it may wait."""
        return self._slots.in_use >= self._slots.limit or self._is_receiving_many() or self._would_wait_long(1)

    def try_admit(self, caller: str) -> bool:
        """Admits a call if that needs no waiting; returns whether it did. `end` must follow."""
        if not self._slots.in_use:
            self._lag.start()
        return self._slots.try_take(caller)

    def refuse_at_arrival(self, caller: str, priority: int) -> None:
        """Does what `refuse_if_full` does for a call that has just arrived, and expects it in the queue if it may wait.

        It takes some turns of the event loop to come there. What arrives meanwhile must know of it.
        """
        self.refuse_if_full(caller, priority, self._arriving.total)
        self._arriving.add()

    def refuse_if_full(self, caller: str, priority: int, arriving: int = 0) -> None:
        """Raises ServerOverloaded if a call of this caller would be refused without waiting.

        So many calls, which are `arriving`, will be in the queue before it.
        """
        is_full = self._slots.in_use >= self._slots.limit
        may_wait = self._limits.queue_seconds > 0 and self._slots.has_room(caller, priority, arriving)
        if self._would_wait_long(priority) or self._is_receiving_many() or (is_full and not may_wait):
            raise self._refuse()

    def begin_receiving(self) -> None:
        """Counts a call whose request is being received, until `end_receiving`.

        Each may hold as much memory as the largest request. So there may be as many as could be in flight or wait: of
        more than that, none of them could be served if all of them came at once.
        """
        self._receiving += 1

    def end_receiving(self) -> None:
        """Records that the request of a call has arrived, or that it is awaited no longer."""
        self._receiving -= 1

    def _is_receiving_many(self) -> bool:
        """Whether so many requests are being received that another one may not be."""
        return self._receiving >= self._most_receiving

    def _would_wait_long(self, priority: int) -> bool:
        """Whether a call that arrives now would wait too long for its turn to begin."""
        wait = self.openings.expected_wait_seconds
        return wait > _WAIT_OF_PRIORITY * priority and wait > self._limits.max_lag_seconds

    async def wait(self, caller: str, priority: int) -> float:
        """Waits until a call is admitted that `try_admit` did not admit; returns the seconds that it took.

        `end` must follow. Raises ServerOverloaded when the call is not admitted in time; then `end` must not follow.
        """
        started = read_clock()
        if not await self._slots.take(caller, self._limits.queue_seconds, priority):
            raise self._refuse()
        return read_clock() - started

    def end(self, caller: str) -> None:
        """Records that an admitted call has ended."""
        self._slots.give_back(caller)

    def _record_lag(self, lag_seconds: float) -> None:
        lag_seconds += self._pace.measure_lag()  # what waits for a turn lags, however short the turns are
        in_flight = self._slots.in_use
        if self._on_lag is not None:
            self._on_lag(lag_seconds)
        is_limited = self._limit.limit < self._limits.most_calls
        self._pace_control.record(lag_seconds, has_refused=self._has_refused, is_limited=is_limited)
        self._has_refused = False
        if not in_flight:
            self._lag.stop()
            self._pace_control.rest()
        if self._limit.record(lag_seconds + self.openings.measure_backlog(), in_flight):
            self._slots.limit = self._limit.limit
            logger.info(
                "limit of calls in flight",
                extra={"limit": self._limit.limit, "in_flight": in_flight, "waiting": self._slots.waiting},
            )

    def _refuse(self) -> ServerOverloaded:
        self._has_refused = True
        return ServerOverloaded(retry_after_seconds=random.uniform(*_RETRY_SECONDS))
