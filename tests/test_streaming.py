"""Streams, four ways: to the end, client cancels, upstream cut, deadline."""

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import usage_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream


async def test_events_of_a_whole_answer(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """`started` first, the pieces in order, `completed` last, numbered without a gap."""
    upstream.reply("Hel", "lo")

    events = [event async for event in running_server.client().stream(a_wire_request())]

    assert [event.sequence for event in events] == list(range(len(events)))
    assert events[0].WhichOneof("event") == "started"
    assert events[-1].WhichOneof("event") == "completed"
    assert "".join(event.content_delta.text for event in events) == "Hello"
    assert events[-1].completed.finish_reason == usage_pb2.FINISH_REASON_STOP


async def test_a_stream_without_finish_reason_is_truncated(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """A clean end without a finish reason is UPSTREAM_STREAM_TRUNCATED, with the usage so far."""
    upstream.cut_after(3, "end")
    kinds = []

    with pytest.raises(CallFailed) as failed:
        async for event in running_server.client().stream(a_wire_request()):
            kinds.append(event.WhichOneof("event"))  # noqa: PERF401 - a comprehension would lose them

    assert "completed" not in kinds
    assert failed.value.code == grpc.StatusCode.UNAVAILABLE
    assert failed.value.reason == "UPSTREAM_STREAM_TRUNCATED"
    assert failed.value.interruption is not None
    assert failed.value.interruption.usage.output_tokens > 0
