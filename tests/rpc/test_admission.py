"""What admission refuses because of waits for a turn of the event loop, and what it takes for a lag of the loop."""

import asyncio

from reasoning_grpc.domain import ReadingPace, TurnQueue
from reasoning_grpc.domain.errors import ServerOverloaded
from reasoning_grpc.rpc.admission import Admission, AdmissionLimits


def _stay_busy(seconds: float) -> None:
    """Lets the turn of the event loop take this long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        pass


async def begin(queue: TurnQueue) -> None:
    """Begins a call as soon as it is its turn."""
    if not queue.take_turn():
        await queue.wait_for_turn()


def is_refused(admission: Admission, priority: int) -> bool:
    """Whether a call that arrives now is refused."""
    try:
        admission.refuse_if_full("caller", priority)
    except ServerOverloaded:
        return True
    return False


async def test_a_long_wait_for_a_turn_refuses_the_lowest_priorities() -> None:
    """In turns of 20 ms eight calls each may begin, so 200 calls make the next one wait for half a second."""
    admission = Admission()
    queue = admission.openings
    loop = asyncio.get_running_loop()
    calls = [asyncio.create_task(begin(queue)) for _ in range(300)]
    refused_at: dict[int, set[int]] = {}

    def lengthen_turn() -> None:
        _stay_busy(0.02)
        refused_at[queue.waiting] = {priority for priority in range(1, 10) if is_refused(admission, priority)}
        if queue.waiting > 8:
            loop.call_soon(lengthen_turn)

    await asyncio.sleep(0)
    assert not is_refused(admission, 1)  # nothing is known of its turns yet
    loop.call_soon(lengthen_turn)
    await asyncio.wait(calls)

    refused = [refused_at[waiting] for waiting in sorted(refused_at)]
    assert all(priorities == set(range(1, len(priorities) + 1)) for priorities in refused)  # the lowest ones, always
    assert any(0 < len(priorities) < 9 for priorities in refused)
    assert queue.expected_wait_seconds == 0.0
    assert not is_refused(admission, 1)


async def test_a_wait_within_the_accepted_lag_refuses_nothing() -> None:
    """Who lets the loop lag for a minute lets calls wait as long for their turn, whatever their priority."""
    admission = Admission(AdmissionLimits(max_lag_seconds=60.0))
    queue = admission.openings
    loop = asyncio.get_running_loop()
    calls = [asyncio.create_task(begin(queue)) for _ in range(300)]
    longest_wait, has_refused = 0.0, False

    def lengthen_turn() -> None:
        nonlocal longest_wait, has_refused
        _stay_busy(0.02)
        longest_wait = max(longest_wait, queue.expected_wait_seconds)
        has_refused |= is_refused(admission, 1)
        if queue.waiting > 8:
            loop.call_soon(lengthen_turn)

    await asyncio.sleep(0)
    loop.call_soon(lengthen_turn)
    await asyncio.wait(calls)

    assert longest_wait > 0.1
    assert not has_refused
    assert not admission.is_full


async def test_reads_that_wait_for_their_turn_are_a_lag() -> None:
    """Admission takes them for one, however short the turns are: two hundred reads in turns of 5 ms last 125 ms."""
    pace, lags = ReadingPace(), list[float]()
    pace.pause_seconds = 0.001
    admission = Admission(on_lag=lags.append, pace=pace)
    assert admission.try_admit("caller")  # the lag is measured while a call is in flight

    reads = [asyncio.create_task(pace.pause()) for _ in range(200)]
    while not all(each.done() for each in reads):
        _stay_busy(0.005)
        await asyncio.sleep(0)
    admission.end("caller")

    assert max(lags) > 0.06
