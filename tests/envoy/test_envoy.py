"""A real Envoy with our configuration balances calls, and its clients do not notice a server that drains."""

import asyncio
from pathlib import Path

import grpc
import pytest

from tests.envoy.conftest import Fleet
from tests.support.commands import Finished, run
from tests.support.envoy import Settings, find_cluster, running_envoy
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.health import SERVING, check_health, next_status, watch_health
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

pytestmark = [pytest.mark.envoy, pytest.mark.process]


async def test_calls_of_one_connection_reach_every_server(upstream: FakeUpstream, fleet: Fleet) -> None:
    """Streams that are opened over one connection are spread evenly over the servers."""
    upstream.always.hang_after(1)
    streams = [fleet.stub.StreamComplete(a_stream_request()) for _ in range(6)]
    await asyncio.gather(*map(read_first_delta, streams))

    assert fleet.calls_in_flight == [2, 2, 2]
    for stream in streams:
        stream.cancel()
    await upstream.disconnect(6)


async def test_two_servers_share_the_calls_of_one_connection(
    upstream: FakeUpstream, servers: list[RunningServer], tmp_path: Path
) -> None:
    """The number of servers is that of the configured addresses."""
    upstream.always.hang_after(1)
    async with running_envoy(tmp_path, [server.address for server in servers[:2]]) as envoy:
        streams = [envoy.stub.StreamComplete(a_stream_request()) for _ in range(6)]
        await asyncio.gather(*map(read_first_delta, streams))

        assert [server.server.calls_in_flight for server in servers] == [3, 3, 0]
        for stream in streams:
            stream.cancel()
        await upstream.disconnect(6)


async def test_health_is_that_of_a_server(fleet: Fleet) -> None:
    """A check of health is passed on, and answers for the next server."""
    assert await check_health(fleet.channel, "readiness") == SERVING


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


async def test_a_stream_outlives_the_health_of_its_server(upstream: FakeUpstream, fleet: Fleet) -> None:
    """A server that is found draining gets no new call, and its connection stays open for the stream that it serves."""
    gate = upstream.gated("a", "b")
    gate.open()
    stream = fleet.stub.StreamComplete(a_stream_request())
    await read_first_delta(stream)
    (draining,) = (server for server in fleet.servers if server.server.calls_in_flight)
    stopping = asyncio.create_task(draining.server.stop(grace_seconds=60))

    await fleet.envoy.wait_for_servers(2)
    gate.open_all()
    rest = await read_to_end(stream)

    assert [event.WhichOneof("kind") for event in rest] == ["content_delta", "completed"]
    assert await stopping == 0


async def test_no_server_left_is_reported_at_once(fleet: Fleet) -> None:
    """When all servers drain, calls fail with UNAVAILABLE in place of reaching servers that refuse them."""
    stopping = [asyncio.create_task(server.server.stop(grace_seconds=60)) for server in fleet.servers]
    await fleet.envoy.wait_for_servers(0)

    failure = await expect_failure(fleet.stub.Complete(a_wire_request()))

    assert (failure.code, failure.message) == (grpc.StatusCode.UNAVAILABLE, "no healthy upstream")
    assert await asyncio.gather(*stopping) == [0, 0, 0]


@pytest.mark.parametrize("name", ["envoy.yaml", "http.yaml"])
async def test_no_server_left_is_reported_by_the_command_line(
    servers: list[RunningServer], tmp_path: Path, name: str
) -> None:
    """`ask` says that Envoy has no server, whether Envoy writes its message as text or as JSON."""
    async with running_envoy(tmp_path, [server.address for server in servers], name=name) as envoy:
        await asyncio.gather(*(server.server.stop(grace_seconds=0) for server in servers))
        await envoy.wait_for_servers(0)

        finished = await run("ask", "hi", "--target", envoy.address)

    sentence = f"a proxy on {envoy.address} answers in place of a server: no healthy upstream"
    hint = "are the servers behind it running and healthy?"
    assert finished == Finished(1, "", f"reasoning-grpc: UNAVAILABLE: {sentence}; {hint}\n")


async def test_a_failing_provider_ejects_no_server(upstream: FakeUpstream, fleet: Fleet) -> None:
    """A provider that is down fails each call once, and Envoy keeps sending calls to every server."""
    upstream.always.fail(503)
    failures = [await expect_failure(fleet.stub.Complete(a_wire_request())) for _ in range(12)]
    assert {failure.reason for failure in failures} == {"UPSTREAM_OVERLOADED"}
    assert len(upstream.requests) == 12

    upstream.always.hang_after(1)
    streams = [fleet.stub.StreamComplete(a_stream_request()) for _ in range(6)]
    await asyncio.gather(*map(read_first_delta, streams))

    assert fleet.calls_in_flight == [2, 2, 2]
    for stream in streams:
        stream.cancel()
    await upstream.disconnect(6)


async def test_a_server_that_is_not_there_is_ejected(
    upstream: FakeUpstream, servers: list[RunningServer], tmp_path: Path
) -> None:
    """Two failures to connect eject a server before its health is known to be bad, and no call fails meanwhile."""

    def trust_for_an_hour(settings: Settings) -> None:
        """Leaves the detection of outliers alone with what happens after the first check of health."""
        find_cluster(settings)["health_checks"][0]["interval"] = "3600s"

    addresses = [server.address for server in servers]
    async with running_envoy(tmp_path, addresses, change=trust_for_an_hour) as envoy:
        await servers[0].server.stop(grace_seconds=0)
        answers = [await envoy.stub.Complete(a_wire_request()) for _ in range(9)]

        assert all(answer.message.content for answer in answers)
        counts = await envoy.read_counts()
        assert counts["outlier_detection.ejections_enforced_consecutive_local_origin_failure"] == 1
        assert counts["upstream_rq_retry"] == 2
    assert len(upstream.requests) == 9
