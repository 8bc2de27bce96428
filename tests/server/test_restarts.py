"""One of two servers is restarted, or killed, while a client with the shipped service config calls both of them."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.v1 import models_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_wire_request
from tests.support.health import NOT_SERVING, SERVING, next_status
from tests.support.server_process import ServerFolder, ServerProcess, wait_for_end, watching_readiness
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.process

DELAY_SECONDS = 1


@dataclass(frozen=True)
class Pair:
    """Two server processes of one upstream, and a client that calls them in turn."""

    first: ServerProcess
    second: ServerProcess
    client: ReasoningClient


@pytest.fixture
async def pair(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[Pair]:
    """Provides two server processes that serve, and a client of both."""
    (tmp_path / "reasoning.toml").write_text(f"""
        grace_seconds = 600
        [models.fake]
        litellm_model = "openai/fake"
        api_base = "{upstream.api_base}"
        api_key_env = "FAKE_KEY"
    """)
    variables = {"REASONING_DRAIN_DELAY_SECONDS": str(DELAY_SECONDS)}
    folder = ServerFolder(tmp_path, upstream, variables=variables)
    async with AsyncExitStack() as stack:
        first, second = await asyncio.gather(
            stack.enter_async_context(folder.serving()), stack.enter_async_context(folder.serving())
        )
        target = f"ipv4:{first.address},{second.address}"
        client = await stack.enter_async_context(ReasoningClient(target))
        while not (has_served(first) and has_served(second)):  # then the client is connected to both
            await complete(client)
        upstream.forget()
        yield Pair(first, second, client)


def has_served(server: ServerProcess) -> bool:
    """Returns whether a server has served a call."""
    return any(line["message"] == "call" for line in server.lines())


async def complete(client: ReasoningClient, calls: int = 1) -> int:
    """Makes this many unary calls, which must all succeed, and returns their number."""
    for _ in range(calls):
        assert (await client.complete(a_wire_request())).message.content
    return calls


async def complete_until(ended: asyncio.Task[int], client: ReasoningClient) -> int:
    """Makes calls one after the other until the task has ended, and returns their number."""
    calls = 0
    while not ended.done():
        calls += await complete(client)
    return calls


async def wait_for_refusal(address: str) -> None:
    """Calls one server until it refuses calls, because it drains."""
    async with grpc.aio.insecure_channel(address, options=[("grpc.enable_retries", 0)]) as channel:
        stub: Any = ReasoningServiceStub(channel)
        while True:
            try:
                await stub.ListModels(models_pb2.ListModelsRequest())
            except grpc.aio.AioRpcError as error:
                if CallFailed(error).reason != "SERVER_SHUTTING_DOWN":
                    raise
                return


async def test_a_restart_costs_no_unary_call(upstream: FakeUpstream, pair: Pair) -> None:
    """From the signal to the exit and beyond, each call succeeds and is paid for once; a stream goes on to its end."""
    gates = [upstream.gated("Hel", "lo") for _ in range(2)]
    streams = [pair.client.stream(a_wire_request()) for _ in gates]  # one of them is at the first server
    for gate, stream in zip(gates, streams, strict=True):
        gate.open()
        assert [(await anext(stream)).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]

    async with watching_readiness(pair.first.address) as watch:
        assert await next_status(watch) == SERVING
        pair.first.process.send_signal(signal.SIGTERM)
        assert await next_status(watch) == NOT_SERVING
    refused = asyncio.create_task(wait_for_refusal(pair.first.address))
    calls = 0
    while not refused.done():
        calls += await complete(pair.client)
    calls += await complete(pair.client, 4)  # two of them are refused, and sent again
    for gate in gates:
        gate.open_all()
    ended = asyncio.create_task(wait_for_end(pair.first.process))
    calls += sum(await asyncio.gather(*(complete_until(ended, pair.client) for _ in range(16))))
    calls += await complete(pair.client, 4)
    assert await ended == 0

    for stream in streams:
        assert [event.WhichOneof("kind") async for event in stream] == ["content_delta", "completed"]
    assert len(upstream.requests) == len(streams) + calls


async def test_a_kill_fails_only_what_had_begun(upstream: FakeUpstream, pair: Pair) -> None:
    """Calls that the killed server had begun end in a bare UNAVAILABLE, and are not paid for again; no other fails."""
    gates = [upstream.gated("a") for _ in range(8)]
    calls = [asyncio.create_task(pair.client.complete(a_wire_request())) for _ in gates]
    await upstream.request(len(gates))

    pair.first.process.kill()
    await wait_for_end(pair.first.process)
    for gate in gates:
        gate.open_all()
    results = await asyncio.gather(*calls, return_exceptions=True)
    later = await complete(pair.client, 6)

    failures = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(failure, CallFailed) for failure in failures)
    assert {(failure.code, failure.reason) for failure in failures if isinstance(failure, CallFailed)} <= {
        (grpc.StatusCode.UNAVAILABLE, "")
    }
    assert 0 < len(failures) < len(calls)
    await upstream.disconnect(len(failures))
    assert upstream.disconnects == len(failures)
    assert len(upstream.requests) == len(calls) + later
