"""`Relay`: stands before a server, and counts what clients send it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

_READ_BYTES: Final = 64 * 1024


class Relay:
    """A port of its own, whose connections are handed on to an address as they are."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self.sent_bytes = 0
        """What clients have sent since the count was last set, their connections' own frames included."""

    @property
    def address(self) -> str:
        """Where clients connect to."""
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._host, self._port)
        await asyncio.gather(_hand_on(client, to_server, self._count), _hand_on(server, to_client))

    def _count(self, data: bytes) -> None:
        self.sent_bytes += len(data)


async def _hand_on(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, heed: Callable[[bytes], None] = lambda _: None
) -> None:
    """Until either side leaves; then the other one is left as well."""
    with suppress(ConnectionError):
        while data := await source.read(_READ_BYTES):
            heed(data)
            target.write(data)
            await target.drain()
    target.close()
