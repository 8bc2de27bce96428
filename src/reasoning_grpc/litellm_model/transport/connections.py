"""`ConnectionPool`: the TCP connections to upstreams, kept for the next request, bounded and counted."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from reasoning_grpc.config import UpstreamProxyEntry
from reasoning_grpc.domain import FairSlots, ReadingPace
from reasoning_grpc.litellm_model.transport.answer import UpstreamAnswer
from reasoning_grpc.litellm_model.transport.errors import TunnelNotOpened
from reasoning_grpc.litellm_model.transport.session import UpstreamSession

_KEEP_SECONDS: Final = 60.0
"""How long an idle connection is kept."""
_MOST_WAITING: Final = 1024
"""The most requests that wait for a connection at once; further ones are refused without waiting."""


class ConnectionPool:
    """The connections of all requests, whatever their keys; the first request creates what makes them."""

    def __init__(
        self,
        *,
        limit: int,
        queue_seconds: float = 1.0,
        connect_timeout_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: UpstreamProxyEntry | None = None,
    ) -> None:
        """`limit` bounds the connections to all hosts together; `headers` go with every request.

        A request waits for one of them at most `queue_seconds`. A connection that becomes free goes to whoever has the
        fewest: an upstream that hangs keeps what it has, and gets no more of them than others that wait.
        `proxy` is the HTTP proxy of the hosts that it carries. Tunnels through it are kept like other connections.
        """
        self._slots = FairSlots(limit, _MOST_WAITING)
        self._queue_seconds = queue_seconds
        self._proxy = proxy
        self._connect_timeout_seconds = connect_timeout_seconds
        self._headers = headers
        self._connector: aiohttp.BaseConnector | None = None
        self._session: UpstreamSession | None = None
        self.opened = 0
        """Connections opened so far."""
        self.open = 0
        """Connections that are open now."""
        self.pace: Final = ReadingPace()
        """How the answers are read that come over these connections. Whoever knows the load of the process sets it."""
        self.active = 0
        """Requests in progress: each has a connection or waits for one."""

    @property
    def idle(self) -> int:
        """Open connections without a request."""
        return max(0, self.open - self.active)

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
        """Sends a request, and returns when the headers of the answer have arrived; `finish` must follow then.

        `final_headers` win over `headers`. The owners share the connections fairly. `on_queue` is called with True when
        the request begins to wait for a connection, and with False when it no longer does; `on_sent` is called as soon
        as the upstream may receive the request.
        Raises NoFreeConnection, aiohttp's errors, and ValueError for a header that would be several lines.
        """
        self.active += 1
        try:
            session = self._session or self._open_session()
            return await session.send(
                method,
                url,
                headers=headers,
                final_headers=final_headers,
                body=body,
                owner=owner,
                on_queue=on_queue,
                on_sent=on_sent,
            )
        except BaseException:
            self.active -= 1
            raise

    def finish(self, answer: UpstreamAnswer) -> None:
        """Closes the connection of an answer that was not read to its end. The request is no longer in progress."""
        self.active -= 1
        answer.close()

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[UpstreamAnswer, None]:
        """Yields the answer to a request, whose headers have arrived. Raises NoFreeConnection and aiohttp's errors."""
        answer = await self.send(method, url, headers=headers)
        try:
            yield answer
        finally:
            self.finish(answer)

    async def aclose(self) -> None:
        """Closes every connection."""
        if self._connector is not None:
            await self._connector.close()
            self._connector = self._session = None

    def _open_session(self) -> UpstreamSession:
        # The slots are its limit: aiohttp would let a request wait for ever, and would not say that it does.
        self._connector = _Connector(limit=0, keepalive_timeout=_KEEP_SECONDS, socket_factory=self._new_socket)
        self._session = UpstreamSession(
            self._connector,
            self._slots,
            queue_seconds=self._queue_seconds,
            headers=self._headers,
            proxy=self._proxy,
            connect_timeout_seconds=self._connect_timeout_seconds,
        )
        return self._session

    def _new_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, *_ = address
        return _CountedSocket(self, family, kind, protocol)


class _Protocol(ResponseHandler):
    """A protocol that resumes only what was paused, and that keeps nothing once it is closed.

    aiohttp resumes after each HTTP chunk of an answer that is read, and then asks the parser for more, also where
    nothing was paused.
    """

    def close(self) -> None:
        """See `ResponseHandler.close`."""
        super().close()
        self._buffer.clear()  # with the headers of an answer that nobody read, it holds itself in a circle

    def resume_reading(self, resume_parser: bool = True) -> None:
        """See `ResponseHandler.resume_reading`."""
        if self._reading_paused:
            super().resume_reading(resume_parser)


class _Connector(aiohttp.TCPConnector):
    """A connector that bounds the time to open a tunnel; aiohttp bounds only the time to reach the proxy."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(_Protocol, loop=self._loop))

    async def _create_connection(self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109
        if not req.proxy:
            return await super()._create_connection(req, traces, timeout)
        try:
            async with asyncio.timeout(timeout.sock_connect):
                return await super()._create_connection(req, traces, timeout)
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError):
            raise
        except (aiohttp.ClientError, ConnectionError) as exc:
            raise TunnelNotOpened from exc


class _CountedSocket(socket.socket):
    """A socket that its pool counts until it is closed."""

    def __init__(self, pool: ConnectionPool, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._pool: ConnectionPool | None = pool
        pool.opened += 1
        pool.open += 1

    def close(self) -> None:
        """See `socket.socket.close`."""
        if self._pool is not None:
            self._pool.open -= 1
            self._pool = None
        super().close()
