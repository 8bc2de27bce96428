"""A real forward proxy on port 0: tunnels (CONNECT) and requests in absolute form, with credentials and faults."""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from tests.support.upstream.changes import Changes

_LONGEST_HEAD: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class ProxiedRequest:
    """The head of a request as the proxy received it."""

    method: str
    target: str
    """HOST:PORT of a tunnel, or the whole URL of a request."""
    headers: Mapping[str, str]
    """The headers by their names in lower case."""


class ForwardProxy:
    """Passes on what it receives to the hosts that it knows, by names that nobody else can resolve."""

    def __init__(self, hosts: Mapping[str, int], *, credentials: str = "", tls: ssl.SSLContext | None = None) -> None:
        """`hosts` are the ports on this machine, by name; `credentials` are USER:PASSWORD that every request needs."""
        self._hosts = hosts
        self._expected = "Basic " + base64.b64encode(credentials.encode()).decode() if credentials else ""
        self._tls = tls
        self._changes = Changes()
        self._answer: bytes | None = None
        self._hangs = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.requests: list[ProxiedRequest] = []
        self.connections = 0
        """The number of connections that were accepted."""

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LONGEST_HEAD, ssl=self._tls)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        await self.close_connections()
        await self._listener.wait_closed()

    @property
    def url(self) -> str:
        """The address of the proxy."""
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._writers)

    @property
    def tunnels(self) -> list[str]:
        """The targets of the tunnels that were requested."""
        return [request.target for request in self.requests if request.method == "CONNECT"]

    def answer(self, status: int, *headers: str) -> None:
        """Answers every request itself from now on, with this status."""
        self._answer = _write_answer(status, *headers)

    def drop(self) -> None:
        """Closes every connection from now on when a request has arrived on it."""
        self._answer = b""

    def garble(self) -> None:
        """Answers every request with bytes that are not HTTP from now on."""
        self._answer = b"no HTTP at all\r\n\r\n"

    def hang(self) -> None:
        """Answers no request from now on."""
        self._hangs = True

    def recover(self) -> None:
        """Serves again from now on, and forgets the requests so far."""
        self._answer, self._hangs = None, False
        self.requests.clear()

    async def close_connections(self) -> None:
        """Closes every connection, as a proxy does with tunnels that were idle for long."""
        for writer in list(self._writers):
            writer.transport.abort()
        await self.all_closed()

    async def request(self, n: int = 1) -> ProxiedRequest:
        """Waits for the n-th request, and returns it."""
        await self._changes.expect(lambda: len(self.requests) >= n, lambda: f"the proxy got {len(self.requests)}")
        return self.requests[n - 1]

    async def all_closed(self) -> None:
        """Waits until no connection is open."""
        await self._changes.expect(lambda: not self.open_connections, lambda: f"{self.open_connections} are open")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        self._changes.notify()
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._pass_on(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()
            self._changes.notify()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves the requests of one connection, which all have the same target."""
        async with _Upstream() as upstream:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = _parse_head(head)
                self.requests.append(request)
                self._changes.notify()
                if self._hangs:
                    await reader.read()  # until the client leaves
                    return
                answer = self._find_own_answer(request)
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                    return
                host, port = _find_target(request)
                await upstream.open(self._hosts.get(host, port), writer)
                if request.method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await upstream.pass_on_everything(reader)
                    return
                body = await reader.readexactly(int(request.headers.get("content-length", "0")))
                await upstream.send(_write_head(request) + body)

    def _find_own_answer(self, request: ProxiedRequest) -> bytes | None:
        """Returns the answer that the proxy gives itself; None when it passes the request on."""
        if self._expected and request.headers.get("proxy-authorization") != self._expected:
            return _write_answer(407, 'Proxy-Authenticate: Basic realm="x"')
        if self._answer is None and _find_target(request)[0] not in self._hosts:
            return _write_answer(502)
        return self._answer


class _Upstream:
    """The connection to a target, from which everything goes back to the client."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None
        self._back: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._back is not None:
            self._back.cancel()
            await asyncio.gather(self._back, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()

    async def open(self, port: int, client: asyncio.StreamWriter) -> None:
        """Connects, unless it is connected."""
        if self._writer is None:
            reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
            self._back = asyncio.create_task(_copy(reader, client))

    async def send(self, data: bytes) -> None:
        """Sends bytes to the target."""
        assert self._writer is not None
        self._writer.write(data)
        await self._writer.drain()

    async def pass_on_everything(self, reader: asyncio.StreamReader) -> None:
        """Passes on what the client sends, until either side ends."""
        assert self._writer is not None
        assert self._back is not None
        there = asyncio.create_task(_copy(reader, self._writer))
        try:
            await asyncio.wait({there, self._back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _write_answer(status: int, *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status} Of the proxy", *headers, "Connection: close", "Content-Length: 14", "")
    return "\r\n".join([*lines, "from the proxy"]).encode()


def _parse_head(head: bytes) -> ProxiedRequest:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return ProxiedRequest(method=method, target=target, headers=headers)


def _find_target(request: ProxiedRequest) -> tuple[str, int]:
    url = urlsplit(request.target if "://" in request.target else f"//{request.target}")
    return url.hostname or "", url.port or 80


def _write_head(request: ProxiedRequest) -> bytes:
    """Returns the head as a proxy passes it on: in origin form, without what was meant for the proxy."""
    url = urlsplit(request.target)
    path = f"{url.path}?{url.query}" if url.query else url.path
    kept = {name: value for name, value in request.headers.items() if not name.startswith("proxy-")}
    lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in kept.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
