"""Waiting for something to become true, without sleeping."""

import asyncio
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 60.0
"""How long a test waits for what must happen, on a busy machine too; only a failing test waits so long."""


class Changes:
    """Wakes whoever waits, each time its owner says that something changed."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Let every waiter look again."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait_for(self, predicate: Callable[[], bool]) -> None:
        """Wait, for ever if need be, until `predicate` holds."""
        while not predicate():
            await self._next.wait()

    async def expect(self, predicate: Callable[[], bool], failure: Callable[[], str]) -> None:
        """Wait until `predicate` holds; when patience ends, raise AssertionError with what `failure` says then."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.wait_for(predicate)
        except TimeoutError:
            raise AssertionError(f"after {PATIENCE_SECONDS:g} s: {failure()}") from None
