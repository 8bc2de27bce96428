"""The lag of the event loop, and the limit that follows it."""

import asyncio
import time
from math import ceil

from reasoning_grpc.rpc.loop_lag import LagLimit, LoopLag


def record(limit: LagLimit, lag_seconds: float, in_flight: int, samples: int = 15) -> bool:
    """Records samples that are all equal; returns whether the limit changed."""
    changes = [limit.record(lag_seconds, in_flight) for _ in range(samples)]
    return any(changes)


def test_a_lagging_loop_lowers_the_limit_below_the_calls_in_flight() -> None:
    """The step starts at what is in flight: a limit far above it had no effect."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)

    assert record(limit, 0.1, in_flight=100, samples=5)

    assert limit.limit == 80


def test_a_cut_waits_for_the_effect_of_the_one_before() -> None:
    """However long the loop lags: what is in flight goes on, and nothing more begins."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)
    record(limit, 0.1, in_flight=100)

    assert not record(limit, 0.1, in_flight=81, samples=100)
    assert record(limit, 0.1, in_flight=80)

    assert limit.limit == 64


def test_it_grows_slowly_near_what_was_too_much() -> None:
    """From 51 calls it grows by a fifth, by a tenth about the 64 that were too many, and ever faster above them."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)
    for in_flight in (100, 80, 64):
        record(limit, 0.1, in_flight=in_flight)
    limits = [limit.limit]

    while limits[-1] < 100:
        record(limit, 0.0, in_flight=limits[-1])
        limits.append(limit.limit)

    assert limits == [51, 62, 69, 76, 92, 129]


def test_it_is_soon_back_where_it_was_once_nothing_lags() -> None:
    """A wave of costly calls may have lowered it to its minimum. What follows is cheap."""
    limit = LagLimit(target_seconds=0.025, minimum=16, maximum=1000)
    while limit.limit > 16:
        record(limit, 1.0, in_flight=limit.limit)

    steps = 0
    while limit.limit < 250:
        record(limit, 0.0, in_flight=limit.limit)
        steps += 1

    assert steps <= 9  # three seconds of an idle loop; steps of a fifth alone would take five


def test_a_lag_ends_the_fast_growth() -> None:
    """Even one that is small enough to cut nothing."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)
    record(limit, 0.1, in_flight=10)
    record(limit, 0.1, in_flight=100)
    for _ in range(5):
        record(limit, 0.0, in_flight=limit.limit)
    before = limit.limit

    record(limit, 0.02, in_flight=before)
    record(limit, 0.0, in_flight=before)

    assert limit.limit == ceil(before * 1.2)


def test_it_never_falls_below_its_minimum() -> None:
    """Some calls are always served."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)

    for _ in range(50):
        record(limit, 1.0, in_flight=limit.limit)

    assert limit.limit == 10


def test_a_lag_without_calls_in_flight_is_not_their_fault() -> None:
    """A busy machine, or the import of litellm, leaves the limit where it is while few calls are in flight."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)

    for _ in range(5):
        assert not record(limit, 1.0, in_flight=10)

    assert limit.limit == 1000


def test_it_grows_again_only_when_it_is_used() -> None:
    """A loop without lag raises a limit that is reached, and leaves one alone that is not."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)
    record(limit, 1.0, in_flight=100)
    low = limit.limit

    assert not record(limit, 0.0, in_flight=low // 2)
    assert record(limit, 0.0, in_flight=low)
    for _ in range(100):
        record(limit, 0.0, in_flight=limit.limit)

    assert limit.limit == 1000


def test_a_few_samples_make_no_step() -> None:
    """One long turn of the loop is no overload."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)

    assert not record(limit, 5.0, in_flight=100, samples=4)

    assert limit.limit == 1000


def test_one_long_turn_of_the_loop_makes_no_step() -> None:
    """Whatever stops the process for seconds, such as another process, is no work of its calls."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)

    assert not record(limit, 5.0, in_flight=100, samples=1)
    assert not record(limit, 0.015, in_flight=100, samples=14)


def test_a_great_lag_makes_a_step_after_five_samples() -> None:
    """A lag of four times the target, which lasts, is answered in a third of the time that a step otherwise takes."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)

    assert not record(limit, 0.1, in_flight=100, samples=4)
    assert record(limit, 0.1, in_flight=100, samples=1)


def test_a_small_lag_makes_a_step_after_all_samples() -> None:
    """A lag that is hardly too long may be chance until many samples show it."""
    limit = LagLimit(target_seconds=0.025, minimum=10, maximum=1000)

    assert not record(limit, 0.026, in_flight=100, samples=14)
    assert record(limit, 0.026, in_flight=100, samples=1)


async def test_a_blocked_loop_lags() -> None:
    """A sample after the loop was blocked has at least the time that is missing."""
    samples: asyncio.Queue[float] = asyncio.Queue()
    lag = LoopLag(samples.put_nowait)
    lag.start()
    try:
        await samples.get()
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            pass

        assert await samples.get() >= 0.15
    finally:
        lag.stop()
