"""Our clock is that of asyncio's event loops."""

import asyncio

from reasoning_grpc.domain import read_clock


async def test_the_clock_is_that_of_the_event_loop() -> None:
    """Deadlines by one of them hold for timers by the other."""
    loop = asyncio.get_running_loop()

    before, time, after = read_clock(), loop.time(), read_clock()

    assert before <= time <= after
