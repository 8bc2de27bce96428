"""A caller's trace context reaches the upstream, with and without spans of our own."""

import logging
from typing import Any

import pytest

from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import (
    RunningServer,
)
from tests.support.spans import CALLERS_SPAN, CHAT, COMPLETE, TRACE_ID, TRACED, TRACEPARENT, TRACESTATE, only_span
from tests.support.upstream import (
    FakeUpstream,
)


async def test_the_callers_trace_is_continued(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller's span is the parent of the call's span, and the model call's span that of the upstream's."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    stub: Any = traced.stub
    response = await stub.Complete(a_wire_request(), metadata=(*TRACED, ("baggage", "user=alice")))

    call, chat = await only_span(receiver, COMPLETE), await only_span(receiver, CHAT)
    headers = (await upstream.request()).headers
    assert (call.trace_id, call.parent_id) == (TRACE_ID, CALLERS_SPAN)
    assert (chat.trace_id, chat.parent_id) == (TRACE_ID, call.span_id)
    assert chat.is_continued_by(headers)
    assert headers["tracestate"] == TRACESTATE
    assert "baggage" not in headers
    assert response.trace_id == TRACE_ID
    assert [vars(line)["trace_id"] for line in caplog.records if line.name == "reasoning_grpc.calls"] == [TRACE_ID]


async def test_a_new_trace_is_continued_by_the_upstream(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a caller's context the upstream, the log and the answer have the id of the new trace."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    response = await traced.client().complete(a_wire_request())

    chat = await only_span(receiver, CHAT)
    assert chat.is_continued_by((await upstream.request()).headers)
    assert response.trace_id == chat.trace_id
    assert [vars(line)["trace_id"] for line in caplog.records if line.name == "reasoning_grpc.calls"] == [chat.trace_id]


async def test_a_trace_that_is_not_sampled_is_continued(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream
) -> None:
    """A trace that the caller does not sample is not exported, and reaches the upstream as not sampled."""
    stub: Any = traced.stub
    unsampled = (("traceparent", f"00-{TRACE_ID}-{CALLERS_SPAN}-00"),)
    await stub.Complete(a_wire_request(), metadata=unsampled)
    await stub.Complete(a_wire_request(), metadata=TRACED)

    await only_span(receiver, COMPLETE)
    first = (await upstream.request()).headers["traceparent"]
    assert first.startswith(f"00-{TRACE_ID}-")
    assert first.endswith("-00")
    assert len(receiver.spans) == 2  # the spans of the second call


@pytest.mark.parametrize(
    ("metadata", "traceparent", "tracestate"),
    [
        pytest.param(TRACED, TRACEPARENT, TRACESTATE, id="as-received"),
        pytest.param(TRACED[:1], TRACEPARENT, None, id="without-state"),
        pytest.param((), None, None, id="none"),
        pytest.param((("traceparent", "00-nonsense"), TRACED[1]), None, None, id="malformed"),
        pytest.param((("traceparent", f"00-{'0' * 32}-{CALLERS_SPAN}-01"),), None, None, id="zeros"),
    ],
)
async def test_without_tracing_the_callers_context_reaches_the_upstream(
    receiver: OtlpReceiver,
    running_server: RunningServer,
    upstream: FakeUpstream,
    metadata: Any,
    traceparent: str | None,
    tracestate: str | None,
) -> None:
    """Without tracing the upstream gets the caller's trace context if it is valid, and the answer has its id."""
    stub: Any = running_server.stub
    response = await stub.Complete(a_wire_request(), metadata=metadata)

    headers = (await upstream.request()).headers
    assert (headers.get("traceparent"), headers.get("tracestate")) == (traceparent, tracestate)
    assert response.trace_id == (TRACE_ID if traceparent else "")
    assert receiver.raw == []
