"""The slots that callers share, and the queue in front of them."""

import asyncio

from reasoning_grpc.domain.fair_slots import FairSlots

LONG = 60.0
"""A wait that ends by what the test does, and not by its time."""


class Queue:
    """Takes slots in tasks, and records in which order they got them."""

    def __init__(self, slots: FairSlots) -> None:
        self._slots = slots
        self.order: list[str] = []
        self.tasks: dict[str, asyncio.Task[bool]] = {}

    async def wait(self, name: str, owner: str, seconds: float = LONG, priority: int = 5) -> None:
        """Starts to wait for a slot of this owner, and returns when the entry is in the queue, or refused."""
        self.tasks[name] = asyncio.create_task(self._take(name, owner, seconds, priority))
        await asyncio.sleep(0)

    async def _take(self, name: str, owner: str, seconds: float, priority: int) -> bool:
        taken = await self._slots.take(owner, seconds, priority)
        if taken:
            self.order.append(name)
        return taken


async def test_slots_are_taken_at_once_while_some_are_free() -> None:
    """The slot after the last one must wait, and a slot that is given back can be taken again."""
    slots = FairSlots(2, most_waiting=0)

    assert [slots.try_take("a"), slots.try_take("b"), slots.try_take("c")] == [True, True, False]
    assert not await slots.take("c", LONG)
    slots.give_back("a")

    assert slots.try_take("c")
    assert slots.in_use == 2


async def test_a_free_slot_goes_to_the_owner_with_the_fewest() -> None:
    """An owner that holds slots and has many entries waits behind one that holds none."""
    slots = FairSlots(2, most_waiting=10)
    assert all(slots.try_take("greedy") for _ in range(2))
    queue = Queue(slots)
    for number in range(3):
        await queue.wait(f"greedy {number}", "greedy")
    await queue.wait("modest", "modest")

    slots.give_back("greedy")
    await queue.tasks["modest"]
    slots.give_back("greedy")
    await queue.tasks["greedy 0"]

    assert queue.order == ["modest", "greedy 0"]
    for task in queue.tasks.values():
        task.cancel()


async def test_owners_that_hold_equally_many_take_turns() -> None:
    """Two owners, the first of which has all its entries in the queue before the second, are served in turn."""
    slots = FairSlots(1, most_waiting=10)
    assert slots.try_take("other")
    queue = Queue(slots)
    for name in ("a0", "a1", "a2", "b0", "b1"):
        await queue.wait(name, name[0])

    slots.give_back("other")
    for owner in "abab":
        await asyncio.sleep(0)
        slots.give_back(owner)
    await queue.tasks["a2"]

    assert queue.order == ["a0", "b0", "a1", "b1", "a2"]


async def test_who_waits_in_vain_gets_nothing() -> None:
    """The wait ends by its time, and leaves nothing in the queue."""
    slots = FairSlots(1, most_waiting=10)
    assert slots.try_take("a")

    assert not await slots.take("b", 0.001)

    assert slots.waiting == 0
    slots.give_back("a")
    assert slots.in_use == 0


async def test_a_full_queue_refuses_the_owner_that_fills_it() -> None:
    """Another owner takes the place of the last entry of the one that fills the queue, until their shares are equal."""
    slots = FairSlots(1, most_waiting=4)
    assert slots.try_take("other")
    queue = Queue(slots)
    for number in range(4):
        await queue.wait(f"greedy {number}", "greedy")

    await queue.wait("greedy 4", "greedy")
    assert not await queue.tasks["greedy 4"]
    await queue.wait("modest 0", "modest")
    assert not await queue.tasks["greedy 3"]
    await queue.wait("modest 1", "modest")
    assert not await queue.tasks["greedy 2"]
    await queue.wait("modest 2", "modest")
    assert not await queue.tasks["modest 2"]

    assert slots.waiting == 4
    for task in queue.tasks.values():
        task.cancel()


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    """The slot goes to the next in the queue."""
    slots = FairSlots(1, most_waiting=4)
    assert slots.try_take("a")
    queue = Queue(slots)
    await queue.wait("first", "b")
    await queue.wait("second", "b")

    queue.tasks["first"].cancel()
    slots.give_back("a")

    assert await queue.tasks["second"]
    assert queue.tasks["first"].cancelled()
    assert (slots.in_use, slots.waiting) == (1, 0)


async def test_a_slot_that_reaches_a_cancelled_task_is_given_back() -> None:
    """The slot was handed over before the cancellation, but the task has not run since."""
    slots = FairSlots(1, most_waiting=4)
    assert slots.try_take("a")
    queue = Queue(slots)
    await queue.wait("first", "b")

    slots.give_back("a")
    queue.tasks["first"].cancel()
    await asyncio.wait(queue.tasks.values())

    assert queue.tasks["first"].cancelled()
    assert (slots.in_use, slots.waiting) == (0, 0)


async def test_more_slots_are_handed_to_those_who_wait() -> None:
    """A higher limit admits from the queue; a lower one takes nothing away, but admits nobody."""
    slots = FairSlots(1, most_waiting=4)
    assert slots.try_take("a")
    queue = Queue(slots)
    await queue.wait("first", "b")

    slots.limit = 2
    assert await queue.tasks["first"]
    slots.limit = 1
    slots.give_back("a")

    assert slots.in_use == 1
    assert not slots.try_take("a")


async def test_a_queue_that_is_trimmed_holds_half_of_what_is_served_meanwhile() -> None:
    """After an entry has waited in vain while four others were served, two may wait; the next is refused at once."""
    slots = FairSlots(1, most_waiting=10, trims_queue=True)
    assert slots.try_take("a")
    queue = Queue(slots)
    for name in ("first", "second", "third", "fourth"):
        await queue.wait(name, "a")
    await queue.wait("late", "a", seconds=0.2)
    for _ in range(4):
        slots.give_back("a")
    assert not await queue.tasks["late"]

    for name in ("fifth", "sixth", "seventh"):
        await queue.wait(name, "a")

    assert not await queue.tasks["seventh"]
    assert slots.waiting == 2
    for name in ("fifth", "sixth"):
        queue.tasks[name].cancel()


async def test_a_trimmed_queue_grows_with_what_is_served() -> None:
    """Two entries may wait again after one of a queue of one was served."""
    slots = FairSlots(1, most_waiting=10, trims_queue=True)
    assert slots.try_take("a")
    queue = Queue(slots)
    await queue.wait("late", "a", seconds=0.01)
    assert not await queue.tasks["late"]
    await queue.wait("first", "a")
    await queue.wait("refused", "a")
    assert not await queue.tasks["refused"]

    slots.give_back("a")
    for name in ("second", "third"):
        await queue.wait(name, "a")

    assert queue.order == ["first"]
    assert slots.waiting == 2
    for name in ("second", "third"):
        queue.tasks[name].cancel()


async def test_nobody_waits_for_slots_above_a_lowered_limit() -> None:
    """Three slots too many are in use: they are given back first, so a queue of three has no room until one is."""
    slots = FairSlots(4, most_waiting=3)
    for _ in range(4):
        assert slots.try_take("a")

    slots.limit = 1
    refused = slots.has_room("a", 0), await slots.take("a", seconds=60)
    slots.give_back("a")

    assert refused == (False, False)
    assert slots.has_room("a", 0)
    assert not slots.has_room("a", 0, arriving=1)


async def test_a_free_slot_goes_to_the_highest_priority() -> None:
    """An owner with a higher priority comes first, however many slots it holds; equals share as ever."""
    slots = FairSlots(1, most_waiting=10)
    assert slots.try_take("high")
    queue = Queue(slots)
    for name, owner, priority in (("low", "low", 1), ("a", "a", 5), ("high", "high", 9), ("b", "b", 5)):
        await queue.wait(name, owner, priority=priority)

    for owner in ("high", "high", "a", "b"):
        slots.give_back(owner)
        await asyncio.sleep(0)
    await queue.tasks["low"]

    assert queue.order == ["high", "a", "b", "low"]


async def test_a_full_queue_refuses_the_lowest_priority() -> None:
    """A higher priority takes the place of the lowest one, and a lower one gets no place."""
    slots = FairSlots(1, most_waiting=2)
    assert slots.try_take("other")
    queue = Queue(slots)
    await queue.wait("low", "low", priority=1)
    await queue.wait("middle", "middle", priority=5)

    await queue.wait("lowest", "lowest", priority=1)
    assert not await queue.tasks["lowest"]
    await queue.wait("high", "high", priority=9)
    assert not await queue.tasks["low"]
    await queue.wait("high 2", "high", priority=9)
    assert not await queue.tasks["middle"]

    assert slots.waiting == 2
    for task in queue.tasks.values():
        task.cancel()


async def test_a_queue_has_room_for_what_is_arriving_before() -> None:
    """Entries that are on their way count as if they were in the queue; another owner's may still take their place."""
    slots = FairSlots(1, most_waiting=3)
    assert slots.try_take("a")
    queue = Queue(slots)
    await queue.wait("first", "a")
    await queue.wait("second", "a")

    assert slots.has_room("a", 5)
    assert slots.has_room("a", 5, arriving=0)
    assert not slots.has_room("a", 5, arriving=1)
    assert slots.has_room("b", 5, arriving=1)
    assert slots.has_room("a", 6, arriving=1)
    slots.limit = 3
    await asyncio.wait(queue.tasks.values())
