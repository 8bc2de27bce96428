"""`CallTracker`: how many calls are in flight, and whether new ones are still taken."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from reasoning_grpc.domain.errors import ServerShuttingDown

_RETRY_SECONDS: Final = 1.0
"""When a refused client may try again: by then the balancer knows that this server stops."""


class CallTracker:
    """Counts the calls of our own service; health and reflection are not counted."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Counts one call. Raises ServerShuttingDown once draining has begun."""
        if self._draining:
            raise ServerShuttingDown(retry_after_seconds=_RETRY_SECONDS)
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    def drain(self) -> None:
        """Refuses calls from now on."""
        self._draining = True

    async def idle(self) -> None:
        """Returns when no call is in flight."""
        await self._idle.wait()
