"""`FairSlots`: a bounded number of slots with a short queue. Those who wait share them by priority, and fairly."""

import asyncio
from collections import deque
from typing import Final

_GROWTH: Final = 0.25
"""How much more a trimmed queue holds after as many were served as it holds. The slower it grows, the fewer wait in
vain until it is known again that it is too long."""


class FairSlots:
    """Slots for what may be in progress at once. `take` waits in a bounded queue when all of them are in use.

    A slot that becomes free goes to the highest priority among those that wait. Of the owners with this priority it
    goes to the one that holds the fewest, and within an owner to whoever came first. When the queue is full, the lowest
    priority in it gives up an entry for a higher one. Among equals the owner with the most entries gives one up for an
    owner that has fewer. So an owner that floods the queue takes nothing from one that sends a little.
    """

    def __init__(self, limit: int, most_waiting: int, *, trims_queue: bool = False) -> None:
        """With `trims_queue` the queue holds no more than half of those that are served while one may wait.

        An entry that has waited in vain shows how many these are. So while all slots stay in use, nearly all entries
        are refused at once, and nearly all that wait are served. With a queue of all of them, each would wait for about
        as long as it may, and many of them in vain.
        """
        self._trims_queue = trims_queue
        self._limit = limit
        self._most_waiting = most_waiting
        self._room = float(most_waiting)
        """The entries that the queue accepts now."""
        self._handed_over = 0
        """The slots that were ever given to an entry of the queue."""
        self.in_use = 0
        self.waiting = 0
        """The number of entries in the queue."""
        self._held: dict[str, int] = {}
        """The slots in use by each owner that ever had one: owners are callers of a configuration, which are few."""
        self._queues: dict[str, deque[asyncio.Future[bool]]] = {}
        """Those who wait, by owner. An owner without any has no entry."""
        self._priorities: dict[str, int] = {}
        """The priority of each owner that ever waited."""

    @property
    def limit(self) -> int:
        """The number of slots. Those in use may be more, after it was lowered, until enough of them are given back."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._hand_over()

    def try_take(self, owner: str) -> bool:
        """Takes a slot if one is free and nobody waits for it; returns whether it did."""
        if self.in_use >= self._limit or self.waiting:
            return False
        self.in_use += 1
        self._held[owner] = self._held.get(owner, 0) + 1
        return True

    def has_room(self, owner: str, priority: int, arriving: int = 0) -> bool:
        """Returns whether the queue would accept an entry of this owner, after so many that are arriving."""
        return self._count_before() + arriving < self._room or self._find_loser(owner, priority) is not None

    async def take(self, owner: str, seconds: float, priority: int = 0) -> bool:
        """Takes a slot, for which it waits at most this long; returns whether it got one.

        Returns False at once when the queue is full. `priority` is that of the owner; higher ones come first.
        """
        if self.try_take(owner):
            return True
        self._priorities[owner] = priority
        if seconds <= 0 or not self._make_room(owner, priority):
            return False
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._queues.setdefault(owner, deque()).append(turn)
        self.waiting += 1
        timer = loop.call_later(seconds, self._give_up, owner, turn, self._handed_over)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(owner, turn)
            elif turn.result():  # the slot was handed over in the same turn of the loop in which the task was cancelled
                self.give_back(owner)
            raise
        finally:
            timer.cancel()

    def give_back(self, owner: str) -> None:
        """Gives back a slot that this owner holds."""
        self.in_use -= 1
        self._held[owner] -= 1
        if self.waiting:
            self._hand_over()

    def _hand_over(self) -> None:
        """Gives the free slots to those who wait."""
        while self.waiting and self.in_use < self._limit:
            owner = min(self._queues, key=lambda each: (-self._priorities[each], self._held.get(each, 0)))
            turn = self._queues[owner][0]
            self._leave(owner, turn)
            if not turn.done():  # a cancelled task leaves the queue only when it runs again
                self.in_use += 1
                self._held[owner] = self._held.get(owner, 0) + 1
                turn.set_result(True)
                self._handed_over += 1
                self._room = min(self._most_waiting, self._room + _GROWTH / self._room)

    def _count_before(self) -> int:
        """Returns how many slots must become free before one does for another entry.

        They are more than the entries where the limit was lowered and the slots in use exceed it.
        """
        return self.waiting + max(0, self.in_use - self._limit)

    def _make_room(self, owner: str, priority: int) -> bool:
        """Returns whether the queue has room for one more of this owner, for which another owner may lose its last."""
        if self._count_before() < self._room:
            return True
        if (loser := self._find_loser(owner, priority)) is None:
            return False
        self._refuse(loser, self._queues[loser][-1])
        return True

    def _find_loser(self, owner: str, priority: int) -> str | None:
        """Returns the owner that gives up an entry of a full queue for one of this owner.

        None: no other has a lower priority, or as low a one and more entries.
        """
        if not self._queues:
            return None
        longest = max(self._queues, key=lambda each: (-self._priorities[each], len(self._queues[each])))
        if (lowest := self._priorities[longest]) != priority:
            return longest if lowest < priority else None
        return longest if len(self._queues[longest]) > len(self._queues.get(owner, ())) + 1 else None

    def _give_up(self, owner: str, turn: asyncio.Future[bool], handed_over: int) -> None:
        """Refuses an entry that has waited in vain. So many slots had been handed over when it came."""
        if not turn.done():
            if self._trims_queue:
                self._room = min(self._room, max(1.0, (self._handed_over - handed_over) / 2))
            self._refuse(owner, turn)

    def _refuse(self, owner: str, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            self._leave(owner, turn)
            turn.set_result(False)

    def _leave(self, owner: str, turn: asyncio.Future[bool]) -> None:
        """Takes an entry out of the queue, if it is still in it."""
        queue = self._queues.get(owner)
        if queue is None or turn not in queue:
            return
        queue.remove(turn)
        self.waiting -= 1
        del self._queues[owner]
        if queue:
            self._queues[owner] = queue  # behind the others, so that equal owners take turns
