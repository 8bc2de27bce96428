"""The events of a streamed answer, in batches as the network brings them."""

import asyncio
from typing import Final, Protocol

from reasoning_grpc.domain import read_clock
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

    def finish(self, *, drops_half: bool = False) -> list[bytes]:
        """Returns the events that the end of the answer completes; `drops_half` leaves half an event out."""
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


class EventBatches:
    """The events that each network read completes, up to `[DONE]`, the end that `progress` sees, or the body's.

    From the finish reason on, the answer is whole: usage and the end of the body are awaited only for
    `trailer_seconds`, and their failures are ignored. What follows the end is not read.
    """

    def __init__(self, exchange: Exchange, decoder: EventDecoder, progress: Progress) -> None:
        self._exchange = exchange
        self._decoder = decoder
        self._progress = progress
        self._is_done = False
        self._is_at_end = False
        """Whether the body has ended, so that only what the decoder still holds is left."""
        self._is_last = False
        """Whether nothing is left behind the latest batch."""
        self._has_read = False
        self._wait_until: float | None = None

    async def next_batch(self) -> list[bytes] | None:
        """Returns the next batch; None at the end. Raises what `Exchange.read` raises, and MalformedStream.

        The state of `progress` must include the batch before it.
        """
        while not self._has_read or not self._find_end():
            batch = self._finish() if self._is_at_end else await self._read_batch()
            self._has_read = True
            if batch and not self._is_done:
                self._is_done = DONE in batch
                return batch[: batch.index(DONE)] if self._is_done else batch
        return None

    async def _read_batch(self) -> list[bytes]:
        """Returns the events of the next network read; at the end of the body, those whose lines are whole.

        The last ones are read apart from what follows them, since they may bring the finish reason, or follow it.
        """
        is_whole = self._is_done or self._progress.is_finished
        data = await (self._read_trailer() if is_whole else self._exchange.read())
        self._is_at_end = not data
        return self._decoder.feed(data)

    def _finish(self) -> list[bytes]:
        """Returns the last event where it has no end. Half an event after the finish reason is not of the answer."""
        self._is_last = True
        return self._decoder.finish(drops_half=self._progress.is_finished)

    def _find_end(self) -> bool:
        """Returns whether nothing more is to be read, now that the latest batch was read. Raises MalformedStream."""
        self._is_done = self._is_done or self._progress.is_ended
        if self._decoder.failure is not None and not self._is_done:
            raise self._decoder.failure
        return self._is_last or (self._is_done and self._exchange.is_at_end)

    async def _read_trailer(self) -> bytes:
        """Returns what the network brings behind the end of the answer; empty when it brings nothing or breaks."""
        if self._wait_until is None:
            self._wait_until = read_clock() + self._exchange.limits.trailer_seconds
        try:
            async with asyncio.timeout_at(self._wait_until):
                return await self._exchange.read()
        except (TimeoutError, *READ_ERRORS):
            return b""
