"""Connections that are old take no new calls, so that clients connect again; calls in progress go on."""

import asyncio
from typing import Any

import grpc

from reasoning_grpc.client import CallFailed
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

YOUNG = 0.3
"""The age of the tests' connections, in seconds."""


async def wait_for_goaway(channel: grpc.aio.Channel) -> None:
    """Waits until the channel has lost its connection for new calls."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
    assert channel.get_state() is not grpc.ChannelConnectivity.TRANSIENT_FAILURE


async def test_a_stream_outlives_the_age_of_its_connection(upstream: FakeUpstream) -> None:
    """A stream goes on at the old connection to its end, while new calls use a new one."""
    gate = upstream.gated("Hel", "lo")
    gate.open()
    async with serving_upstream(upstream, max_connection_age_seconds=YOUNG) as running:
        stub: Any = running.stub
        stream = stub.StreamComplete(a_stream_request())
        await read_first_delta(stream)

        await wait_for_goaway(running.channel)
        upstream.reply("new")
        answer = await stub.Complete(a_wire_request())
        gate.open_all()

        assert answer.message.content[0].text == "new"
        assert [event.WhichOneof("kind") for event in await read_to_end(stream)] == ["content_delta", "completed"]
    assert len(upstream.requests) == 2


async def test_calls_fail_at_no_change_of_the_connection(upstream: FakeUpstream) -> None:
    """Calls one after the other, over several connections, all succeed and reach the upstream once."""
    async with serving_upstream(upstream, max_connection_age_seconds=YOUNG) as running:
        stub: Any = running.stub
        calls = 0
        for _ in range(3):
            changed = asyncio.create_task(wait_for_goaway(running.channel))
            while not changed.done():
                answers = await asyncio.gather(*(stub.Complete(a_wire_request()) for _ in range(4)))
                assert all(answer.message.content for answer in answers)
                calls += len(answers)
            await changed
            await running.channel.channel_ready()

    assert len(upstream.requests) == calls


async def test_a_stream_that_outlasts_the_grace_of_its_connection_fails(upstream: FakeUpstream) -> None:
    """When the grace is over, gRPC itself closes the old connection: its streams end in a bare UNAVAILABLE."""

    async def outlast(seconds: float) -> CallFailed | None:
        upstream.forget()
        upstream.hang_after(1)
        ages = {"max_connection_age_seconds": seconds, "max_connection_age_grace_seconds": seconds}
        async with serving_upstream(upstream, **ages) as running:
            stub: Any = running.stub
            stream = stub.StreamComplete(a_stream_request())
            try:
                await read_first_delta(stream)
            except grpc.aio.AioRpcError:
                return None
            return await expect_failure(read_to_end(stream))

    failure = await try_deadlines(outlast, least_seconds=0.1)

    assert failure.code == grpc.StatusCode.UNAVAILABLE
    assert failure.reason == ""
    await upstream.disconnect()
