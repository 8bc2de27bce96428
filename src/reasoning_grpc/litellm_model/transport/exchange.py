"""The HTTP of our model calls: one pool of connections for all of them, one exchange a call.

Statuses are exact, nothing is retried or redirected behind our back, answers are
bounded, and closing an exchange closes its connection at once.
"""

import asyncio
import io
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from reasoning_grpc.litellm_model.transport.connections import ConnectionPool

_HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "application/json",
    "Accept": "text/event-stream, application/json",
    "User-Agent": "reasoning-grpc",
}
_ERROR_BODY_BYTES: Final = 64 * 1024
_ERROR_BODY_SECONDS: Final = 5.0
_INFLATE_BYTES: Final = 1024 * 1024
READ_ERRORS: Final = (aiohttp.ClientError, ConnectionError)
"""What a read raises when the connection breaks."""
_WHOLE_BYTES: Final = 1024 * 1024
"""Up to here a body goes out in one write; aiohttp warns of larger ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Bounds of the wire."""

    connections: int = 1024
    """Most connections to all upstreams together; further calls wait for one."""
    connect_timeout_seconds: float = 5.0
    max_event_bytes: int = 16 * 1024 * 1024
    max_answer_bytes: int = 256 * 1024 * 1024
    """Most bytes of one answer, after decompression."""
    trailer_seconds: float = 2.0
    """How long usage is waited for after the finish reason, and the end of the stream after `[DONE]`."""


class HttpFailure(Exception):
    """The upstream answered with a status that is no success; never shown, only read by `failures`."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class AnswerTooLarge(ValueError):
    """An answer went over `max_answer_bytes`, or its compression is broken or unknown."""


class Wire:
    """The HTTP of all upstreams, callers and keys: one pool."""

    def __init__(self, limits: WireLimits) -> None:
        self.limits = limits
        self.pool = ConnectionPool(limit=limits.connections, connect_timeout_seconds=limits.connect_timeout_seconds)

    def exchange(self, headers: Mapping[str, str]) -> "Exchange":
        """One exchange, whose request will carry these headers too."""
        return Exchange(self.pool, self.limits, {**headers, "Accept-Encoding": "identity"})

    def dry_exchange(self) -> "Exchange":
        """An exchange that sends nothing, and whose answer is empty."""
        return _DryExchange(self.pool, self.limits, {})

    async def aclose(self) -> None:
        """Closes every connection."""
        await self.pool.aclose()


class Exchange:
    """One POST over the pool, and its answer. Closing it stops the upstream."""

    def __init__(self, pool: ConnectionPool, limits: WireLimits, headers: Mapping[str, str]) -> None:
        """`headers` go with every request, over those that the sender gives."""
        self._pool = pool
        self._held = ExitStack()
        self._headers = headers
        self.limits = limits
        self._response: aiohttp.ClientResponse | None = None
        self._inflate: _Inflater | None = None
        self._read_bytes = 0
        self.waited_seconds = 0.0
        """Time spent waiting for the upstream so far."""
        self.sent = False
        """Whether the request may have reached the upstream."""

    async def send(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> None:
        """Sends the request and returns when the answer's headers are here.

        Raises HttpFailure, or aiohttp's errors, for `failures` to read.
        """
        started = asyncio.get_running_loop().time()
        try:
            session = self._held.enter_context(self._pool.use())
            self._response = await session.post(
                url, data=_payload(body), headers=_merged(_HEADERS, headers, self._headers), allow_redirects=False
            )
        finally:
            self.waited_seconds += asyncio.get_running_loop().time() - started
        self.sent = True
        encoding = self._response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            self._inflate = _Inflater(encoding)
        if not 200 <= self._response.status < 300:
            raise HttpFailure(self._response.status, self._response.headers, await self._error_body())

    @property
    def status(self) -> int:
        """Of the answer; 0 before it is there."""
        return 0 if self._response is None else self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer."""
        return {} if self._response is None else self._response.headers

    @property
    def content_type(self) -> str:
        """The answer's MIME type; empty when it has none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    async def read(self) -> bytes:
        """What the network brought since the last read; empty at the end of the answer.

        Raises aiohttp's errors and AnswerTooLarge.
        """
        if self._inflate is None:
            data = await self._receive()
        else:
            while not (data := self._inflate.next_piece()) and (received := await self._receive()):
                self._inflate.feed(received)
        self._read_bytes += len(data)
        if self._read_bytes > self.limits.max_answer_bytes:
            raise AnswerTooLarge
        return data

    async def read_whole(self) -> bytes:
        """All of an answer that is one document. Raises aiohttp's errors and AnswerTooLarge."""
        pieces: list[bytes] = []
        size = 0
        while data := await self.read():
            pieces.append(data)
            size += len(data)
            if size > self.limits.max_event_bytes:
                raise AnswerTooLarge
        return b"".join(pieces)

    @property
    def at_end(self) -> bool:
        """Whether the answer was read to its end."""
        return self._response is not None and self._response.content.at_eof()

    def close(self) -> None:
        """Gives the connection back if the answer was read to its end; closes it otherwise, at once."""
        if self._response is not None:
            if self.at_end:
                self._response.release()
            else:
                self._response.close()
        self._held.close()

    async def _receive(self) -> bytes:
        assert self._response is not None
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            return await self._response.content.readany()
        finally:
            self.waited_seconds += loop.time() - started

    async def _error_body(self) -> bytes:
        """The start of an error's body; what was read of it when it drips, breaks or does not end."""
        body = b""
        try:
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                while len(body) < _ERROR_BODY_BYTES and (data := await self.read()):
                    body += data
        except (TimeoutError, *READ_ERRORS, AnswerTooLarge):
            pass  # the status alone says enough
        return body[:_ERROR_BODY_BYTES]


class _DryExchange(Exchange):
    """An exchange that ends before the network."""

    async def send(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> None:
        """Sends nothing."""

    @property
    def status(self) -> int:
        """That of an answer."""
        return 200

    async def read(self) -> bytes:
        """Nothing."""
        return b""


def _payload(body: bytes) -> bytes | io.BytesIO:
    """The body, in a form that lets others run while a large one is sent."""
    return body if len(body) <= _WHOLE_BYTES else io.BytesIO(body)


def _merged(*headers: Mapping[str, str]) -> CIMultiDict[str]:
    """All of them; of two with the same name, in whatever case, the later one."""
    merged: CIMultiDict[str] = CIMultiDict()
    for some in headers:
        merged.update(some)
    return merged


class _Inflater:
    """Decompression in bounded pieces, for upstreams that compress although we ask them not to."""

    def __init__(self, encoding: str) -> None:
        self._is_known = encoding in {"gzip", "deflate"}
        self._inflate = zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
        self._packed = b""

    def feed(self, data: bytes) -> None:
        """Takes more compressed bytes, once `next_piece` has nothing left. Raises AnswerTooLarge."""
        if not self._is_known:
            raise AnswerTooLarge("an encoding that was not asked for")
        self._packed = data

    def next_piece(self) -> bytes:
        """The next piece of what was fed; empty when more has to be fed first. Raises AnswerTooLarge."""
        try:
            piece = self._inflate.decompress(self._packed, _INFLATE_BYTES)
        except zlib.error as exc:
            raise AnswerTooLarge("broken compression") from exc
        self._packed = self._inflate.unconsumed_tail
        return piece
