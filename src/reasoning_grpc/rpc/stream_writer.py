"""`StreamWriter`: writes the responses of a stream, and gives up on a client that does not read them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import Message

from reasoning_grpc.domain import read_clock
from reasoning_grpc.llm import WaitTimers

Context = grpc.aio.ServicerContext[Any, Any]


class ClientGone(Exception):
    """A write failed because the client has left; grpc will cancel the call in a moment."""


class ClientStalled(Exception):
    """The client has not read for so long that its stream is given up."""


class StreamWriter:
    """Writes the responses of streams, one at a time, each within a limit of time.

    A write waits as soon as what was sent and not read fills the buffers of both sides, which is some megabytes. So a
    client that stops reading costs the server no more than that, and no longer than the limit.
    """

    def __init__(self, write_timeout_seconds: float, timers: WaitTimers) -> None:
        """Creates a writer. Each of the timers that it lends to a stream limits the write that is in progress."""
        self._seconds = write_timeout_seconds
        self._timers = timers

    async def write_all(
        self, behavior: Callable[[Message, Context], AsyncGenerator[Message, None]], request: Message, context: Context
    ) -> None:
        """Writes the responses, which are not yielded to grpc, so that a cancelled write closes the handler at once.

        Raises ClientGone and ClientStalled.
        """
        timer = self._timers.take()
        try:
            async with aclosing(behavior(request, context)) as responses:
                async for response in responses:
                    timer.start(read_clock() + self._seconds)
                    try:
                        await context.write(response)
                    except grpc.aio.InternalError as exc:
                        raise ClientGone from exc
                    except asyncio.CancelledError as exc:
                        if not timer.has_expired():
                            raise
                        raise ClientStalled from exc
                    finally:
                        timer.stop()
        finally:
            self._timers.give_back(timer)
