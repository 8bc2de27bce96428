"""Pauses between two reads of an upstream's answer, of which more may end at once than can be read in a turn."""

import asyncio

from reasoning_grpc.domain import ReadingPace

_READS = 200


def _stay_busy(seconds: float) -> None:
    """Lets the turn of the event loop take this long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def test_answers_whose_pauses_end_together_are_read_in_several_turns() -> None:
    """No turn of the event loop has more than two reads, and each answer is read once."""
    pace, turns = ReadingPace(), [0]
    pace.pause_seconds = 0.001

    async def read() -> None:
        await pace.pause()
        turns[-1] += 1

    reads = [asyncio.create_task(read()) for _ in range(_READS)]
    await asyncio.sleep(0)
    _stay_busy(0.01)  # all pauses are over now
    while not all(each.done() for each in reads):
        await asyncio.sleep(0)
        turns.append(0)

    assert sum(turns) == _READS
    assert max(turns) == 2
    assert pace.measure_lag() == 0.0


async def test_pauses_that_begin_together_end_in_another_order() -> None:
    """Answers that began together do not go on together each time, and none before half of the longest pause."""
    pace, loop = ReadingPace(), asyncio.get_running_loop()
    pace.pause_seconds = 0.2
    started, ended = loop.time(), list[int]()

    async def read(number: int) -> None:
        await pace.pause()
        assert loop.time() - started > pace.pause_seconds * 0.499
        ended.append(number)

    await asyncio.gather(*(read(number) for number in range(_READS)))

    assert sorted(ended) == list(range(_READS)) != ended
