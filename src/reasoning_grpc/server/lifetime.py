"""`serve_until`: one process that serves, from its start until it has drained."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from reasoning_grpc.server.server import Server


@dataclass(frozen=True, slots=True)
class Stop:
    """The times of a stop: see `Server.stop`."""

    delay_seconds: float
    grace_seconds: float


async def serve_until(
    stopping: "asyncio.Future[Stop]",
    server: Server,
    start: Coroutine[Any, Any, None],
    on_change: Callable[[], object],
) -> None:
    """Starts the server, serves until `stopping` has its times, and drains. Raises StartError.

    A stop during the start cancels it. `on_change` is called when the server serves, and when it begins to drain.
    """
    starting = asyncio.ensure_future(start)
    first: set[asyncio.Future[Any]] = {starting, stopping}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        return  # the stop came during the start
    on_change()
    stop = await stopping
    draining = asyncio.ensure_future(server.stop(stop.grace_seconds, stop.delay_seconds, closes_connections=False))
    await asyncio.sleep(0)  # the drain has begun
    on_change()
    await draining
