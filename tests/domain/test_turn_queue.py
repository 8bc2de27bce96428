"""The queue in which calls, as one kind of work, wait for the turn of the event loop in which they begin."""

import asyncio

import pytest

from reasoning_grpc.domain import TurnQueue


class Turns:
    """Begins calls, and records which of them began in which turn of the event loop."""

    def __init__(self, queue: TurnQueue) -> None:
        self._queue = queue
        self.turns: list[list[int]] = [[]]

    async def begin(self, number: int) -> float:
        """Begins a call, and returns how long it waited."""
        waited = 0.0 if self._queue.take_turn() else await self._queue.wait_for_turn()
        self.turns[-1].append(number)
        return waited

    async def end_turn(self) -> None:
        """Lets everything run that can run in this turn."""
        await asyncio.sleep(0)
        self.turns.append([])


async def test_a_few_calls_begin_in_each_turn_in_order() -> None:
    """Seven calls that arrive at once take three turns, and none overtakes another."""
    turns = Turns(TurnQueue(3))
    calls = [asyncio.create_task(turns.begin(number)) for number in range(7)]

    while not all(call.done() for call in calls):
        await turns.end_turn()

    begun = [turn for turn in turns.turns if turn]
    assert [number for turn in begun for number in turn] == list(range(7))
    assert len(begun) >= 3
    assert max(map(len, begun)) <= 3


@pytest.mark.parametrize("calls_in_turn", [1, 2, 3, 8])
async def test_a_call_that_arrives_alone_does_not_wait(calls_in_turn: int) -> None:
    """Calls in a row, each in a turn of its own, wait for nothing."""
    turns = Turns(TurnQueue(calls_in_turn))

    for number in range(20):
        assert await turns.begin(number) == 0.0
        await turns.end_turn()

    assert [turn for turn in turns.turns if turn] == [[number] for number in range(20)]


@pytest.mark.parametrize("alone", [0, 1, 2, 3])
async def test_calls_that_came_before_do_not_widen_a_turn(alone: int) -> None:
    """However many calls arrived alone before, no turn has more calls than it may have, and all calls begin."""
    turns = Turns(TurnQueue(4))
    for number in range(alone):
        await turns.begin(number)
        await turns.end_turn()

    calls = [asyncio.create_task(turns.begin(number)) for number in range(alone, 20)]
    while not all(call.done() for call in calls):
        await turns.end_turn()

    assert [number for turn in turns.turns for number in turn] == list(range(20))
    assert max(map(len, turns.turns)) <= 4


async def test_a_cancelled_call_takes_no_turn() -> None:
    """The call behind a cancelled one begins in its place, and the queue goes on after its last call."""
    turns = Turns(TurnQueue(1))
    first, second, third = (asyncio.create_task(turns.begin(number)) for number in range(3))
    await asyncio.sleep(0)  # the first begins, and the others wait

    second.cancel()
    await asyncio.wait({first, second, third})

    assert second.cancelled()
    assert [number for turn in turns.turns for number in turn] == [0, 2]
    await turns.end_turn()
    assert await turns.begin(3) == 0.0
