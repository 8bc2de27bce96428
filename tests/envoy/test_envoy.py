"""A real Envoy with our configuration balances calls, and sends none again that has reached a model."""

import asyncio
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.restart.envoy import list_arguments, write_config
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from scripts.check_envoy import ENVOY
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.health import SERVING, next_status, watch_health
from tests.support.ports import find_port
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

pytestmark = [pytest.mark.envoy, pytest.mark.process]


@dataclass(frozen=True)
class Fleet:
    """Three servers behind Envoy, and a channel to it without retries of its own."""

    servers: list[RunningServer]
    channel: grpc.aio.Channel

    @property
    def stub(self) -> Any:
        """Returns a stub of the service behind Envoy."""
        return ReasoningServiceStub(self.channel)


@pytest.fixture
async def fleet(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Provides three servers of one upstream behind Envoy, which has found all of them healthy."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving_upstream(upstream, max_retries=0)) for _ in range(3)]
        listener, admin = find_port(), find_port()
        ports = [int(server.address.rpartition(":")[2]) for server in servers]
        write_config(tmp_path / "envoy.yaml", listener=listener, admin=admin, servers=ports)
        await stack.enter_async_context(running_envoy(tmp_path / "envoy.yaml"))
        options = [("grpc.enable_retries", 0)]
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{listener}", options=options))
        await wait_until_healthy(channel)
        yield Fleet(servers, channel)


@asynccontextmanager
async def running_envoy(config: Path) -> AsyncIterator[None]:
    """Runs Envoy on a configuration."""
    process = await asyncio.create_subprocess_exec(
        ENVOY, *list_arguments(config), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def wait_until_healthy(channel: grpc.aio.Channel) -> None:
    """Waits until Envoy passes on checks of health, each to the next server, and all answer SERVING."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    found = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while found < 3:
            try:
                response = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            except grpc.aio.AioRpcError:  # Envoy has not checked the servers yet
                found = 0
            else:
                found = found + 1 if response.status == SERVING else 0


async def test_calls_of_one_connection_reach_every_server(upstream: FakeUpstream, fleet: Fleet) -> None:
    """Streams that are opened over one connection are spread evenly over the servers."""
    upstream.always.hang_after(1)
    streams = [fleet.stub.StreamComplete(a_stream_request()) for _ in range(6)]
    await asyncio.gather(*map(read_first_delta, streams))

    assert [server.server.calls_in_flight for server in fleet.servers] == [2, 2, 2]
    for stream in streams:
        stream.cancel()
    await upstream.disconnect(6)


async def test_nobody_watches_one_server_through_envoy(fleet: Fleet) -> None:
    """A watch of health gets UNIMPLEMENTED, by which a client knows that there is nothing to watch."""
    failed = await expect_failure(next_status(watch_health(fleet.channel)))

    assert failed.code == grpc.StatusCode.UNIMPLEMENTED


async def test_a_draining_server_costs_no_call(upstream: FakeUpstream, fleet: Fleet) -> None:
    """While a server refuses calls, each is sent to another one; its stream goes on to the end."""
    gate = upstream.gated("a")
    gate.open()
    streams = [fleet.stub.StreamComplete(a_stream_request())]
    await read_first_delta(streams[0])
    (draining,) = (server for server in fleet.servers if server.server.calls_in_flight)
    stopping = asyncio.create_task(draining.server.stop(grace_seconds=60))

    answers = [await fleet.stub.Complete(a_wire_request()) for _ in range(30)]
    gate.open_all()
    rest = await read_to_end(streams[0])

    assert all(answer.message.content for answer in answers)
    assert rest[-1].WhichOneof("kind") == "completed"
    assert await stopping == 0
    assert len(upstream.requests) == 31


async def test_a_call_that_is_cut_is_not_sent_again(upstream: FakeUpstream, fleet: Fleet) -> None:
    """A unary call that its server cuts after it has reached the model ends in words, and is paid for once."""
    upstream.hang()
    call = asyncio.create_task(expect_failure(fleet.stub.Complete(a_wire_request())))
    await upstream.request()
    (serving,) = (server for server in fleet.servers if server.server.calls_in_flight)

    assert await serving.server.stop(grace_seconds=0) == 1

    failure = await call
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_SHUTTING_DOWN")
    assert failure.interruption is not None
    assert len(upstream.requests) == 1


async def test_a_failing_provider_ejects_no_server(upstream: FakeUpstream, fleet: Fleet) -> None:
    """A provider that is down fails each call once, and Envoy keeps sending calls to every server."""
    upstream.always.fail(503)
    failures = [await expect_failure(fleet.stub.Complete(a_wire_request())) for _ in range(12)]
    assert {failure.reason for failure in failures} == {"UPSTREAM_OVERLOADED"}
    assert len(upstream.requests) == 12

    upstream.always.hang_after(1)
    streams = [fleet.stub.StreamComplete(a_stream_request()) for _ in range(6)]
    await asyncio.gather(*map(read_first_delta, streams))

    assert [server.server.calls_in_flight for server in fleet.servers] == [2, 2, 2]
    for stream in streams:
        stream.cancel()
    await upstream.disconnect(6)
