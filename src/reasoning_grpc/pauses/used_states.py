"""`MemoryUsedStates`: knows in this process which states of paused runs have gone on."""

import heapq
from collections.abc import Callable
from typing import Final

from reasoning_grpc.domain import read_clock


class MemoryUsedStates:
    """Remembers the ids of states until they expire. It implements the port `UsedStates`."""

    def __init__(self, clock: Callable[[], float] = read_clock) -> None:
        """`clock` returns seconds."""
        self._clock: Final = clock
        self._used: dict[str, float] = {}
        """When each id may be forgotten."""
        self._ends: list[tuple[float, str]] = []
        """These times with their ids, the earliest first, and those of ids that were released."""

    async def use(self, state_id: str, seconds: float) -> bool:
        """Records that the state goes on, and returns whether it did not before. It expires after these seconds."""
        self._forget_expired()
        if state_id in self._used:
            return False
        self._used[state_id] = end = self._clock() + seconds
        heapq.heappush(self._ends, (end, state_id))
        return True

    def release(self, state_id: str) -> None:
        """Forgets that the state went on: the call failed before it did anything."""
        self._used.pop(state_id, None)

    def count(self) -> int:
        """Returns the number of ids that are remembered."""
        return len(self._used)

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            end, state_id = heapq.heappop(self._ends)
            if self._used.get(state_id) == end:
                del self._used[state_id]
