"""`TurnQueue`: lets a few units of work begin in each turn of the event loop."""

import asyncio
from collections import deque
from typing import Final

_WAVE_SECONDS: Final = 1.0
_TURN_WEIGHT: Final = 0.2
"""The weight of the latest turn in the average."""


class TurnQueue:
    """Lets a few units of work begin in each turn of the event loop, in the order in which they came.

    Without it, a hundred that come at once would all run in one turn, and whatever else arrives would wait for them.
    """

    def __init__(self, most_in_turn: int) -> None:
        """`most_in_turn` units begin in one turn at most."""
        self._most_in_turn = most_in_turn
        self._unwatched = (most_in_turn + 1) // 2
        """The units that begin before the next turn is waited for: those that come alone need no callback each."""
        self._begun = 0
        """The units that have begun since the turn that was waited for last, which are at least those of this turn."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._arrival_times: deque[float] = deque()
        """When each of those that wait has come."""
        self._turn_seconds = 0.0
        """How long a turn takes in which units begin, on average."""
        self._turn_began = 0.0
        self._backlog_began = 0.0
        """When the first unit began to wait since none did."""

    @property
    def waiting(self) -> int:
        """The units that wait for their turn."""
        return len(self._waiting)

    def take_turn(self) -> bool:
        """Begins a unit in this turn, and returns whether that was possible. If not, it waits for its turn."""
        if self._begun >= self._most_in_turn or self._waiting:
            return False
        self._begun += 1
        if self._begun == self._unwatched:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._begin_turn, loop)
        return True

    async def wait_for_turn(self) -> float:
        """Waits until a unit may begin that `take_turn` did not begin; returns the seconds that it took."""
        loop = asyncio.get_running_loop()
        started, turn = loop.time(), loop.create_future()
        if not self._waiting:
            self._backlog_began = self._turn_began = started
        self._waiting.append(turn)
        self._arrival_times.append(started)
        await turn
        return loop.time() - started

    @property
    def expected_wait_seconds(self) -> float:
        """How long a unit that comes now would wait for its turn, by those that wait and the turns of late."""
        return len(self._waiting) * self._turn_seconds / self._most_in_turn

    def measure_longest_wait(self) -> float:
        """Returns for how many seconds the unit waits that has waited longest; 0 when none waits."""
        return asyncio.get_running_loop().time() - self._arrival_times[0] if self._waiting else 0.0

    def measure_backlog(self) -> float:
        """Returns for how many seconds the unit waits that has waited longest, once units have waited for a second.

        A wave of units that come at once passes. Where it does not, more come than can begin.
        """
        if not self._waiting:
            return 0.0
        now = asyncio.get_running_loop().time()
        return now - self._arrival_times[0] if now - self._backlog_began > _WAVE_SECONDS else 0.0

    def _begin_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun = 0
        if self._waiting:
            now = loop.time()
            self._turn_seconds += (now - self._turn_began - self._turn_seconds) * _TURN_WEIGHT
            self._turn_began = now
        while self._waiting and self._begun < self._most_in_turn:
            turn = self._waiting.popleft()
            self._arrival_times.popleft()
            if not turn.done():  # a unit that was cancelled takes no turn
                turn.set_result(None)
                self._begun += 1
        if self._begun >= self._unwatched:
            loop.call_soon(self._begin_turn, loop)
