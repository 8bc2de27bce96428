"""`Relay` stands before a server, and counts the bytes that clients send to it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

_READ_BYTES: Final = 64 * 1024


class Relay:
    """Listens on a port of its own, and forwards every connection to an address unchanged."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self.sent_bytes = 0
        """The number of bytes that clients have sent since it was last set, frames of the connection included."""

    @property
    def address(self) -> str:
        """Returns the address that clients connect to."""
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve_connection, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve_connection(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._host, self._port)
        await asyncio.gather(_forward(client, to_server, self._count), _forward(server, to_client))

    def _count(self, data: bytes) -> None:
        self.sent_bytes += len(data)


async def _forward(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, on_data: Callable[[bytes], None] = lambda _: None
) -> None:
    """Copies data until one side closes its connection, then closes the other one."""
    with suppress(ConnectionError):
        while data := await source.read(_READ_BYTES):
            on_data(data)
            target.write(data)
            await target.drain()
    target.close()
