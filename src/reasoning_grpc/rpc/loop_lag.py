"""`LoopLag`: measures how late the event loop runs, and `LagLimit`, which bounds the calls in flight by it."""

import asyncio
from collections.abc import Callable
from math import ceil, sqrt
from typing import Final

_INTERVAL_SECONDS: Final = 0.02
_SAMPLES: Final = 15
"""The samples of one step: 0.3 seconds of an idle loop, and longer the more it lags."""
_FEWEST_SAMPLES: Final = 5
"""The samples of a step whose lags are too much already for all its samples: nothing that follows would change that."""
_LARGEST_LAG: Final = 4.0
"""How many times the target a sample counts at most, so that one long turn of the loop is no overload."""
_LARGEST_CUT: Final = 0.8
_GROWTH: Final = 0.2
_LARGEST_GROWTH: Final = 1.0
_NEAR: Final = 0.8
"""The share of the calls in flight that were too many last, from which on the limit grows slowly."""
_BEYOND: Final = 1.1
"""The share of them from which on it grows fast again: more can be done by now."""
_SLOW_GROWTH: Final = 0.1


class LagLimit:
    """An adaptive limit of the calls in flight: it grows until the loop lags, and is cut when it does.

    The lag says how far the work of the calls in flight exceeds what this process can do. The time of a whole call says
    how long its answer is, and nothing about this process. The limit grows in large steps up to near what was too much
    last, and in small ones about there, so that it stays near what can be done. Above that its steps become larger and
    larger while nothing lags: after a wave of costly calls, cheap ones are soon admitted again. A cut takes effect only
    as calls end, so no other follows before as few are in flight as it admits.
    """

    def __init__(self, *, target_seconds: float, minimum: int, maximum: int) -> None:
        """`target_seconds` is the average lag that is accepted."""
        self._target = target_seconds
        self._minimum, self._maximum = minimum, maximum
        self._count, self._sum, self._most_in_flight = 0, 0.0, 0
        self._too_many = maximum
        """The calls in flight at the latest cut."""
        self._growth = _GROWTH
        """The share by which the limit grows next, unless it is near what was too much."""
        self.limit = maximum

    def record(self, lag_seconds: float, in_flight: int) -> bool:
        """Records a sample; returns whether the limit has changed by it."""
        self._count += 1
        self._sum += min(lag_seconds, _LARGEST_LAG * self._target)
        self._most_in_flight = max(self._most_in_flight, in_flight)
        has_enough = self._count >= _FEWEST_SAMPLES and self._sum > _SAMPLES * self._target
        if self._count < _SAMPLES and not has_enough:
            return False
        average, most = self._sum / self._count, self._most_in_flight
        self._count, self._sum, self._most_in_flight = 0, 0.0, 0
        limit = self.limit
        if average >= self._target / 2:
            self._growth = _GROWTH
        if average > self._target:
            if most <= self._minimum:  # so few calls are not what delays the loop, and fewer are never admitted
                return False
            if in_flight > limit:  # the latest cut has not taken effect yet
                return False
            self._too_many = min(limit, most)
            factor = max(_LARGEST_CUT, sqrt(self._target / average))
            limit = int(self._too_many * factor)
        elif average < self._target / 2 and most >= limit * 0.9:
            if _NEAR <= limit / self._too_many < _BEYOND:
                growth, self._growth = _SLOW_GROWTH, _GROWTH
            else:
                growth, self._growth = self._growth, min(_LARGEST_GROWTH, self._growth + _GROWTH)
            limit += ceil(limit * growth)
        limit = min(self._maximum, max(self._minimum, limit))
        has_changed, self.limit = limit != self.limit, limit
        return has_changed


class LoopLag:
    """Measures the lag of the running event loop while it is started: how late a timer fires."""

    def __init__(self, on_sample: Callable[[float], None]) -> None:
        self._on_sample = on_sample
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts to measure; has no effect when it measures already."""
        if self._timer is None:
            self._schedule(asyncio.get_running_loop())

    def stop(self) -> None:
        """Stops measuring: an idle process sets no timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _INTERVAL_SECONDS
        self._timer = loop.call_at(due, self._sample, loop, due)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        lag = loop.time() - due
        self._schedule(loop)
        self._on_sample(lag)
