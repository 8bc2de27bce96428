"""`Pace`: lets calls begin at a constant rate."""

import asyncio
from collections.abc import Awaitable, Callable


class Pace:
    """Lets one call begin in each interval.

    A machine that is too slow begins fewer calls: what is late is not made up for, so the load never comes in bursts.
    """

    def __init__(
        self,
        calls_per_second: float,
        read_clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = 1 / calls_per_second
        self._read_clock = read_clock
        self._sleep = sleep
        self._next = 0.0

    async def wait(self) -> None:
        """Returns when the next call may begin."""
        now = self._read_clock()
        begins = max(now, self._next)
        self._next = begins + self._interval
        if begins > now:
            await self._sleep(begins - now)
