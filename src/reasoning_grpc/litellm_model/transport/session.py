"""`UpstreamSession`: sends requests to upstreams, through the HTTP proxy where it carries their hosts.

aiohttp makes the connections and parses the answers. Its `ClientSession` is left out, because it takes three times as
long for a request: what is alike in all requests to one address is built once here, and nothing is ever redirected,
repeated, decompressed or kept in a cookie.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, StreamWriter
from multidict import CIMultiDict
from yarl import URL

from reasoning_grpc.config import UpstreamProxyEntry
from reasoning_grpc.domain import FairSlots
from reasoning_grpc.litellm_model.transport.answer import UpstreamAnswer
from reasoning_grpc.litellm_model.transport.errors import NoFreeConnection

_USER_AGENT: Final[Mapping[str, str]] = {"User-Agent": "reasoning-grpc"}
_MAX_TARGETS: Final = 1024
"""The most addresses for which the built parts are kept."""
_LINE_BYTES: Final = 8190
"""The longest line, and the longest header, of an answer's head."""
_MOST_HEADERS: Final = 128
_BUFFER_BYTES: Final = 64 * 1024
"""The bytes of an answer that wait to be read before its connection is paused."""
_SINGLE_WRITE_BYTES: Final = 1024 * 1024
"""The largest body that is sent in one write; a larger one is sent by a task of its own, so that others can run."""
_SLICE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Target:
    """The parts of a request that are alike in all requests to one address."""

    request: aiohttp.ClientRequest
    """Tells aiohttp's connector where to connect to; it is never sent itself."""
    first_line: str
    headers: Mapping[str, str]


class UpstreamSession:
    """Sends requests over the connections of one connector, each of which takes one of the given slots."""

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        slots: FairSlots,
        *,
        queue_seconds: float,
        headers: Mapping[str, str] | None,
        proxy: UpstreamProxyEntry | None,
        connect_timeout_seconds: float | None,
    ) -> None:
        """`headers` go with every request, and lose against its own headers.

        A request waits for a slot at most `queue_seconds`. The connector itself must have no limit.
        """
        self._connector = connector
        self._slots = slots
        self._queue_seconds = queue_seconds
        self._headers = headers
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds)
        self._find_target = lru_cache(maxsize=_MAX_TARGETS)(self._build_target)

    async def send(
        self,
        method: str,
        url: str | URL,
        *,
        headers: Mapping[str, str],
        final_headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
        owner: str = "",
        on_queue: Callable[[bool], None] | None = None,
        on_sent: Callable[[], None] | None = None,
    ) -> UpstreamAnswer:
        """Sends a request, and returns when the headers of the answer have arrived; `final_headers` win over `headers`.

        `on_queue` is called with True when the request begins to wait for a slot, which the owners share fairly, and
        with False when it no longer does. `on_sent` is called as soon as the upstream may receive the request.
        Raises NoFreeConnection, aiohttp's errors, and ValueError for a header that would be several lines.
        """
        target = self._find_target(method, url)
        head = _write_head(target, headers, final_headers, len(body))
        if not self._slots.try_take(owner):
            await self._wait_for_slot(owner, on_queue)
        try:
            connection = await self._connector.connect(target.request, [], self._timeout)
        except BaseException as exc:
            self._slots.give_back(owner)
            if isinstance(exc, TimeoutError):
                raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {target.request.url}") from exc
            raise
        connection.add_callback(partial(self._slots.give_back, owner))  # when it is released or closed
        answer = UpstreamAnswer(connection)
        try:
            protocol = self._begin(answer, connection, head, body)
            if on_sent is not None:
                on_sent()
            message, content = await protocol.read()
            while 100 <= message.code < 200:  # the answer follows
                message, content = await protocol.read()
        except HttpProcessingError as exc:
            answer.close()
            raise aiohttp.ClientResponseError(
                target.request.request_info, (), status=exc.code, message=exc.message, headers=exc.headers
            ) from exc
        except BaseException:
            answer.close()
            raise
        answer.begin(message.code, message.headers, content)
        return answer

    async def _wait_for_slot(self, owner: str, on_queue: Callable[[bool], None] | None) -> None:
        """Takes a slot, for which it waits. Raises NoFreeConnection."""
        if on_queue is not None:
            on_queue(True)
        try:
            if not await self._slots.take(owner, self._queue_seconds):
                raise NoFreeConnection
        finally:
            if on_queue is not None:
                on_queue(False)

    @staticmethod
    def _begin(answer: UpstreamAnswer, connection: Connection, head: bytes, body: bytes) -> ResponseHandler:
        """Begins to send a request, and returns what reads the answer. Raises ServerDisconnectedError."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=_BUFFER_BYTES,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
            max_headers=_MOST_HEADERS,
        )
        if len(body) <= _SINGLE_WRITE_BYTES:
            transport.write(head + body)
        else:
            writer = StreamWriter(protocol, asyncio.get_running_loop())
            answer.writing = asyncio.create_task(_write_slices(writer, head, body))
        return protocol

    def _build_target(self, method: str, url: str | URL) -> _Target:
        """Returns what is alike in all requests to a URL. Raises InvalidURL."""
        try:
            url = URL(url)
        except ValueError as exc:
            raise aiohttp.InvalidURL(url) from exc
        if url.scheme not in {"http", "https"}:
            raise aiohttp.InvalidURL(url)
        added: dict[str, str] = {}
        proxy: URL | None = None
        tunnel_headers: CIMultiDict[str] | None = None
        if self._proxy is not None and self._proxy.carries(url.raw_host or ""):
            own = _build_proxy_headers(self._proxy)
            proxy = URL(self._proxy.url)
            if url.scheme == "https":
                tunnel_headers = CIMultiDict({**_USER_AGENT, **own})  # the upstream does not see them
            else:
                added = own
        request = aiohttp.ClientRequest(
            method,
            url,
            headers=self._headers,
            loop=asyncio.get_running_loop(),
            proxy=proxy,
            proxy_headers=tunnel_headers,
        )
        if tunnel_headers is not None:
            # aiohttp adds this header when it opens a tunnel, and knows an open tunnel by all of its headers.
            tunnel_headers["Host"] = request.headers["Host"]
        resource = str(request.url) if proxy is not None and url.scheme == "http" else request.url.raw_path_qs
        return _Target(request, f"{method} {resource} HTTP/1.1\r\n", {**request.headers, **added})


def _write_head(
    target: _Target, headers: Mapping[str, str], final_headers: Mapping[str, str], body_bytes: int
) -> bytes:
    """Returns the head of a request; of several headers with one name, in whatever case, the last wins.

    Raises ValueError for a header that would be several lines.
    """
    merged = CIMultiDict(target.headers)
    merged.update(headers)
    merged.update(final_headers)
    merged["Content-Length"] = str(body_bytes)
    lines = "".join([f"{name}: {value}\r\n" for name, value in merged.items()])
    if not lines.count("\r") == lines.count("\n") == len(merged) or "\0" in lines:
        raise ValueError("a header has a line break or a null character")
    return f"{target.first_line}{lines}\r\n".encode()


async def _write_slices(writer: StreamWriter, head: bytes, body: bytes) -> None:
    """Writes a large body as fast as the upstream takes it. The reader of the answer learns of a broken connection."""
    try:
        await writer.write(head)
        for start in range(0, len(body), _SLICE_BYTES):
            await writer.write(body[start : start + _SLICE_BYTES])
    except ConnectionError:
        pass


def _build_proxy_headers(proxy: UpstreamProxyEntry) -> dict[str, str]:
    if not proxy.credentials:
        return {}
    encoded = base64.b64encode(proxy.credentials.reveal().encode()).decode()
    return {"Proxy-Authorization": f"Basic {encoded}"}
