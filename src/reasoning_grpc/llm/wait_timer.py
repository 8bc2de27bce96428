"""`WaitTimer`: limits each of many waits of a task with one timer of the event loop. `WaitTimers` reuses them."""

import asyncio
from collections.abc import Callable

from reasoning_grpc.domain import read_clock


def _count_nothing() -> float:
    return 0.0


class WaitTimer:
    """Cancels a task that waits too long. It does what `asyncio.timeout_at` does, for many waits in a row.

    Nearly every wait ends in time, so starting one only sets its end: the loop's timer goes on, and is set again when
    it fires early. Between two waits nothing is cancelled, however long the time between them is.
    """

    __slots__ = ("_cancelling", "_ends", "_fires", "_handle", "_has_cancelled", "_loop", "_task", "_uncounted")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._fires = 0.0
        """When the loop's timer fires, if there is one."""
        self._ends = 0.0
        self._task: asyncio.Task[object] | None = None
        """The task that waits; None between waits."""
        self._uncounted: Callable[[], float] = _count_nothing
        self._cancelling = 0
        self._has_cancelled = False

    @property
    def is_waiting(self) -> bool:
        """Whether a wait has started and not ended."""
        return self._task is not None

    def start(self, ends: float, uncounted: Callable[[], float] = _count_nothing) -> None:
        """Starts a wait of the current task until this time of the loop's clock; it stays until `stop`.

        `uncounted` returns the seconds so far that do not count, by which the wait may last longer.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task, self._ends, self._cancelling = task, ends, task.cancelling()
        self._uncounted = uncounted
        if self._handle is None or self._fires > ends:
            self.close()
            self._set(ends)

    def stop(self) -> None:
        """Ends the wait."""
        if self._has_cancelled:
            self.has_expired()
        self._task = None
        self._uncounted = _count_nothing  # it may hold a whole answer

    def has_expired(self) -> bool:
        """Whether a cancellation that ended the wait is the timer's, and no one else's; it then counts no more."""
        if not self._has_cancelled or self._task is None:
            return False
        self._has_cancelled = False
        return self._task.uncancel() <= self._cancelling

    def close(self) -> None:
        """Releases the loop's timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self, ends: float) -> None:
        self._handle, self._fires = self._loop.call_at(ends, self._check), ends

    def _check(self) -> None:
        self._handle = None
        if self._task is None:
            return  # the next wait sets the timer
        ends = self._ends + self._uncounted()
        if read_clock() < ends:
            self._set(ends)
        else:
            self._has_cancelled = True
            self._task.cancel()


class WaitTimers:
    """Lends the timers of one event loop, so that many short tasks need one timer of the loop together.

    A timer that is given back is still set. It fires once, at an end that has passed, unless it is lent before.
    """

    def __init__(self) -> None:
        self._idle: list[WaitTimer] = []
        self._lent: set[WaitTimer] = set()

    def take(self) -> WaitTimer:
        """Returns a timer that no one uses."""
        timer = self._idle.pop() if self._idle else WaitTimer(asyncio.get_running_loop())
        self._lent.add(timer)
        return timer

    def give_back(self, timer: WaitTimer) -> None:
        """Takes a timer back, between two waits."""
        self._lent.remove(timer)
        self._idle.append(timer)

    def count_waits(self) -> int:
        """Returns how many of the lent timers limit a wait at this moment."""
        return sum(timer.is_waiting for timer in self._lent)
