"""Heartbeats fill the silence of a stream, and are no part of its sequence."""

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import events_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer
from tests.support.streams import check_order
from tests.support.upstream import FakeUpstream


async def test_heartbeats_fill_silence(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Heartbeats fill the silence before and between the deltas; each repeats the number of the event before it."""
    gate = upstream.gated("one", "two")
    events: list[events_pb2.StreamCompleteResponse] = []
    beats_in_a_row = 0

    async for event in running_server.client().stream(a_wire_request(), heartbeat_seconds=0.1):
        events.append(event)
        beats_in_a_row = beats_in_a_row + 1 if event.WhichOneof("kind") == "heartbeat" else 0
        if beats_in_a_row == 2:
            gate.open()

    check_order(events, None)
    kinds = [event.WhichOneof("kind") for event in events]
    first, second = (index for index, kind in enumerate(kinds) if kind == "content_delta")
    assert kinds[1:3] == ["heartbeat", "heartbeat"]
    assert set(kinds[1:first]) == set(kinds[first + 1 : second]) == {"heartbeat"}
    assert second - first > 2
    assert {event.sequence for event in events[:first]} == {0}
    assert {event.sequence for event in events[first:second]} == {1}
    assert {event.sequence for event in events[second:-1]} == {2}
    assert events[-1].sequence == 3


async def test_a_long_interval_sends_no_heartbeats(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A stream with an hour between heartbeats has the same events as a stream without heartbeats."""
    upstream.always.reply("one", together=True)
    client = running_server.client()

    plain = [event.WhichOneof("kind") async for event in client.stream(a_wire_request())]
    rare = [event.WhichOneof("kind") async for event in client.stream(a_wire_request(), heartbeat_seconds=3600)]

    assert plain == rare == ["started", "content_delta", "completed"]


async def test_heartbeats_end_with_a_failure(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A failure during heartbeats ends the stream, and the last sequence of its interruption does not count them."""
    gate = upstream.cut_after(0, "end", gated=True)
    upstream.always.cut_after(0, "end")
    events: list[events_pb2.StreamCompleteResponse] = []

    async def read() -> None:
        async for event in running_server.client().stream(a_wire_request(), heartbeat_seconds=0.1):
            events.append(event)
            if event.WhichOneof("kind") == "heartbeat":
                gate.open_all()

    with pytest.raises(CallFailed) as failed:
        await read()

    check_order(events, failed.value)
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INTERNAL, "UPSTREAM_EMPTY_RESPONSE")
    assert failed.value.interruption is not None
    assert failed.value.interruption.last_sequence == events[-1].sequence == 1
