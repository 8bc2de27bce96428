"""Every stream sends its deltas at once, and numbers its events without a gap."""

import json

import pytest

from reasoning_grpc.domain import read_clock
from reasoning_grpc.v1 import completion_pb2, events_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer
from tests.support.streams import check_order, check_timings
from tests.support.upstream import FakeUpstream, chunk


async def test_chunks_of_one_network_read_are_sent_together(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """Chunks of the same kind that arrive in one network read leave as one delta."""
    upstream.reply("a", "b", "c", reasoning=("x", "y"), together=True)
    request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=True))

    events = [event async for event in running_server.client().stream(request)]

    deltas = [(event.WhichOneof("kind"), event.reasoning_delta.text + event.content_delta.text) for event in events]
    assert deltas == [("started", ""), ("reasoning_delta", "xy"), ("content_delta", "abc"), ("completed", "")]


async def test_each_delta_is_sent_at_once(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A delta reaches the caller before the upstream sends the next chunk."""
    gate = upstream.gated("one", "two", "three")
    received = []

    async for event in running_server.client().stream(a_wire_request()):
        received.append((event.WhichOneof("kind"), event.content_delta.text, gate.steps_sent))
        gate.open()

    assert received[:4] == [
        ("started", "", 0),
        ("content_delta", "one", 1),
        ("content_delta", "two", 2),
        ("content_delta", "three", 3),
    ]
    assert [kind for kind, _, _ in received[4:]] == ["completed"]


async def test_model_calls_are_sent_when_included(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """With `include.model_calls` each attempt has an event, and the event at the end of the call has its usage."""
    upstream.fail(503)
    upstream.reply("Hello", together=True, finish_reason="length")
    request = a_wire_request(include=completion_pb2.IncludeOptions(model_calls=True))

    events = [event async for event in running_server.client().stream(request)]

    check_order(events, None)
    kinds = [event.WhichOneof("kind") for event in events]
    assert kinds == [
        "started",
        "model_call_started",
        "attempt_switched",
        "model_call_started",
        "content_delta",
        "model_call_finished",
        "completed",
    ]
    assert [event.call for event in events] == [0, 1, 1, 1, 1, 1, 1]
    answer = usage_pb2.MODEL_CALL_PURPOSE_ANSWER
    assert events[1].model_call_started == events_pb2.ModelCallStarted(purpose=answer, model="fake", attempt=1)
    assert events[3].model_call_started == events_pb2.ModelCallStarted(purpose=answer, model="fake", attempt=2)
    assert events[5].model_call_finished == events_pb2.ModelCallFinished(
        purpose=answer,
        model="fake",
        attempt=2,
        finish_reason=completion_pb2.FINISH_REASON_LENGTH,
        provider_finish_reason="length",
        usage=usage_pb2.Usage(
            input_tokens=11,
            cached_input_tokens=3,
            output_tokens=7,
            reasoning_tokens=2,
            total_tokens=18,
            source=usage_pb2.USAGE_SOURCE_PROVIDER,
        ),
    )


async def test_events_that_are_not_included_leave_no_gap(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Events that the caller did not request leave no gap in the sequence."""
    upstream.reply("42", reasoning=("hm",), together=True)

    events = [event async for event in running_server.client().stream(a_wire_request())]

    assert [(event.sequence, event.WhichOneof("kind")) for event in events] == [
        (0, "started"),
        (1, "content_delta"),
        (2, "completed"),
    ]


@pytest.mark.parametrize("wire_id", [pytest.param("call_x", id="given"), pytest.param("", id="made-up")])
async def test_ids_of_tool_calls_are_stable(
    upstream: FakeUpstream, running_server: RunningServer, wire_id: str
) -> None:
    """Every delta of a tool call has the id of the first one, which the server makes up if the upstream gave none."""
    first = {"tool_calls": [{"index": 0, "id": wire_id, "function": {"name": "find", "arguments": '{"q"'}}]}
    more = [{"tool_calls": [{"index": 0, "function": {"arguments": text}}]} for text in (": ", '"x"}')]
    gate = upstream.chunks(*map(chunk, (first, *more)), finish="tool_calls", done=True, gated=True)
    deltas: list[events_pb2.ToolCallDelta] = []

    async for event in running_server.client().stream(a_wire_request()):
        gate.open()
        if event.WhichOneof("kind") == "tool_call_delta":
            deltas.append(event.tool_call_delta)

    (call_id,) = {delta.call_id for delta in deltas}
    assert call_id == wire_id if wire_id else call_id.startswith("call_")
    assert [(delta.name, delta.arguments) for delta in deltas] == [("find", '{"q"'), ("", ": "), ("", '"x"}')]
    assert {delta.index for delta in deltas} == {0}
    assert json.loads("".join(delta.arguments for delta in deltas)) == {"q": "x"}


async def test_waiting_for_the_upstream_is_not_overhead(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The time of waiting for the upstream counts in the total and in the first token, but not in the overhead."""
    gate = upstream.gated("one", "two")
    events: list[events_pb2.StreamCompleteResponse] = []

    arrivals: list[float] = []
    beats = 0

    async for event in running_server.client().stream(a_wire_request(), heartbeat_seconds=0.1):
        events.append(event)
        if event.WhichOneof("kind") == "heartbeat" and upstream.requests:
            arrivals = arrivals or [read_clock()]
            beats += 1
            if beats == 2:
                wait_nanoseconds = (read_clock() - arrivals[0]) * 1e9
                gate.open_all()

    check_timings(events[-1].completed.timings)
    timings = events[-1].completed.timings
    assert wait_nanoseconds > 0
    assert timings.first_token_duration.ToNanoseconds() >= wait_nanoseconds
    assert timings.total_duration.ToNanoseconds() >= wait_nanoseconds
    assert timings.overhead_duration.ToNanoseconds() <= timings.total_duration.ToNanoseconds() - wait_nanoseconds
