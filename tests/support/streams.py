"""Reads streams, and checks what is true for every stream and every answer."""

from collections.abc import Sequence

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2, events_pb2, usage_pb2
from tests.support.sequences import expected_sequences
from tests.support.serving import RunningServer


async def read_stream(
    running: RunningServer, request: completion_pb2.CompleteRequest
) -> tuple[list[events_pb2.StreamCompleteResponse], CallFailed | None]:
    """Returns the events of a stream, and its failure if it failed."""
    events: list[events_pb2.StreamCompleteResponse] = []
    try:
        async for event in running.client().stream(request):
            events.append(event)  # noqa: PERF401 - a comprehension would lose them when the stream fails
    except CallFailed as failure:
        return events, failure
    return events, None


def check_order(events: Sequence[events_pb2.StreamCompleteResponse], failure: CallFailed | None) -> None:
    """Checks what is true for the events of every stream."""
    kinds = [event.WhichOneof("kind") for event in events]
    elapsed = [event.elapsed_ms for event in events]
    assert [event.sequence for event in events] == expected_sequences(kinds)
    assert events[0].started.response_id.startswith("rsp_")
    assert [index for index, kind in enumerate(kinds) if kind == "started"] == [0]
    assert [index for index, kind in enumerate(kinds) if kind == "completed"] == ([] if failure else [len(kinds) - 1])
    assert elapsed == sorted(elapsed)
    assert None not in kinds


def check_timings(timings: usage_pb2.Timings) -> None:
    """Checks what is true for the times of every answer."""
    total = timings.total_duration.ToNanoseconds()
    assert total > 0
    assert 0 <= timings.overhead_duration.ToNanoseconds() <= total
    assert 0 < timings.routing_duration.ToNanoseconds() <= total
    assert timings.queue_duration.ToNanoseconds() == 0
    if timings.HasField("first_token_duration"):
        assert timings.routing_duration.ToNanoseconds() <= timings.first_token_duration.ToNanoseconds() <= total
