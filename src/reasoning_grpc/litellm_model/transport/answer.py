"""`UpstreamAnswer`: an answer that begins to arrive, and its connection."""

import asyncio
from collections.abc import Awaitable, Mapping

import aiohttp
from aiohttp.connector import Connection

from reasoning_grpc.domain import ReadingPace


class UpstreamAnswer:
    """One answer. Its connection returns to the pool when the answer ends, and is closed when it is given up."""

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self._content: aiohttp.StreamReader | None = None
        self.writing: asyncio.Task[None] | None = None
        """The task that still sends the body of the request, if there is one."""
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def begin(self, status: int, headers: Mapping[str, str], content: aiohttp.StreamReader) -> None:
        """Records the head of the answer, which has arrived."""
        self.status, self.headers, self._content = status, headers, content
        content.on_eof(self._return_connection)

    @property
    def is_at_end(self) -> bool:
        """Whether the answer was read to its end."""
        return self._content is not None and self._content.at_eof()

    def read(self) -> Awaitable[bytes]:
        """Returns what the network has brought since the last read; empty at the end. Raises aiohttp's errors.

        There is nothing to read before the head has arrived, and after the answer was closed.
        """
        content = self._content
        assert content is not None
        return _read_all(content) if type(content) is aiohttp.StreamReader else content.readany()  # an empty one

    async def pause(self, pace: ReadingPace) -> None:
        """Lets what arrives during a pause gather in the buffer of the system, unless something is here to be read."""
        content = self._content
        assert content is not None
        transport = content._protocol.transport
        if content._buffer or content._eof or content._exception is not None or transport is None:
            return
        transport.pause_reading()
        try:
            await pace.pause()
        finally:
            transport.resume_reading()

    def close(self) -> None:
        """Closes the connection, unless it has returned to the pool, and gives up what was not read.

        Until its end has arrived, the content holds this answer. It must not be held in turn, or both stay until the
        garbage collector finds them.
        """
        self._close_connection()
        self._content = None

    def _return_connection(self) -> None:
        """Returns the connection of an answer that has arrived whole, unless its request is still being sent."""
        if self.writing is not None and not self.writing.done():
            self._close_connection()
        elif self._connection is not None:
            self._connection.release()
            self._connection = None

    def _close_connection(self) -> None:
        if self.writing is not None:
            self.writing.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def _read_all(content: aiohttp.StreamReader) -> bytes:
    """Does what `readany` of aiohttp's does, in one step.

    That visits each HTTP chunk in the buffer, which takes longer than decoding the JSON in it.
    """
    if content._exception is not None:
        raise content._exception
    buffer = content._buffer
    while not buffer and not content._eof:
        await content._wait("read")
    data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
    buffer.clear()
    content._size = 0
    content._cursor += len(data)
    if content._http_chunk_splits:
        content._http_chunk_splits.clear()
    content._protocol.resume_reading()
    return data
