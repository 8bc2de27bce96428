"""`CallTracker`: counts the calls in flight, and refuses new ones while the server drains."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from reasoning_grpc.domain.errors import ServerShuttingDown

_RETRY_SECONDS: Final = 1.0
"""The delay after which a refused client may try again. By then its load balancer knows that this server stops."""


class CallTracker:
    """Counts the calls of our own service, without health and reflection."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def track(self) -> Iterator[None]:
        """Counts a call for the time of the block. Raises ServerShuttingDown once draining has begun."""
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
        """Refuses new calls from now on."""
        self._draining = True

    async def wait_until_idle(self) -> None:
        """Waits until no call is in flight."""
        await self._idle.wait()
