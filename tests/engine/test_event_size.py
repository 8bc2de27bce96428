"""Deltas have few bytes besides their text, because a stream has thousands of them."""

from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.domain.events import ContentDelta, ReasoningDelta, StreamEvent, ToolCallDelta
from reasoning_grpc.rpc import convert
from reasoning_grpc.v1 import events_pb2
from tests.support.factories import a_stream_request
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

LARGEST_DELTA: Final = 24
"""Most bytes that an event with a short delta may have. Its text has 6 of them."""
TEXT: Final = " hello"


@pytest.mark.parametrize("delta", [ContentDelta(TEXT), ReasoningDelta(TEXT)], ids=["content", "reasoning"])
def test_a_delta_stays_small_late_in_a_long_stream(delta: ContentDelta | ReasoningDelta) -> None:
    """The ten-thousandth event, ten minutes after the request, has at most 24 bytes, its position and time included."""
    late = StreamEvent(sequence=9_999, elapsed_seconds=600.0, call=3, event=delta)

    assert convert.stream_response(late).ByteSize() <= LARGEST_DELTA


def test_the_fields_of_deltas_have_tags_of_one_byte() -> None:
    """The fields of every event and the kinds of deltas have numbers up to 15, whose tags take one byte."""
    message = events_pb2.StreamCompleteResponse.DESCRIPTOR
    kinds = message.oneofs_by_name["kind"].fields

    around = {field.name: field.number for field in message.fields if field not in kinds}
    deltas = {field.name: field.number for field in kinds if field.name.endswith("_delta")}

    assert deltas.keys() == {"content_delta", "reasoning_delta", "tool_call_delta"}
    assert max({**around, **deltas}.values()) <= 15


def test_a_delta_of_a_tool_call_repeats_no_more_than_the_id() -> None:
    """After the first delta of a tool call, a delta does not repeat the name of the tool."""
    first = StreamEvent(0, 1.0, 1, ToolCallDelta("call_1", 0, "weather", "{"))
    later = StreamEvent(1, 1.0, 1, ToolCallDelta("call_1", 0, "", "{"))

    sizes = [convert.stream_response(event).ByteSize() for event in (first, later)]

    assert sizes[0] - sizes[1] == len("weather")  # its tag and length, less those of the sequence


async def test_deltas_that_really_arrive_are_small(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The messages with short deltas that a client receives have at most 24 bytes."""
    gate = upstream.gated(*[TEXT] * 20)
    call: Any = running_server.channel.unary_stream(
        "/reasoning_grpc.v1.ReasoningService/StreamComplete",
        request_serializer=events_pb2.StreamCompleteRequest.SerializeToString,
    )(a_stream_request())

    messages: list[bytes] = []
    while (message := await call.read()) is not grpc.aio.EOF:
        messages.append(message)
        gate.open()

    events = [events_pb2.StreamCompleteResponse.FromString(message) for message in messages]
    sizes = [len(message) for message, event in zip(messages, events, strict=True) if event.content_delta.text == TEXT]
    assert len(sizes) == 20
    assert max(sizes) <= LARGEST_DELTA
