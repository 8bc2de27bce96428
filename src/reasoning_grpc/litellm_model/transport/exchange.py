"""`Exchange`: one HTTP request to an upstream, and its answer.

Statuses are exact, nothing is retried or redirected without our knowledge, answers are bounded, and closing an
exchange closes its connection at once.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final

import aiohttp
from yarl import URL

from reasoning_grpc.config import UpstreamProxyEntry
from reasoning_grpc.litellm_model.transport.answer import UpstreamAnswer
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.errors import AnswerTooLarge, ExchangeClosed, HttpFailure
from reasoning_grpc.litellm_model.transport.inflater import Inflater

READ_ERRORS: Final = (aiohttp.ClientError, ConnectionError)
"""The errors that a read raises when the connection breaks."""
_ERROR_BODY_BYTES: Final = 64 * 1024
_ERROR_BODY_SECONDS: Final = 5.0
_UNPAUSED_READS: Final = 2
"""The first reads of an answer, which no pause delays: a short answer has no more, and the first token is the one that
is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportLimits:
    """Bounds of the connections to upstreams, and of each answer."""

    connections: int = 1024
    """Most connections to all upstreams together; further calls wait for one."""
    queue_seconds: float = 1.0
    """How long a call waits for a connection while all are in use."""
    connect_timeout_seconds: float = 5.0
    proxy: UpstreamProxyEntry | None = None
    """The HTTP proxy of the upstreams that it carries. None: all are reached directly."""
    max_event_bytes: int = 16 * 1024 * 1024
    max_answer_bytes: int = 256 * 1024 * 1024
    """Most bytes of one answer, after decompression."""
    trailer_seconds: float = 2.0
    """How long we wait for usage after the finish reason, and for the end of the stream after `[DONE]`."""


class Exchange:
    """One POST through the pool, and its answer. Closing it stops the upstream."""

    def __init__(
        self, pool: ConnectionPool, limits: TransportLimits, headers: Mapping[str, str], owner: str = ""
    ) -> None:
        """`headers` go with the request; they win over those that `send` gets.

        The owners share the connections of the pool fairly.
        """
        self._pool = pool
        self._headers = headers
        self._owner = owner
        self.limits = limits
        self._answer: UpstreamAnswer | None = None
        self._inflater: Inflater | None = None
        self._network_reads = 0
        self._read_bytes = 0
        self._is_closed = False
        self._peeked = b""
        self.content_type = ""
        """The MIME type of the answer; empty when it has none, and before it has arrived."""
        self.waited_seconds = 0.0
        """Time spent waiting for the upstream so far."""
        self._queued_seconds = 0.0
        self._queued_since: float | None = None
        """When the wait for a connection began; None while the request does not wait for one."""
        self.is_sent = False
        """Whether the upstream may have received the request."""

    async def send(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> None:
        """Sends the request, and returns when the headers of the answer have arrived.

        Raises HttpFailure, NoFreeConnection, or aiohttp's errors, for `failures` to read, and ExchangeClosed.
        """
        if self._is_closed:
            raise ExchangeClosed
        started = monotonic()
        try:
            answer = await self._pool.send(
                "POST",
                url,
                headers=headers,
                final_headers=self._headers,
                body=body,
                owner=self._owner,
                on_queue=self._record_queue,
                on_sent=self._record_sent,
            )
        finally:
            self.waited_seconds += monotonic() - started - self._queued_seconds
        self._answer = answer
        self.content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        encoding = answer.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            self._inflater = Inflater(encoding)
        if not 200 <= answer.status < 300:
            raise HttpFailure(answer.status, answer.headers, await self._read_error_body())

    def count_queued_seconds(self) -> float:
        """Returns how long the request has waited for a connection so far, because all of them were in use."""
        if self._queued_since is None:
            return self._queued_seconds
        return self._queued_seconds + monotonic() - self._queued_since

    def _record_queue(self, is_waiting: bool) -> None:
        self._queued_seconds = self.count_queued_seconds()
        self._queued_since = monotonic() if is_waiting else None

    def _record_sent(self) -> None:
        self.is_sent = True

    @property
    def status(self) -> int:
        """The status of the answer; 0 before it has arrived."""
        return 0 if self._answer is None else self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer; empty before they have arrived."""
        return {} if self._answer is None else self._answer.headers

    async def read(self) -> bytes:
        """Returns what the network has brought since the last read; empty at the end of the answer.

        Raises aiohttp's errors and AnswerTooLarge.
        """
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        if self._inflater is None:
            data = await self._receive()
        else:
            while not (data := self._inflater.next_chunk()) and (received := await self._receive()):
                self._inflater.feed(received)
        self._read_bytes += len(data)
        if self._read_bytes > self.limits.max_answer_bytes:
            raise AnswerTooLarge
        return data

    async def peek_line(self, beginnings: tuple[bytes, ...]) -> bytes:
        """Returns the first line that is not blank, without its end; a part of it if it has none of these beginnings.

        The bytes remain to be read. Raises aiohttp's errors and AnswerTooLarge.
        """
        data = await self.read()
        line = data.lstrip()
        end = line.find(b"\n")
        if end >= 0 and len(data) <= self.limits.max_event_bytes:  # most answers
            self._peeked = data
            return line[:end]
        chunks: list[bytes] = []
        size = 0
        while data:
            chunks.append(data)
            size += len(data)
            if size > self.limits.max_event_bytes:
                raise AnswerTooLarge
            line = line or data.lstrip()
            if line and (not line.startswith(beginnings) or b"\n" in data[-len(line) :]):
                break
            data = await self.read()
        self._peeked = b"".join(chunks)
        return self._peeked.lstrip().split(b"\n", 1)[0]

    async def read_whole(self) -> bytes:
        """Returns all of an answer that is one document. Raises aiohttp's errors and AnswerTooLarge."""
        chunks: list[bytes] = []
        size = 0
        while data := await self.read():
            chunks.append(data)
            size += len(data)
            if size > self.limits.max_event_bytes:
                raise AnswerTooLarge
        return b"".join(chunks)

    @property
    def is_at_end(self) -> bool:
        """Whether the answer was read to its end."""
        return self._answer is not None and self._answer.is_at_end

    def close(self) -> None:
        """Closes the connection at once, unless the answer has arrived whole; then the pool has it again.

        Nothing is sent from now on.
        """
        self._is_closed = True
        if self._answer is not None:
            self._pool.finish(self._answer)
            self._answer = None

    async def _receive(self) -> bytes:
        assert self._answer is not None  # `send` has returned
        self._network_reads += 1
        if (pace := self._pool.pace).pause_seconds and self._network_reads > _UNPAUSED_READS:
            await self._answer.pause(pace)
        started = monotonic()
        try:
            return await self._answer.read()
        finally:
            self.waited_seconds += monotonic() - started

    async def _read_error_body(self) -> bytes:
        """Returns the start of an error's body, or as much of it as arrives before it breaks or takes too long."""
        body = b""
        try:
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                while len(body) < _ERROR_BODY_BYTES and (data := await self.read()):
                    body += data
        except (TimeoutError, *READ_ERRORS, AnswerTooLarge):
            pass  # the status alone says enough
        return body[:_ERROR_BODY_BYTES]


class DryExchange(Exchange):
    """An exchange that sends nothing, and whose answer is empty."""

    async def send(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """Sends nothing, and counts as sent."""
        self.is_sent = True

    @property
    def status(self) -> int:
        """The status of a success."""
        return 200

    async def read(self) -> bytes:
        """Returns nothing: the answer is at its end."""
        return b""
