"""The two transports to an MCP server: the pipes of a process, and streamable HTTP."""

import asyncio
import logging
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpx2
from mcp import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry.context import get_current

from reasoning_grpc.config import McpServerEntry
from reasoning_grpc.telemetry import build_trace_headers
from reasoning_grpc.tools.mcp_asked import AskedInput, get_current_call
from reasoning_grpc.tools.mcp_incoming import IncomingMessages
from reasoning_grpc.tools.mcp_listed_tools import ReportLeftOut
from reasoning_grpc.tools.mcp_negotiation import Negotiation

_MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""The limit of one answer over HTTP."""

_logger = logging.getLogger("reasoning_grpc.tools")


_http_status: Final[ContextVar["HttpStatus | None"]] = ContextVar("_http_status", default=None)


@dataclass(slots=True)
class HttpStatus:
    """The HTTP status with which a server answered the messages of one caller."""

    code: int = 0
    """0: there was no answer, or the transport is not HTTP."""


@contextmanager
def record_http_status() -> Iterator[HttpStatus]:
    """Records the HTTP status of the answers to messages that are sent within the block."""
    status = HttpStatus()
    token = _http_status.set(status)
    try:
        yield status
    finally:
        _http_status.reset(token)


@asynccontextmanager
async def open_transport(
    entry: McpServerEntry,
    *,
    asked: AskedInput,
    negotiation: Negotiation,
    on_end: Callable[[], None],
    on_status: Callable[[int], None],
    on_left_out: ReportLeftOut,
) -> AsyncIterator[tuple[Any, Any]]:
    """Opens the streams to an MCP server, for the SDK's client.

    `asked` records the requests of the server, and `negotiation` knows the version of the connection. `on_end` is
    called when the server has closed its end, which the SDK does not report. `on_status` receives the status of each
    HTTP answer to a message. `on_left_out` receives the tools that are taken out of a list.
    """
    async with (
        _start_process(entry) if entry.command else _open_http(entry, asked, negotiation, on_status) as (
            reading,
            writing,
        )
    ):
        yield (
            IncomingMessages(
                reading, entry.name, asked=asked, negotiation=negotiation, on_end=on_end, on_left_out=on_left_out
            ),
            writing,
        )


@asynccontextmanager
async def _start_process(entry: McpServerEntry) -> AsyncIterator[tuple[Any, Any]]:
    """Starts a process, and ends it with the block. Its standard error may contain anything, so it is not logged."""
    parameters = StdioServerParameters(
        command=entry.command,
        args=list(entry.args),
        env={name: secret.reveal() for name, secret in entry.env.items()},
        cwd=entry.cwd,
        encoding_error_handler="replace",  # with "strict", bytes that are no text end the SDK's reading without a word
    )
    with ExitStack() as stack:
        is_debugging = _logger.isEnabledFor(logging.DEBUG)
        errors = sys.stderr if is_debugging else stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: ASYNC230
        async with stdio_client(parameters, errlog=errors) as streams:
            yield streams


@asynccontextmanager
async def _open_http(
    entry: McpServerEntry, asked: AskedInput, negotiation: Negotiation, on_status: Callable[[int], None]
) -> AsyncIterator[tuple[Any, Any]]:
    """Sends requests to the server's address. The SDK follows redirects only where they stay within the server."""
    asked.receives_answers = False

    async def add_trace(request: httpx2.Request) -> None:
        request.headers.update(build_trace_headers(get_current()))

    async def limit_answer(response: httpx2.Response) -> None:
        if "mcp-session-id" in response.headers:
            asked.receives_answers = True
        if response.request.method == "POST":
            on_status(response.status_code)
            if (status := _http_status.get()) is not None:
                status.code = response.status_code
        response.headers.pop(
            "Content-Encoding", None
        )  # we did not ask for it, and unpacked bytes would escape the limit
        if "text/event-stream" not in response.headers.get("content-type", ""):  # the SDK limits their events
            response.stream = _BoundedStream(response.stream)
        elif (call := get_current_call()) is not None and not (asked.receives_answers or negotiation.is_modern):
            response.stream = _StreamOfCall(response.stream, call.ended)

    headers = {"User-Agent": "reasoning-grpc", "Accept-Encoding": "identity", **entry.headers}
    headers |= {name: secret.reveal() for name, secret in entry.secret_headers.items()}
    if entry.bearer_token is not None:
        headers["Authorization"] = f"Bearer {entry.bearer_token.reveal()}"
    async with (
        httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=entry.connect_timeout_seconds),
            trust_env=False,
            proxy=_build_proxy(entry),
            verify=ssl.create_default_context(),
            event_hooks={"request": [add_trace], "response": [limit_answer]},
        ) as client,
        streamable_http_client(entry.url, http_client=client, max_sse_event_size=_MAX_ANSWER_BYTES) as streams,
    ):
        yield streams


def _build_proxy(entry: McpServerEntry) -> httpx2.Proxy | None:
    """Returns the HTTP proxy through which the server's address is reached; None when it is reached directly."""
    proxy = entry.upstream_proxy
    if proxy is None:
        return None
    user, _, password = proxy.credentials.reveal().partition(":") if proxy.credentials else ("", "", "")
    tls = ssl.create_default_context() if proxy.url.startswith("https:") else None
    return httpx2.Proxy(proxy.url, auth=(user, password) if user else None, ssl_context=tls)


class _BoundedStream(httpx2.AsyncByteStream):
    """The body of an answer; reading it fails when it gets too long."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > _MAX_ANSWER_BYTES:
                raise httpx2.StreamError("the answer is too long")
            yield chunk

    async def aclose(self) -> None:
        """See httpx2."""
        await self._inner.aclose()


class _StreamOfCall(httpx2.AsyncByteStream):
    """The events of a call; they end with the call.

    The SDK leaves the stream of an older server open, and tells the server that the call was cancelled. A server
    without sessions cannot know which call that is.
    """

    def __init__(self, inner: Any, ended: asyncio.Event) -> None:
        self._inner = inner
        self._ended = ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._inner)
        ending = asyncio.create_task(self._ended.wait(), name="mcp end of a call")
        reading: asyncio.Task[bytes] | None = None
        try:
            while True:
                reading = asyncio.create_task(_read_chunk(chunks), name="mcp events of a call")
                await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done() or not (chunk := reading.result()):
                    return
                yield chunk
        finally:
            for task in filter(None, (reading, ending)):
                task.cancel()
                await asyncio.wait({task})

    async def aclose(self) -> None:
        """See httpx2."""
        await self._inner.aclose()


async def _read_chunk(chunks: AsyncIterator[bytes]) -> bytes:
    """Returns the next chunk that is not empty; an empty one at the end."""
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""
