"""The timer that limits each of many waits of a task."""

import asyncio

import pytest

from reasoning_grpc.llm.wait_timer import WaitTimer, WaitTimers

FAR = 3600.0
"""Seconds that no test waits."""


async def wait_for_ever() -> None:
    """Waits until it is cancelled."""
    await asyncio.Event().wait()


async def wait_until_cancelled(timer: WaitTimer, ends: float, waiting: asyncio.Event) -> bool:
    """Waits until it is cancelled, and returns whether the timer takes the cancellation for its own."""
    timer.start(ends)
    waiting.set()
    try:
        await wait_for_ever()
    except asyncio.CancelledError:
        return timer.has_expired()
    finally:
        timer.stop()
    raise AssertionError


async def test_a_wait_that_lasts_too_long_is_cancelled() -> None:
    """The timer says that the cancellation is its own, and the task may go on."""
    loop = asyncio.get_running_loop()
    timer = WaitTimer(loop)
    task = asyncio.current_task()
    assert task is not None

    timer.start(loop.time())
    with pytest.raises(asyncio.CancelledError):
        await wait_for_ever()

    assert timer.has_expired()
    assert not timer.has_expired()
    timer.stop()
    assert task.cancelling() == 0
    timer.close()


async def test_a_later_wait_may_end_earlier() -> None:
    """A wait is cancelled at its own end, also when the wait before it would have ended later."""
    loop = asyncio.get_running_loop()
    timer = WaitTimer(loop)

    timer.start(loop.time() + FAR)
    timer.stop()
    timer.start(loop.time())
    with pytest.raises(asyncio.CancelledError):
        await wait_for_ever()

    assert timer.has_expired()
    timer.stop()
    timer.close()


async def test_nothing_is_cancelled_between_waits() -> None:
    """The end of a wait that was stopped passes, and so does the end of a wait that another one has replaced."""
    loop = asyncio.get_running_loop()
    timer, passed = WaitTimer(loop), asyncio.Event()

    timer.start(loop.time())
    timer.stop()
    loop.call_later(0, passed.set)  # behind the timer
    await passed.wait()
    timer.start(loop.time())
    timer.start(loop.time() + FAR)
    passed.clear()
    loop.call_later(0, passed.set)
    await passed.wait()

    assert not timer.has_expired()
    timer.stop()
    timer.close()


async def test_a_cancellation_from_outside_is_not_the_timers() -> None:
    """A task that someone else cancels stays cancelled, and the timer takes nothing back."""
    loop, waiting = asyncio.get_running_loop(), asyncio.Event()
    timer = WaitTimer(loop)
    task = asyncio.create_task(wait_until_cancelled(timer, loop.time() + FAR, waiting))
    await waiting.wait()
    task.cancel()

    assert not await task
    assert task.cancelling() == 1
    timer.close()


async def test_a_cancellation_from_outside_wins() -> None:
    """When the timer and someone else cancel the same wait, the task is cancelled."""
    loop, waiting = asyncio.get_running_loop(), asyncio.Event()
    timer = WaitTimer(loop)
    task = asyncio.create_task(wait_until_cancelled(timer, loop.time(), waiting))
    await waiting.wait()
    loop.call_soon(task.cancel)

    assert not await task
    timer.close()


async def test_another_error_takes_the_cancellation_back() -> None:
    """A wait that the timer ends may fail in its own way; the task is not cancelled afterwards."""
    loop = asyncio.get_running_loop()
    timer, task = WaitTimer(loop), asyncio.current_task()
    assert task is not None

    async def fail() -> None:
        try:
            await wait_for_ever()
        except asyncio.CancelledError:
            raise ValueError("its own") from None

    timer.start(loop.time())
    with pytest.raises(ValueError, match="its own"):
        await fail()
    timer.stop()

    assert task.cancelling() == 0
    timer.close()


async def test_a_timer_that_was_given_back_cancels_nothing() -> None:
    """The end of its last wait passes; the timer limits the next wait of whoever takes it."""
    loop, passed = asyncio.get_running_loop(), asyncio.Event()
    timers = WaitTimers()
    timer = timers.take()

    timer.start(loop.time())
    timer.stop()
    timers.give_back(timer)
    loop.call_later(0, passed.set)  # behind the timer
    await passed.wait()
    again = timers.take()
    again.start(loop.time())
    with pytest.raises(asyncio.CancelledError):
        await wait_for_ever()

    assert again is timer
    assert again.has_expired()
    again.stop()
    again.close()


async def test_waits_are_counted() -> None:
    """Only timers that limit a wait at this moment count, whatever was lent and given back before."""
    timers, loop = WaitTimers(), asyncio.get_running_loop()
    first, second, third = (timers.take() for _ in range(3))

    for timer in (first, second):
        timer.start(loop.time() + FAR)
    assert timers.count_waits() == 2

    first.stop()
    assert timers.count_waits() == 1
    second.stop()
    for timer in (first, second, third):
        timers.give_back(timer)
        timer.close()
    assert timers.count_waits() == 0


async def test_a_timer_is_lent_once() -> None:
    """Two tasks never share a timer."""
    timers = WaitTimers()

    assert timers.take() is not timers.take()


async def test_time_that_does_not_count_prolongs_a_wait() -> None:
    """A wait that is over goes on for as long as what does not count, and no longer."""
    loop = asyncio.get_running_loop()
    timer = WaitTimer(loop)
    uncounted = iter([FAR, 0.0])
    asked = asyncio.Event()

    def count() -> float:
        asked.set()
        return next(uncounted)

    timer.start(loop.time(), count)
    await asked.wait()
    timer.stop()
    timer.start(loop.time(), count)
    with pytest.raises(asyncio.CancelledError):
        await wait_for_ever()

    assert timer.has_expired()
    timer.stop()
    timer.close()
