"""Envoy sends a call again that a server has refused or never got, and never one whose answer may be paid for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import classification_pb2
from tests.envoy.conftest import Fleet, Pair
from tests.support.classification import AUTO, write_choice
from tests.support.envoy import Settings, find_manager, list_retry_policies, running_envoy
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.server_process import wait_for_end
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

pytestmark = [pytest.mark.envoy, pytest.mark.process]

FULL = "SERVER_OVERLOADED"
BARE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL}
"""How a call ends whose server was killed, which says nothing."""


@pytest.fixture
async def small_servers(upstream: FakeUpstream) -> AsyncIterator[list[RunningServer]]:
    """Provides two servers that serve one call at a time, and refuse each further one."""
    options = {"max_retries": 0, "max_calls_in_flight": 1, "max_queued_calls": 0}
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serving_upstream(upstream, **options)) for _ in range(2)]


async def hold(upstream: FakeUpstream, stub: Any) -> Any:
    """Starts a stream that occupies its server until it is cancelled."""
    upstream.hang_after(1)
    stream = stub.StreamComplete(a_stream_request())
    await read_first_delta(stream)
    return stream


async def find_serving(servers: list[RunningServer]) -> RunningServer:
    """Returns the one server that has a call in flight."""
    (serving,) = (server for server in servers if server.server.calls_in_flight)
    return serving


async def test_a_call_that_a_full_server_refuses_goes_to_another_one(
    upstream: FakeUpstream, small_servers: list[RunningServer], tmp_path: Path
) -> None:
    """While one of two servers is full, every call is answered by the other one."""
    async with running_envoy(tmp_path, [server.address for server in small_servers]) as envoy:
        stream = await hold(upstream, envoy.stub)

        answers = [await envoy.stub.Complete(a_wire_request()) for _ in range(6)]

        assert all(answer.message.content for answer in answers)
        assert (await envoy.read_counts())["upstream_rq_retry_success"] > 0
        stream.cancel()
        await upstream.disconnect()


async def test_retries_are_bounded_when_every_server_is_full(
    upstream: FakeUpstream, small_servers: list[RunningServer], tmp_path: Path
) -> None:
    """Twenty calls wait for their retry, and each further one fails as the server refused it."""

    def wait_for_ever(settings: Settings) -> None:
        """Keeps each call that waits for its retry."""
        for policy in list_retry_policies(settings):
            policy["retry_back_off"] = {"base_interval": "3600s", "max_interval": "3600s"}

    servers = [server.address for server in small_servers]
    async with running_envoy(tmp_path, servers, change=wait_for_ever) as envoy:
        streams = [await hold(upstream, server.stub) for server in small_servers]
        waiting = {asyncio.ensure_future(envoy.stub.Complete(a_wire_request())) for _ in range(45)}
        failed: set[asyncio.Future[Any]] = set()
        while len(failed) < 25:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            failed |= done

        counts = await envoy.read_counts()
        errors = [call.exception() for call in failed]
        assert {CallFailed(error).reason for error in errors if isinstance(error, grpc.aio.AioRpcError)} == {FULL}
        assert (len(failed), counts["upstream_rq_retry_overflow"]) == (25, 25)
        assert counts["circuit_breakers.default.rq_retry_open"] == 1
        assert (await expect_failure(envoy.stub.Complete(a_wire_request()))).reason == FULL
        assert [call for call in waiting if call.done()] == []
        for call in [*waiting, *streams]:
            call.cancel()
        await upstream.disconnect(2)


async def test_a_call_that_is_cut_is_not_sent_again(upstream: FakeUpstream, fleet: Fleet) -> None:
    """A unary call that its server cuts after it has reached the model ends in words, and is paid for once."""
    upstream.hang()
    call = asyncio.create_task(expect_failure(fleet.stub.Complete(a_wire_request())))
    await upstream.request()
    serving = await find_serving(fleet.servers)

    assert await serving.server.stop(grace_seconds=0) == 1

    failure = await call
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_SHUTTING_DOWN")
    assert failure.interruption is not None
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_a_call_whose_server_is_killed_is_not_sent_again(upstream: FakeUpstream, pair: Pair, method: str) -> None:
    """Its headers had left before the model was called, so it fails, and no other server is called."""
    upstream.always.hang()
    request = a_wire_request() if method == "Complete" else a_stream_request()
    started = getattr(pair.envoy.stub, method)(request)
    call = asyncio.create_task(expect_failure(started if method == "Complete" else read_to_end(started)))
    await upstream.request()

    await kill_serving(pair)

    failure = await call
    assert (failure.code in BARE, failure.reason) == (True, "")
    assert len(upstream.requests) == 1
    assert (await pair.envoy.read_counts())["upstream_rq_retry"] == 0


async def test_a_classification_whose_server_is_killed_is_not_sent_again(judge: FakeUpstream, pair: Pair) -> None:
    """It had no headers yet, but its model was called."""
    judge.always.hang()
    request = classification_pb2.ClassifyRequest(request=a_wire_request(**AUTO))
    call = asyncio.create_task(expect_failure(pair.envoy.stub.Classify(request)))
    await judge.request()

    await kill_serving(pair)

    failure = await call
    assert (failure.code in BARE, failure.reason) == (True, "")
    assert len(judge.requests) == 1


async def test_a_call_whose_server_is_killed_before_its_headers_is_answered(
    upstream: FakeUpstream, judge: FakeUpstream, pair: Pair
) -> None:
    """The route was not decided yet: another server decides it again, and the answer is paid for once."""
    judge.hang()
    judge.reply(write_choice("passthrough"))
    call = asyncio.ensure_future(pair.envoy.stub.Complete(a_wire_request(**AUTO)))
    await judge.request()

    await kill_serving(pair)

    assert (await call).message.content
    assert len(judge.requests) == 2
    assert len(upstream.requests) == 1


async def kill_serving(pair: Pair) -> None:
    """Kills the one server that has a call in flight."""
    address = await pair.envoy.find_server_with_call()
    (server,) = (server for server in pair.servers if server.address == address)
    server.process.kill()
    await wait_for_end(server.process)


OVERRIDES = {
    "x-envoy-retry-on": "5xx,reset",
    "x-envoy-retry-grpc-on": "internal,unavailable",
    "x-envoy-max-retries": "10",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-hedge-on-per-try-timeout": "true",
}
"""The headers by which Envoy lets clients that it trusts change how a call is sent."""


async def test_a_client_cannot_change_what_is_sent_again(upstream: FakeUpstream, fleet: Fleet) -> None:
    """A call with Envoy's own headers waits for its answer, and is sent once."""
    gate = upstream.gated("a")
    call = asyncio.ensure_future(fleet.stub.Complete(a_wire_request(), metadata=tuple(OVERRIDES.items())))
    await upstream.request()
    for _ in range(20):  # each takes a turn through Envoy, whose clock would end the first call by then
        assert (await fleet.stub.Complete(a_wire_request())).message.content
    gate.open_all()

    assert (await call).message.content
    counts = await fleet.envoy.read_counts()
    assert counts["upstream_rq_timeout"] == counts["upstream_rq_per_try_timeout"] == counts["upstream_rq_retry"] == 0
    assert len(upstream.requests) == 21


def trust_clients(settings: Settings) -> None:
    """Makes every client on loopback internal, as an empty list of internal addresses does."""
    find_manager(settings).update(use_remote_address=True, internal_address_config={"unix_sockets": False})


async def test_an_internal_client_could_end_its_call(
    upstream: FakeUpstream, servers: list[RunningServer], tmp_path: Path
) -> None:
    """With settings that our files do not have, one of these headers would end the call before its answer."""
    upstream.always.hang()
    metadata = (("x-envoy-upstream-rq-timeout-ms", "1"),)
    async with running_envoy(tmp_path, [server.address for server in servers], change=trust_clients) as envoy:
        failure = await expect_failure(envoy.stub.Complete(a_wire_request(), metadata=metadata))

        assert (failure.code in BARE, failure.reason) == (True, "")
        assert (await envoy.read_counts())["upstream_rq_timeout"] > 0
