"""Our own HTTP client, which litellm is given through its `client=` parameter.

litellm maps model, parameters and provider, and then calls
`client.chat.completions.with_raw_response.create(**body)`; the socket is ours. So
statuses are exact, nothing is retried or redirected behind our back, and closing a
call closes its connection at once. Honoured by litellm 1.106.2 for the prefixes in
`OWN_WIRE_API_BASES`.
"""

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
import msgspec

from reasoning_grpc.types import Deployment

OWN_WIRE_API_BASES: Final[Mapping[str, str]] = {
    "openai": "https://api.openai.com/v1",
    "litellm_proxy": "",
    "custom_openai": "",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "perplexity": "https://api.perplexity.ai",
}
"""litellm's prefixes that honour `client=`, with the address they mean when none is given."""

_ERROR_BODY_BYTES: Final = 64 * 1024
_ERROR_BODY_SECONDS: Final = 5.0
_INFLATE_BYTES: Final = 1024 * 1024


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
    """One pooled session for all upstreams, callers and keys."""

    def __init__(self, limits: WireLimits) -> None:
        self.limits = limits
        self._session: aiohttp.ClientSession | None = None

    def call(self, deployment: Deployment, request_id: str, trace: Mapping[str, str]) -> "WireCall":
        """A client object for one call of this deployment; id and headers are for the upstream's log and trace."""
        return WireCall(self._open_session(), deployment, request_id, self.limits, trace)

    def dry_call(self, deployment: Deployment) -> "WireCall":
        """A client object that sends nothing, and whose answer is empty."""
        return _DryCall(self._open_session(), deployment, "dry", self.limits, {})

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.limits.connections, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.limits.connect_timeout_seconds),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


class WireCall:
    """One call of one upstream; what litellm takes for an OpenAI client."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        deployment: Deployment,
        request_id: str,
        limits: WireLimits,
        trace: Mapping[str, str],
    ) -> None:
        self._session = session
        self._deployment = deployment
        self._request_id = request_id
        self._trace = trace
        self.limits = limits
        self._response: aiohttp.ClientResponse | None = None
        self._inflate: _Inflater | None = None
        self._read_bytes = 0
        self.waited_seconds = 0.0
        """Time spent waiting for the upstream so far."""
        self.sent = False
        """Whether the request may have reached the upstream."""
        self.taken = False
        """Whether litellm took this object for its client."""
        self.api_key = "not-here"  # litellm looks, and logs; the real one goes into our own header alone

    @property
    def chat(self) -> Self:
        """The first step of litellm's way to `create`."""
        return self

    @property
    def completions(self) -> Self:
        """The second step."""
        return self

    @property
    def with_raw_response(self) -> Self:
        """The third step."""
        return self

    async def create(
        self,
        *,
        timeout: object = None,  # noqa: ARG002, ASYNC109 - litellm's; our timers are in `resilience`
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Self:
        """Sends the request and returns when the answer's headers are here.

        Raises HttpFailure, or aiohttp's errors, for `failures` to read.
        """
        self.taken = True
        payload = msgspec.json.encode(body | dict(extra_body or {}))
        started = asyncio.get_running_loop().time()
        try:
            self._response = await self._session.post(
                f"{self.api_base}/chat/completions",
                data=payload,
                headers=self._headers() | dict(extra_headers or {}),
                allow_redirects=False,
            )
        finally:
            self.waited_seconds += asyncio.get_running_loop().time() - started
        self.sent = True
        encoding = self._response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            self._inflate = _Inflater(encoding)
        if not 200 <= self._response.status < 300:
            raise HttpFailure(self._response.status, self._response.headers, await self._error_body())
        return self

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer; litellm asks for them."""
        return {} if self._response is None else self._response.headers

    def parse(self) -> Self:
        """What litellm hands on as its stream; we read this object ourselves instead."""
        return self

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

    async def _receive(self) -> bytes:
        assert self._response is not None
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            return await self._response.content.readany()
        finally:
            self.waited_seconds += loop.time() - started

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

    @property
    def api_base(self) -> str:
        """Where the upstream is."""
        return (self._deployment.api_base or OWN_WIRE_API_BASES[self._deployment.provider]).rstrip("/")

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "reasoning-grpc",
            "X-Client-Request-Id": self._request_id,  # what OpenAI calls the client's own id; others ignore it
            **self._trace,
            **self._deployment.headers,
        }
        if self._deployment.api_key:
            headers["Authorization"] = f"Bearer {self._deployment.api_key.reveal()}"
        return headers

    async def _error_body(self) -> bytes:
        """The start of an error's body; what was read of it when it drips, breaks or does not end."""
        body = b""
        try:
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                while len(body) < _ERROR_BODY_BYTES and (data := await self.read()):
                    body += data
        except (TimeoutError, aiohttp.ClientError, ConnectionError, AnswerTooLarge):
            pass  # the status alone says enough
        return body[:_ERROR_BODY_BYTES]


class _DryCall(WireCall):
    """A call that ends before the network."""

    async def create(self, **_body: Any) -> Self:
        """Sends nothing."""
        self.taken = True
        return self


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
