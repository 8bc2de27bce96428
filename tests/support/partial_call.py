"""Calls that do not send their request whole, as gRPC's own clients do it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.support.bad_requests import SERVICE, raw_method
from tests.support.serving import RunningServer

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING = 0, 1, 3, 4, 6
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_STREAM: Final = 1
_PREFIX_BYTES: Final = 5
"""What stands before a message of gRPC: whether it is compressed, and its length."""


class PartialCall:
    """A call of `Complete` over a connection of its own, on which no other call is made."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def begin(self, address: str) -> None:
        """Sends the headers of the call, and nothing of its request."""
        self._writer.write(_PREFACE)
        self._send_frame(_SETTINGS, stream=0)
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": SERVICE + "Complete",
            ":authority": address,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        encoded = b"".join(b"\0" + _encode_text(name) + _encode_text(value) for name, value in headers.items())
        self._send_frame(_HEADERS, encoded, flags=_END_HEADERS)

    def send(self, part: bytes, *, is_last: bool = False) -> None:
        """Sends a part of what follows the headers, which `encode_message` returns whole."""
        self._send_frame(_DATA, part, flags=_END_STREAM if is_last else 0)

    async def read_answer(self) -> bytes | None:
        """Waits until the server has ended the call; returns its answer, or None when it sent a status alone."""
        answer = b""
        while True:
            header = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(header[:3]))
            kind, flags = header[3:5]
            if kind == _DATA:
                answer += payload
            elif kind == _PING and not flags:
                self._send_frame(_PING, payload, flags=_ACK, stream=0)
            if kind == _RESET or (kind == _HEADERS and flags & _END_STREAM):
                return answer[_PREFIX_BYTES:] or None

    def _send_frame(self, kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = _STREAM) -> None:
        self._writer.write(len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload)


@asynccontextmanager
async def partial_call(address: str) -> AsyncIterator[PartialCall]:
    """Begins a call that has sent nothing but its headers, and closes its connection at the end."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        call = PartialCall(reader, writer)
        call.begin(address)
        yield call
    finally:
        writer.close()


def start_without_request(running: RunningServer, **options: Any) -> Any:
    """Starts a call that sends its headers and never a request."""

    async def wait() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    complete: Any = raw_method(running.channel.stream_unary)
    return complete(wait(), **options)


def encode_message(message: bytes) -> bytes:
    """Returns a message as gRPC sends it, behind its length."""
    return b"\0" + len(message).to_bytes(4) + message


def _encode_text(text: str) -> bytes:
    """Encodes a short text of a header, uncompressed."""
    return bytes([len(text)]) + text.encode()
