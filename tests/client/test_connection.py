"""The channels of the Python client: retries, load balancing, keepalive, options."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CHANNEL_OPTIONS, SERVICE_CONFIG, CallFailed, ReasoningClient, connect, text_request
from reasoning_grpc.v1 import completion_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceServicer,
    ReasoningServiceStub,
    add_ReasoningServiceServicer_to_server,
)

ROOT = Path(__file__).resolve().parents[2]
PUSHBACK = "grpc-retry-pushback-ms"
SERVICER: Any = ReasoningServiceServicer
"""For mypy the class is abstract, but the tests need only one of its four methods."""


class Unavailable(SERVICER):  # type: ignore[misc]
    """A server that rejects its first calls with UNAVAILABLE and a pushback, and counts all calls."""

    def __init__(self, name: str = "", times: int = 0, pushback: str = "10") -> None:
        self.name, self.calls = name, 0
        self._times, self._pushback = times, pushback

    async def Complete(self, _request: Any, context: Any) -> completion_pb2.CompleteResponse:
        self.calls += 1
        if self.calls <= self._times:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "come back", ((PUSHBACK, self._pushback),))
        return completion_pb2.CompleteResponse(model=self.name)


@pytest.fixture
async def listen() -> AsyncIterator[Any]:
    """Returns a function that serves a servicer on a free port, and returns the port."""
    servers = []

    async def start(servicer: Any) -> int:
        server = grpc.aio.server()
        add_ReasoningServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        servers.append(server)
        return port

    yield start
    for server in servers:
        await server.stop(None)


async def test_an_unavailable_call_is_sent_again(listen: Any) -> None:
    """gRPC itself sends the call again after the server's pushback, and the caller gets an answer."""
    servicer = Unavailable("here", times=2)

    async with ReasoningClient(f"127.0.0.1:{await listen(servicer)}") as client:
        answer = await client.complete(text_request("hi"), timeout_seconds=60)

    assert (answer.model, servicer.calls) == ("here", 3)


async def test_a_negative_pushback_stops_the_retries(listen: Any) -> None:
    """A call that fails with UNAVAILABLE and the pushback -1 is sent only once."""
    servicer = Unavailable(times=1, pushback="-1")

    async with ReasoningClient(f"127.0.0.1:{await listen(servicer)}") as client:
        with pytest.raises(CallFailed) as failed:
            await client.complete(text_request("hi"), timeout_seconds=60)

    assert (failed.value.code, servicer.calls) == (grpc.StatusCode.UNAVAILABLE, 1)


@pytest.mark.parametrize(("characters", "calls"), [(1_000_000, 2), (1_100_000, 1)])
async def test_large_requests_are_sent_once(listen: Any, characters: int, calls: int) -> None:
    """A request over 1 MiB is sent only once, because gRPC does not keep it for a retry."""
    servicer = Unavailable(times=1)

    async with ReasoningClient(f"127.0.0.1:{await listen(servicer)}") as client:
        with suppress(CallFailed):
            await client.complete(text_request("x" * characters), timeout_seconds=60)

    assert servicer.calls == calls


async def test_calls_are_distributed_over_the_addresses(listen: Any) -> None:
    """Each address of a name with two addresses gets half of the calls."""
    ports = [await listen(Unavailable(name)) for name in ("one", "two")]
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)

    async with ReasoningClient(target) as client:
        names: Counter[str] = Counter()
        while len(names) < 2:  # until both are connected
            names[(await client.complete(text_request("hi"), timeout_seconds=60)).model] += 1
        names.clear()
        for _ in range(10):
            names[(await client.complete(text_request("hi"), timeout_seconds=60)).model] += 1

    assert names == {"one": 5, "two": 5}


async def test_options_override_the_defaults(listen: Any) -> None:
    """A channel with an empty service config does not repeat calls."""
    servicer = Unavailable(times=1)
    target = f"127.0.0.1:{await listen(servicer)}"

    async with connect(target, options=[("grpc.service_config", "{}")]) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await ReasoningServiceStub(channel).Complete(text_request("hi"), timeout=60)

    assert servicer.calls == 1


@pytest.mark.slow
async def test_a_silent_call_is_pinged_for_as_long_as_it_lasts() -> None:
    """A silent call is pinged all the time, so that a dead server is noticed; by default gRPC stops after two pings."""
    pings: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    listening = await asyncio.start_server(partial(answer_pings, pings), "127.0.0.1", 0)
    target = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    async with listening, connect(target, options=[("grpc.keepalive_time_ms", 1000)]) as channel:
        call = ReasoningServiceStub(channel).Complete(text_request("hi"), timeout=60)
        for _ in range(4):
            connection = await pings.get()
        call.cancel()

    connection.close()
    await connection.wait_closed()


@pytest.mark.slow
async def test_a_server_that_hangs_is_noticed_in_the_time_of_keepalive() -> None:
    """A call ends when a ping is not answered for ten seconds; by default gRPC waits a minute all the same."""
    pings: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    listening = await asyncio.start_server(partial(answer_pings, pings, is_hanging=True), "127.0.0.1", 0)
    target = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    options = [("grpc.keepalive_time_ms", 1000), ("grpc.service_config", "{}")]  # it connects once, and does not retry

    async with listening, connect(target, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await ReasoningServiceStub(channel).Complete(text_request("hi"), timeout=50)

    assert (failed.value.code(), "ping timeout" in (failed.value.details() or "")) == (
        grpc.StatusCode.UNAVAILABLE,
        True,
    )
    connection = await pings.get()
    connection.close()
    await connection.wait_closed()


async def answer_pings(
    pings: "asyncio.Queue[asyncio.StreamWriter]",
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    is_hanging: bool = False,
) -> None:
    """Answers settings and pings, the part of HTTP/2 that keeps a connection alive, and reports each ping.

    A server that hangs answers no pings.
    """
    settings, ping, ack = 4, 6, 1
    await reader.readexactly(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    writer.write(bytes([0, 0, 0, settings, 0, 0, 0, 0, 0]))
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            header = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(header[:3]))
            if header[3] == settings and not header[4]:
                writer.write(bytes([0, 0, 0, settings, ack, 0, 0, 0, 0]))
            elif header[3] == ping and not header[4]:
                if not is_hanging:
                    writer.write(bytes([0, 0, 8, ping, ack, 0, 0, 0, 0]) + payload)
                pings.put_nowait(writer)


def test_every_client_has_the_same_service_config() -> None:
    """The shared file, the file in the Python package and the block in each README are equal."""
    config = ROOT.joinpath("clients", "service_config.json").read_text("utf-8")
    readmes = sorted(ROOT.glob("clients/*/README.md"))
    configs_by_client = {
        path.parent.name: [json.loads(block) for block in re.findall(r"```json\n(.*?)```", path.read_text(), re.DOTALL)]
        for path in readmes
        if path.parent.name != "conformance"
    }

    assert config == SERVICE_CONFIG
    assert dict(CHANNEL_OPTIONS)["grpc.service_config"] == SERVICE_CONFIG
    assert configs_by_client["python"]
    for blocks in configs_by_client.values():
        assert json.loads(config) in blocks
