"""Pauses between two reads of an upstream's answer, of which more may end at once than can be read in a turn."""

import asyncio

from reasoning_grpc.domain import ReadingPace


def _stay_busy(seconds: float) -> None:
    """Lets the turn of the event loop take this long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def count_reads(answers: int) -> list[int]:
    """Lets the pauses of so many answers end at once, and returns how many are read in each turn of the event loop."""
    pace, turns = ReadingPace(), [0]
    pace.pause_seconds = 0.001

    async def read() -> None:
        await pace.pause()
        turns[-1] += 1

    reads = [asyncio.create_task(read()) for _ in range(answers)]
    await asyncio.sleep(0)
    _stay_busy(0.01)  # all pauses are over now
    while not all(each.done() for each in reads):
        await asyncio.sleep(0)
        turns.append(0)
    assert pace.measure_lag() == 0.0
    return turns


async def test_answers_whose_pauses_end_together_are_read_in_several_turns() -> None:
    """No turn of the event loop has more than four reads, and each answer is read once."""
    turns = await count_reads(60)

    assert sum(turns) == 60
    assert max(turns) == 4


async def test_a_long_queue_is_read_in_larger_parts() -> None:
    """A sixteenth of those that wait is read in a turn, so 19 of the 316 that wait behind the first four."""
    turns = await count_reads(320)

    assert sum(turns) == 320
    assert max(turns) == 316 // 16
