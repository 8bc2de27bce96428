"""A client of gRPC-Web, as a browser speaks it: frames in the body of a POST, the last of which has the trailers."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

BINARY: Final = "application/grpc-web+proto"
TEXT: Final = "application/grpc-web-text+proto"
_TRAILERS: Final = 0x80
"""The flag of the frame with the trailers."""
_BASE64: Final = re.compile(rb"[^=]+=*")
"""One of the encoded parts of a body, of which each may end with padding."""


@dataclass(frozen=True)
class WebAnswer:
    """The answer to a call: its messages and its status."""

    http_status: int
    content_type: str
    messages: list[bytes]
    trailers: dict[str, str]
    """The trailers of the last frame; or the headers, where the status is there because no frame follows."""

    @property
    def code(self) -> int:
        """The number of the gRPC status."""
        return int(self.trailers["grpc-status"])

    @property
    def status(self) -> Status:
        """The status with its details."""
        encoded = self.trailers["grpc-status-details-bin"]
        return Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))


async def call_web(
    session: aiohttp.ClientSession, url: str, request: Message, *, content_type: str = BINARY, **headers: str
) -> WebAnswer:
    """Makes a call, and returns its whole answer."""
    body = b"\0" + request.ByteSize().to_bytes(4, "big") + request.SerializeToString()
    sent = base64.b64encode(body) if content_type == TEXT else body
    types = {"content-type": content_type, "accept": content_type, "x-grpc-web": "1"}
    async with session.post(url, data=sent, headers={**types, **headers}) as response:
        received = await response.read()
        head = {name.lower(): value for name, value in response.headers.items()}
    if head["content-type"] == TEXT:
        received = b"".join(base64.b64decode(part) for part in _BASE64.findall(received))
    frames = list(_split_frames(received))
    messages = [payload for flags, payload in frames if not flags & _TRAILERS]
    ends = [_read_trailers(payload) for flags, payload in frames if flags & _TRAILERS]
    assert len(ends) <= 1
    return WebAnswer(response.status, head["content-type"], messages, ends[0] if ends else head)


def _split_frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the flags and the payload of each frame, which must fill the body exactly."""
    while body:
        end = 5 + int.from_bytes(body[1:5], "big")
        assert len(body) >= end, "the body ends within a frame"
        yield body[0], body[5:end]
        body = body[end:]


def _read_trailers(payload: bytes) -> dict[str, str]:
    """Returns the trailers that a frame has as lines of HTTP/1.1."""
    pairs: list[Any] = [line.split(":", 1) for line in payload.decode().split("\r\n") if line]
    return {name.strip().lower(): value.strip() for name, value in pairs}
