"""Calls without any time left: the client does not send them, and the server does not serve them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient, text_request
from reasoning_grpc.v1 import events_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

REQUEST: Final = text_request("hi")
ATTEMPTS: Final = 100


async def read_stream(client: ReasoningClient, timeout_seconds: float) -> None:
    """Reads a stream to its end."""
    async for _ in client.stream(REQUEST, timeout_seconds=timeout_seconds):
        pass


CALLS: Final[dict[str, Callable[[ReasoningClient, float], Awaitable[Any]]]] = {
    "complete": lambda client, seconds: client.complete(REQUEST, timeout_seconds=seconds),
    "stream": read_stream,
    "classify": lambda client, seconds: client.classify(REQUEST, timeout_seconds=seconds),
    "list_models": lambda client, seconds: client.list_models(timeout_seconds=seconds),
}


@pytest.fixture
async def connections() -> AsyncIterator[list[str]]:
    """Listens on a port, and collects a word for each connection; the first entry is the address."""
    seen: list[str] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append("connected")
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    seen.append(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    yield seen
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("seconds", [0, 0.0, -0.0, -1, -3600, float("-inf"), float("nan")])
@pytest.mark.parametrize("name", CALLS)
async def test_a_call_without_time_connects_to_nothing(connections: list[str], name: str, seconds: float) -> None:
    """A call with a timeout of 0 or less fails with DEADLINE_EXCEEDED, and opens no connection."""
    async with ReasoningClient(connections[0]) as client:
        with pytest.raises(CallFailed) as failed:
            await CALLS[name](client, seconds)

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    assert connections[1:] == []


@pytest.mark.parametrize("name", ["complete", "stream"])
async def test_a_call_without_time_reaches_no_upstream(
    running_server: RunningServer, upstream: FakeUpstream, name: str
) -> None:
    """No call with a timeout of 0 reaches the upstream over an open connection, also on a channel of one's own."""
    upstream.always.reply("Hello")
    client = running_server.client()
    await client.complete(REQUEST)

    for _ in range(ATTEMPTS):
        with pytest.raises(CallFailed):
            await CALLS[name](client, 0)
        with pytest.raises(grpc.aio.AioRpcError):
            await client.stub.Complete(REQUEST, timeout=0)

    await client.complete(REQUEST)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_the_server_starts_nothing_after_the_deadline(
    running_server: RunningServer, upstream: FakeUpstream, method: str
) -> None:
    """A call of any client that arrives after its deadline reaches no upstream."""
    upstream.always.reply("Hello")
    await running_server.client().complete(REQUEST)
    request: Any = a_wire_request() if method == "Complete" else events_pb2.StreamCompleteRequest(request=REQUEST)

    for _ in range(ATTEMPTS):
        call: Any = getattr(running_server.stub, method)(request, timeout=0)
        assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    await running_server.client().complete(REQUEST)
    assert len(upstream.requests) == 2
