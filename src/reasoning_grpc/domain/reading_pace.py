"""`ReadingPace`: how the answers of upstreams are read while the process has more to do than it can."""

import asyncio
import random
from typing import Final

from reasoning_grpc.domain.turn_queue import TurnQueue

_READS_IN_TURN: Final = 2
"""The answers that are read on in one turn of the event loop. Each brings many tokens, so two take about a millisecond,
which is how long whatever arrives meanwhile waits for them."""
_SHORTEST: Final = 0.5
"""The shortest pause, to the longest of now."""
_LATE: Final = 0.2
"""The share of the pause from which on an answer that waits for its turn is late. A shorter wait makes no difference to
its reader, and where nobody waits, the process could do more."""


class ReadingPace:
    """The pauses between two reads of one upstream's answer, whose length all answers share and look at anew each time.

    Each read costs much the same, however many tokens it brings. So with pauses the same work serves more streams, and
    tokens leave in groups. When many pauses end together, a few answers are read in each turn of the event loop. The
    pauses are of random length, so that answers that began together do not go on together each time.
    """

    __slots__ = ("_turns", "pause_seconds")

    def __init__(self) -> None:
        self.pause_seconds = 0.0
        """The longest pause of now. 0: an answer is read as soon as something of it has arrived."""
        self._turns = TurnQueue(_READS_IN_TURN)

    async def pause(self) -> None:
        """Waits for a pause between two reads of an answer, and then until it is this answer's turn."""
        await asyncio.sleep(self.pause_seconds * random.uniform(_SHORTEST, 1.0))
        if not self._turns.take_turn():
            await self._turns.wait_for_turn()

    def measure_lag(self) -> float:
        """Returns by how many seconds an answer is late that waits for its turn: the one that has waited longest."""
        return max(0.0, self._turns.measure_longest_wait() - _LATE * self.pause_seconds)
