"""A server that stops lets calls end within the grace, refuses new ones, and cuts the rest."""

import asyncio
import logging
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.server.server import LIVENESS, READINESS
from reasoning_grpc.v1 import models_pb2
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.health import NOT_SERVING, SERVING, check_health, next_status, watch_health
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end, start_every_call


async def test_stopping_lets_a_stream_end_and_refuses_new_calls(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """During the grace a stream ends well, new calls are refused with a delay, and health is NOT_SERVING."""
    server, channel = running_server.server, running_server.channel
    gate = upstream.gated("Hel", "lo")
    gate.open()
    stub: Any = running_server.stub
    stream = stub.StreamComplete(a_stream_request())
    await read_first_delta(stream)
    watch = watch_health(channel, READINESS)
    assert await next_status(watch) == SERVING

    stopping = asyncio.create_task(server.stop(grace_seconds=60))
    assert await next_status(watch) == NOT_SERVING
    refusals = [await expect_failure(call) for _, call in start_every_call(channel)]
    assert await check_health(channel, LIVENESS) == SERVING
    assert not stopping.done()
    gate.open_all()
    rest = await read_to_end(stream)

    assert [event.WhichOneof("kind") for event in rest] == ["content_delta", "completed"]
    assert await stopping == 0
    assert len(refusals) == 4
    for refusal in refusals:
        assert refusal.code == grpc.StatusCode.UNAVAILABLE
        assert refusal.reason == "SERVER_SHUTTING_DOWN"
        assert refusal.message == "The server is shutting down."
        assert refusal.metadata == {}
        assert refusal.retry_after_seconds == 1.0
    assert len(upstream.requests) == 1


async def test_a_refusal_delays_the_retry_of_grpc(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The trailer for grpc's own retries has the same delay as RetryInfo."""
    gate = upstream.gated("a")
    gate.open()
    stub: Any = running_server.stub
    stream = stub.StreamComplete(a_stream_request())
    await read_first_delta(stream)
    watch = watch_health(running_server.channel, READINESS)
    assert await next_status(watch) == SERVING
    stopping = asyncio.create_task(running_server.server.stop(grace_seconds=60))
    assert await next_status(watch) == NOT_SERVING

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.Complete(a_wire_request())

    assert dict(failed.value.trailing_metadata() or ())["grpc-retry-pushback-ms"] == "1000"
    gate.open_all()
    await read_to_end(stream)
    await stopping


async def test_calls_beyond_the_grace_are_cut_and_counted(
    upstream: FakeUpstream, running_server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """At the end of the grace calls are cut and counted, and the upstream sees the disconnect."""
    caplog.set_level(logging.INFO, "reasoning_grpc.server")
    stub: Any = running_server.stub
    upstream.hang_after(1)
    upstream.hang()
    stream = stub.StreamComplete(a_stream_request())
    await read_first_delta(stream)
    unary = stub.Complete(a_wire_request())
    await upstream.request(2)

    cut = await running_server.server.stop(grace_seconds=0)

    assert cut == 2
    assert [record.__dict__["calls_cut"] for record in caplog.records if record.getMessage() == "stopped"] == [2]
    for call in (read_to_end(stream), unary):
        assert (await expect_failure(call)).reason == "SERVER_SHUTTING_DOWN"
    await upstream.disconnect(2)
    assert running_server.server.calls_in_flight == 0


async def test_new_calls_are_accepted_during_the_delay(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Health is NOT_SERVING at once, while calls that arrive before load balancers notice it are still served."""
    stub: Any = running_server.stub
    watch = watch_health(running_server.channel, READINESS)
    assert await next_status(watch) == SERVING
    stopping = asyncio.create_task(running_server.server.stop(grace_seconds=60, drain_delay_seconds=600))

    assert await next_status(watch) == NOT_SERVING
    assert await check_health(running_server.channel, LIVENESS) == SERVING
    upstream.reply("hi")
    answer = await stub.Complete(a_wire_request())

    assert answer.message.content[0].text == "hi"
    assert not stopping.done()
    stopping.cancel()


async def test_calls_are_refused_after_the_delay(upstream: FakeUpstream) -> None:
    """After the delay new calls are refused, while a call that began in it has the whole grace to end."""

    async def stop(delay_seconds: float) -> tuple[str, str, int] | None:
        async with serving_upstream(upstream) as running:
            stub: Any = running.stub
            upstream.forget()
            gate = upstream.gated("a")
            gate.open()
            watch = watch_health(running.channel, READINESS)
            assert await next_status(watch) == SERVING
            stopping = asyncio.create_task(running.server.stop(grace_seconds=60, drain_delay_seconds=delay_seconds))
            assert await next_status(watch) == NOT_SERVING
            stream = stub.StreamComplete(a_stream_request())
            refusal = None
            while refusal is None:
                try:
                    await stub.ListModels(models_pb2.ListModelsRequest())
                except grpc.aio.AioRpcError as error:
                    refusal = CallFailed(error)
            gate.open_all()
            try:
                last = (await read_to_end(stream))[-1]
            except grpc.aio.AioRpcError:
                return None  # it did not begin within the delay
            return refusal.reason, last.WhichOneof("kind"), await stopping

    assert await try_deadlines(stop, least_seconds=0.1) == ("SERVER_SHUTTING_DOWN", "completed", 0)


async def test_an_open_watch_does_not_delay_the_stop(running_server: RunningServer) -> None:
    """A client that watches health without end does not use up the grace, and reads in words why its watch ends."""
    watch = watch_health(running_server.channel)
    assert await next_status(watch) == SERVING

    async with asyncio.timeout(PATIENCE_SECONDS):
        cut = await running_server.server.stop(grace_seconds=100)

    assert cut == 0
    assert await next_status(watch) == NOT_SERVING
    ended = await expect_failure(watch.read())
    assert (ended.code, ended.message) == (grpc.StatusCode.UNAVAILABLE, "The server is shutting down.")


async def test_a_server_may_be_stopped_twice(running_server: RunningServer) -> None:
    """A second stop of a server cuts no call and does not fail."""
    assert await running_server.server.stop(grace_seconds=1) == 0
    assert await running_server.server.stop(grace_seconds=1) == 0
