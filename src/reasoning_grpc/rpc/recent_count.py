"""`RecentCount`: counts what happened in the latest turns of the event loop."""

import asyncio
from collections import deque
from typing import Final

_TURNS: Final = 4


class RecentCount:
    """Counts what happened in this turn of the running event loop and in the three before it."""

    def __init__(self) -> None:
        self.total = 0
        self._turns: deque[int] = deque()
        """What was counted in each turn, the oldest first; empty while nothing is."""

    def add(self) -> None:
        """Counts one more, until four turns have passed."""
        self.total += 1
        if not self._turns:
            self._turns.append(0)
            self._watch_turn()
        self._turns[-1] += 1

    def _watch_turn(self) -> None:
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        if len(self._turns) == _TURNS:
            self.total -= self._turns.popleft()
        if not self.total:
            self._turns.clear()
            return
        self._turns.append(0)
        self._watch_turn()
