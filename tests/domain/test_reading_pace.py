"""Pauses between two reads of an upstream's answer, and what they tell admission when more end than can be read."""

import asyncio

from reasoning_grpc.domain import ReadingPace
from reasoning_grpc.rpc.admission import Admission

_TURN_SECONDS = 0.005
_READS = 200


def _stay_busy(seconds: float) -> None:
    """Lets the turn of the event loop take this long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def test_answers_whose_pauses_end_together_are_read_in_several_turns() -> None:
    """No turn of the event loop has more than eight reads, and each answer is read once."""
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
    assert max(turns) == 8
    assert pace.measure_lag() == 0.0


async def test_reads_that_wait_for_their_turn_are_a_lag() -> None:
    """Admission takes them for one, however short the turns are: two hundred reads in turns of 5 ms last 125 ms."""
    pace, lags = ReadingPace(), list[float]()
    pace.pause_seconds = 0.001
    admission = Admission(on_lag=lags.append, pace=pace)
    assert admission.try_admit("caller")  # the lag is measured while a call is in flight

    reads = [asyncio.create_task(pace.pause()) for _ in range(_READS)]
    while not all(each.done() for each in reads):
        _stay_busy(_TURN_SECONDS)
        await asyncio.sleep(0)
    admission.end("caller")

    assert max(lags) > 0.06
