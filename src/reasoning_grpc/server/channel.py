"""`Channel`: messages between two processes of one server, over a pair of connected sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, Self

import msgspec

_LENGTH_BYTES: Final = 4
_MOST_WAITING_BYTES: Final = 8 * 1024 * 1024
"""How much may wait for a process that does not read: one that hangs must not fill the memory of the other."""
_FLUSH_SECONDS: Final = 1.0
_ENCODER: Final = msgspec.msgpack.Encoder()


class Channel:
    """Sends and receives messages, which are msgspec structs; each is framed by its length."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: "msgspec.msgpack.Decoder[Any]"
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder

    @classmethod
    async def open(cls, end: socket.socket, kinds: Any) -> Self:
        """Opens one end of a pair of sockets, which this object then owns; `kinds` is the type of what is received."""
        end.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=end)
        return cls(reader, writer, msgspec.msgpack.Decoder(kinds))

    @property
    def descriptor(self) -> int:
        """The descriptor of the socket; -1 once it is closed."""
        end: socket.socket = self._writer.get_extra_info("socket")
        return end.fileno()

    def send(self, message: msgspec.Struct) -> bool:
        """Sends a message without waiting; returns whether it was sent, and not dropped.

        It is dropped when the other process has ended, or does not read what was sent before.
        """
        transport = self._writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > _MOST_WAITING_BYTES:
            return False
        body = _ENCODER.encode(message)
        self._writer.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
        return True

    async def messages(self) -> AsyncIterator[Any]:
        """Yields each message that arrives, until the other process has ended or has closed its end."""
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
                yield self._decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    async def flush(self) -> None:
        """Waits until the other process has what was sent, or has ended, for a second at most."""
        self._writer.transport.set_write_buffer_limits(high=0)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._writer.drain()

    async def aclose(self) -> None:
        """Closes this end, and drops what was not sent."""
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
