"""`CallTracker`: counts the calls in flight, and refuses new ones while the server drains."""

import asyncio
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

    def begin(self) -> None:
        """Counts a call until `end`. Raises ServerShuttingDown once draining has begun, and then does not count it."""
        if self._draining:
            raise ServerShuttingDown(retry_after_seconds=_RETRY_SECONDS)
        self.in_flight += 1

    def end(self) -> None:
        """Counts the call no longer."""
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    def drain(self) -> None:
        """Refuses new calls from now on."""
        self._draining = True

    async def wait_until_idle(self) -> None:
        """Waits until no call is in flight."""
        while self.in_flight:
            self._idle.clear()
            await self._idle.wait()
