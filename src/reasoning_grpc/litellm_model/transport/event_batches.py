"""The events of a streamed answer, in batches as the network brings them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Protocol

from reasoning_grpc.litellm_model.transport.errors import MalformedStream
from reasoning_grpc.litellm_model.transport.exchange import READ_ERRORS, Exchange
from reasoning_grpc.litellm_model.transport.sse import DONE

EVENT_STREAM_TYPES: Final = frozenset({"", "text/event-stream", "text/plain", "application/octet-stream"})
"""MIME types with which upstreams send event streams; the empty one is a missing header."""


class EventDecoder(Protocol):
    """A decoder of the bytes of an answer."""

    failure: MalformedStream | None
    """Why nothing more can be read; the events before it were returned."""

    def __init__(self, *, max_event_bytes: int) -> None:
        """No event may be longer than `max_event_bytes`."""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the events that these bytes complete."""
        ...

    def finish(self) -> list[bytes]:
        """Returns the events that the end of the answer completes."""
        ...


class Progress(Protocol):
    """The state of the answer, as far as its events have been read."""

    @property
    def is_finished(self) -> bool:
        """Whether the finish reason has arrived."""
        ...

    @property
    def is_ended(self) -> bool:
        """Whether the answer has ended, so that nothing more of it may follow."""
        ...


async def event_batches(
    exchange: Exchange, decoder: EventDecoder, progress: Progress
) -> AsyncGenerator[list[bytes], None]:
    """Yields the events that each network read completes, up to `[DONE]`, the end that `progress` sees, or the body's.

    From the finish reason on, the answer is whole: usage and the end of the body are awaited only for
    `trailer_seconds`, and their failures are ignored. What follows the end is not read.

    Raises what `Exchange.read` raises, and MalformedStream.
    """
    done = False
    wait_until: float | None = None
    while True:
        if done or progress.is_finished:
            wait_until = wait_until or asyncio.get_running_loop().time() + exchange.limits.trailer_seconds
            data = await _read_trailer(exchange, wait_until)
        else:
            data = await exchange.read()
        # After the finish reason, half an event at the end is not a part of the answer.
        is_whole = bool(data) or progress.is_finished
        batch = decoder.feed(data) if is_whole else decoder.finish()
        if not done and batch:
            done = DONE in batch
            yield batch[: batch.index(DONE)] if done else batch
            done = done or progress.is_ended
        if decoder.failure is not None and not done:
            raise decoder.failure
        if not data or (done and exchange.is_at_end):
            return


async def _read_trailer(exchange: Exchange, wait_until: float) -> bytes:
    """Returns what the network brings until then; empty when it brings nothing or breaks."""
    try:
        async with asyncio.timeout_at(wait_until):
            return await exchange.read()
    except (TimeoutError, *READ_ERRORS):
        return b""
