"""`Changes` lets tests wait until a condition is true, without sleeping."""

import asyncio
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 60.0
"""How long a test waits for what must happen, on a busy machine too; only a failing test waits so long."""


class Changes:
    """Wakes every waiter each time its owner reports a change."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Lets every waiter check its condition again."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Waits without a limit until `predicate` is true."""
        while not predicate():
            await self._next.wait()

    async def expect(self, predicate: Callable[[], bool], failure: Callable[[], str]) -> None:
        """Waits until `predicate` is true. When patience ends, it raises AssertionError with the text of `failure`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.wait_for(predicate)
        except TimeoutError:
            raise AssertionError(f"after {PATIENCE_SECONDS:g} s: {failure()}") from None
