"""Calls that outlast the grace of a stop are cut: each ends with its own status, and with what it has used so far."""

import asyncio
import logging
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import classification_pb2, routing_pb2, usage_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, judging_config, serving
from tests.support.unread_stream import unread_stream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end


def expect_shutdown(failure: CallFailed, *, retry_after_seconds: float | None) -> None:
    """Checks the status of a call that was cut: SERVER_SHUTTING_DOWN, never gRPC's own words."""
    assert failure.code == grpc.StatusCode.UNAVAILABLE
    assert failure.reason == "SERVER_SHUTTING_DOWN"
    assert failure.message == "The server is shutting down."
    assert failure.request_id
    assert failure.retry_after_seconds == retry_after_seconds


async def test_a_stream_that_is_cut_reports_what_it_used(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A stream that the grace cuts ends as SERVER_SHUTTING_DOWN behind all its events, with its usage so far."""
    gate = upstream.gated("Hel", "lo", "!")
    stub: Any = running_server.stub
    stream = stub.StreamComplete(a_stream_request())
    events = [await stream.read()]
    for _ in range(2):
        gate.open()
        events.append(await stream.read())

    assert await running_server.server.stop(grace_seconds=0) == 1

    failure = await expect_failure(read_to_end(stream))
    expect_shutdown(failure, retry_after_seconds=None)
    assert failure.interruption is not None
    assert failure.interruption.last_sequence == events[-1].sequence == 2
    assert failure.interruption.content_characters == len("Hello")
    assert failure.interruption.model_call_count == 1
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert failure.interruption.usage.output_tokens > 0
    assert dict(await stream.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"
    await upstream.disconnect()


async def test_a_unary_call_that_is_cut_reports_what_it_used(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """A unary call that the grace cuts before any output ends as SERVER_SHUTTING_DOWN, and may be repeated."""
    upstream.hang()
    stub: Any = running_server.stub
    call = stub.Complete(a_wire_request())
    await upstream.request()

    assert await running_server.server.stop(grace_seconds=0) == 1

    failure = await expect_failure(call)
    expect_shutdown(failure, retry_after_seconds=1.0)
    assert failure.interruption is not None
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert failure.interruption.content_characters == 0
    await upstream.disconnect()


async def test_a_classification_that_is_cut(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A classification, and a request that its classifier still decides, end as SERVER_SHUTTING_DOWN."""
    judge.always.hang()
    routing = routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO)
    request = a_wire_request(routing=routing)
    async with serving(judging_config(upstream, judge)) as running:
        stub: Any = running.stub
        calls = [
            stub.Classify(classification_pb2.ClassifyRequest(request=request)),
            read_to_end(stub.StreamComplete(a_stream_request(routing=routing))),
        ]
        waiting = [asyncio.ensure_future(expect_failure(call)) for call in calls]
        await judge.request(2)

        assert await running.server.stop(grace_seconds=0) == 2

        for failure in await asyncio.gather(*waiting):
            expect_shutdown(failure, retry_after_seconds=1.0)
            assert failure.interruption is not None
            assert failure.interruption.model_call_count == 1
    await judge.disconnect(2)
    assert upstream.requests == []


async def test_many_streams_are_cut_at_once(
    upstream: FakeUpstream, running_server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of many streams gets its own status before the connection closes, and a log line that says so."""
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")
    upstream.always.hang_after(1)
    stub: Any = running_server.stub
    streams = [stub.StreamComplete(a_stream_request()) for _ in range(200)]
    await asyncio.gather(*map(read_first_delta, streams))

    assert await running_server.server.stop(grace_seconds=0) == len(streams)

    for failure in await asyncio.gather(*(expect_failure(read_to_end(stream)) for stream in streams)):
        expect_shutdown(failure, retry_after_seconds=None)
        assert failure.interruption is not None
    ends = {(line.__dict__["code"], line.__dict__["reason"]) for line in caplog.records if line.msg == "call"}
    assert ends == {("UNAVAILABLE", "SERVER_SHUTTING_DOWN")}
    await upstream.disconnect(len(streams))


async def test_a_stream_whose_client_stopped_reading_does_not_hold_up_the_stop(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """A stream that waits in a write is cut as well: the stop ends, and so does the call of the upstream."""
    async with unread_stream(running_server, upstream):
        assert await running_server.server.stop(grace_seconds=0) == 1

        assert running_server.server.calls_in_flight == 0
        await upstream.idle()


async def test_a_client_that_cancels_while_its_call_is_cut(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """A client that cancels at the moment of the cut ends its call as CANCELLED."""
    upstream.hang_after(1)
    stub: Any = running_server.stub
    stream = stub.StreamComplete(a_stream_request())
    await read_first_delta(stream)

    stopping = asyncio.create_task(running_server.server.stop(grace_seconds=0))
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read_to_end(stream)

    await stopping
    assert running_server.server.calls_in_flight == 0
    await upstream.disconnect()
