"""Spans say how a call failed: by mistake, upstream failure, timeout, cancellation or fault."""

import errno
import itertools
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import RouteDecision, RouteSource, RoutingMode
from reasoning_grpc.domain.events import Started, StreamEvent
from reasoning_grpc.quotas import MemoryQuotas
from reasoning_grpc.rpc.admission import Admission
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.interceptor import CallInterceptor
from reasoning_grpc.rpc.server_spans import ServerSpans
from reasoning_grpc.rpc.service import ReasoningService
from reasoning_grpc.server.listener import SERVICE as SERVICE_NAME
from reasoning_grpc.telemetry import mark_error
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.plan import read_telemetry_plan
from reasoning_grpc.v1 import completion_pb2, models_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceStub,
    add_ReasoningServiceServicer_to_server,
)
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import (
    RunningServer,
    config_for,
    model_entry,
)
from tests.support.spans import (
    CHAT,
    COMPLETE,
    PROMPT,
    SERVICE_PATH,
    STREAM_COMPLETE,
    Tracing,
    call_attributes,
    common_attributes,
    only_span,
)
from tests.support.unread_stream import unread_stream
from tests.support.upstream import (
    UPSTREAM_SECRET,
    FakeUpstream,
    Gate,
)
from tests.support.wire_calls import expect_failure, read_to_end


@pytest.mark.parametrize(
    ("call", "method", "code", "reason"),
    [
        pytest.param(
            lambda stub: stub.Complete(completion_pb2.CompleteRequest()), "Complete", 3, "INVALID_FIELD", id="invalid"
        ),
        pytest.param(
            lambda stub: stub.Complete(a_wire_request(PROMPT, model=PROMPT)),
            "Complete",
            5,
            "MODEL_NOT_FOUND",
            id="name",
        ),
        pytest.param(
            lambda stub: stub.StreamComplete(a_stream_request(model="nope")).read(),
            "StreamComplete",
            5,
            "MODEL_NOT_FOUND",
            id="model",
        ),
        pytest.param(
            lambda stub: stub.ListModels(models_pb2.ListModelsRequest(page_token=PROMPT)),
            "ListModels",
            3,
            "INVALID_FIELD",
            id="list",
        ),
    ],
)
async def test_a_callers_mistake_is_not_an_error_of_the_server(
    receiver: OtlpReceiver, traced: RunningServer, call: Callable[[Any], Any], method: str, code: int, reason: str
) -> None:
    """A caller's mistake leaves the status unset, as the conventions require; the span has code and reason."""
    await expect_failure(call(traced.stub))

    span = await only_span(receiver, SERVICE_PATH + method)
    assert span.status == ("UNSET", "")
    assert common_attributes(span) == call_attributes(method, code) | {"error.type": reason}
    assert span.events == ()
    assert len(receiver.spans) == 1
    assert PROMPT.encode() not in b"".join(receiver.raw)


@pytest.mark.parametrize(
    ("misbehave", "code", "status", "reason", "http_status"),
    [
        pytest.param(
            lambda fake: fake.fail(401), 13, "ERROR", "UPSTREAM_CREDENTIALS_REJECTED", {"http": 401}, id="401"
        ),
        pytest.param(lambda fake: fake.fail(429), 8, "UNSET", "UPSTREAM_RATE_LIMITED", {"http": 429}, id="429"),
        pytest.param(lambda fake: fake.fail(400), 3, "UNSET", "UPSTREAM_REJECTED_REQUEST", {"http": 400}, id="400"),
        pytest.param(lambda fake: fake.cut_after(2), 14, "ERROR", "UPSTREAM_UNREACHABLE", {}, id="cut"),
        pytest.param(lambda fake: fake.cut_after(2, "end"), 14, "ERROR", "UPSTREAM_STREAM_TRUNCATED", {}, id="end"),
    ],
)
async def test_an_upstreams_failure_is_on_both_spans(
    receiver: OtlpReceiver,
    traced: RunningServer,
    upstream: FakeUpstream,
    misbehave: Callable[[FakeUpstream], Gate],
    code: int,
    status: str,
    reason: str,
    http_status: Mapping[str, int],
) -> None:
    """An upstream's failure marks the model call's span; the call's own span only if its code means a server error."""
    misbehave(upstream)
    stream: Any = traced.stub.StreamComplete(a_stream_request())
    await expect_failure(read_to_end(stream))

    call, chat = await only_span(receiver, STREAM_COMPLETE), await only_span(receiver, CHAT)
    assert chat.status == ("ERROR", reason)
    assert chat.attributes["error.type"] == reason
    assert chat.attributes.get("http.response.status_code") == http_status.get("http")
    assert call.status == (status, reason if status == "ERROR" else "")
    assert (call.attributes["rpc.grpc.status_code"], call.attributes["error.type"]) == (code, reason)
    assert call.events == chat.events == ()
    assert UPSTREAM_SECRET.encode() not in b"".join(receiver.raw)


@pytest.mark.parametrize(
    ("misbehave", "setting", "reason"),
    [
        pytest.param(lambda fake: fake.hang(), "first_token_timeout_seconds", "UPSTREAM_TIMEOUT", id="nothing"),
        pytest.param(lambda fake: fake.hang_after(1), "stall_timeout_seconds", "UPSTREAM_STALLED", id="silence"),
    ],
)
async def test_our_own_timeouts_differ_from_a_cancellation(
    tracing: Tracing,
    receiver: OtlpReceiver,
    upstream: FakeUpstream,
    misbehave: Callable[[FakeUpstream], Gate],
    setting: str,
    reason: str,
) -> None:
    """A model call that one of our timeouts ended has the timeout's reason, not CANCELLED."""
    misbehave(upstream)
    settings: dict[str, Any] = {setting: 0.5, "max_retries": 0}
    config = config_for(model_entry(upstream.api_base), **settings)
    async with tracing(config) as running:
        with pytest.raises(CallFailed):
            await running.client().complete(a_wire_request())

        call, chat = await only_span(receiver, COMPLETE), await only_span(receiver, CHAT)
    assert call.status == chat.status == ("ERROR", reason)
    assert call.attributes["rpc.grpc.status_code"] == 4


async def _cancel_before_headers(running: RunningServer, upstream: FakeUpstream) -> str:
    upstream.hang()
    call: Any = running.stub.Complete(a_wire_request())
    await upstream.request()
    call.cancel()
    return COMPLETE


async def _cancel_in_mid_stream(running: RunningServer, upstream: FakeUpstream) -> str:
    upstream.hang_after(3)
    async with aclosing(running.client().stream(a_wire_request())) as events:
        async for event in events:
            if event.WhichOneof("kind") == "content_delta":
                break
    return STREAM_COMPLETE


async def _cancel_with_heartbeats(running: RunningServer, upstream: FakeUpstream) -> str:
    upstream.hang_after(1)
    request = a_stream_request()
    request.stream_options.heartbeat_interval.FromMilliseconds(100)
    call: Any = running.stub.StreamComplete(request)
    while (await call.read()).WhichOneof("kind") != "heartbeat":
        pass
    call.cancel()
    return STREAM_COMPLETE


async def _cancel_while_a_write_waits(running: RunningServer, upstream: FakeUpstream) -> str:
    async with unread_stream(running, upstream) as call:
        call.cancel()
    return STREAM_COMPLETE


async def _close_the_channel(running: RunningServer, upstream: FakeUpstream) -> str:
    upstream.hang_after(1)
    channel = grpc.aio.insecure_channel(running.address)
    stub: Any = RunningServer(running.server, channel).stub
    call = stub.StreamComplete(a_stream_request())
    await call.read()
    await upstream.request()
    await channel.close()
    return STREAM_COMPLETE


@pytest.mark.parametrize(
    "leave",
    [
        _cancel_before_headers,
        _cancel_in_mid_stream,
        _cancel_with_heartbeats,
        _cancel_while_a_write_waits,
        _close_the_channel,
    ],
    ids=lambda leave: leave.__name__.strip("_"),
)
async def test_a_cancelled_call_has_a_complete_trace(
    receiver: OtlpReceiver,
    traced: RunningServer,
    upstream: FakeUpstream,
    caplog: pytest.LogCaptureFixture,
    leave: Callable[[RunningServer, FakeUpstream], Any],
) -> None:
    """Both spans of a call that is cancelled at any moment end once, as CANCELLED, and the upstream is disconnected."""
    name = await leave(traced, upstream)

    await upstream.disconnect()
    call, chat = await only_span(receiver, name), await only_span(receiver, CHAT)
    assert call.status == chat.status == ("ERROR", "CANCELLED")
    assert call.attributes["rpc.grpc.status_code"] == 1
    assert call.attributes["error.type"] == chat.attributes["error.type"] == "CANCELLED"
    assert call.attributes["reasoning_grpc.usage_source"] == "ESTIMATED"
    assert chat.parent_id == call.span_id
    assert call.events == chat.events == ()
    assert len(receiver.spans) == 2
    assert [line for line in caplog.records if line.name.startswith(("opentelemetry", "asyncio"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["StreamComplete", "Complete"])
async def test_an_expired_deadline_differs_from_a_cancellation(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream, method: str
) -> None:
    """Both spans of a call whose deadline expired have the reason DEADLINE_EXCEEDED."""
    upstream.always.hang_after(1)
    stub: Any = traced.stub
    calls = itertools.count(1)

    async def cut(seconds: float) -> int | None:
        number = next(calls)
        await expect_failure(
            read_to_end(stub.StreamComplete(a_stream_request(), timeout=seconds))
            if method == "StreamComplete"
            else stub.Complete(a_wire_request(), timeout=seconds)
        )
        await traced.wait_for_calls(0)
        return number if upstream.requests else None

    number = await try_deadlines(cut)

    span = (await receiver.expect_spans(SERVICE_PATH + method, number))[-1]
    await receiver.expect(lambda: span.span_id in {other.parent_id for other in receiver.spans}, "a model call")
    (chat,) = [other for other in receiver.spans if other.parent_id == span.span_id]
    assert chat.name == CHAT
    assert span.status == chat.status == ("ERROR", "DEADLINE_EXCEEDED")
    assert span.attributes["rpc.grpc.status_code"] == 4
    assert span.attributes["error.type"] == chat.attributes["error.type"] == "DEADLINE_EXCEEDED"


async def test_calls_that_a_stop_cuts_are_exported(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """The span of a call that a stop cuts says so, and that of its model call is CANCELLED."""
    upstream.hang_after(1)
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        call: Any = running.stub.StreamComplete(a_stream_request())
        await call.read()
        await upstream.request()
        assert await running.server.stop(grace_seconds=0) == 1

    span, chat = await only_span(receiver, STREAM_COMPLETE), await only_span(receiver, CHAT)
    assert span.status == ("ERROR", "SERVER_SHUTTING_DOWN")
    assert span.attributes["rpc.grpc.status_code"] == 14
    assert chat.status == ("ERROR", "CANCELLED")


class BrokenEngine:
    """An engine whose stream raises an error that is not one of ours."""

    async def run(self, *_: object) -> AsyncGenerator[StreamEvent, None]:
        """See `Engine.run`."""
        decision = RouteDecision(
            mode=RoutingMode.PASSTHROUGH, model="m", source=RouteSource.DEFAULT, reason="the default"
        )
        yield StreamEvent(0, 0.0, 0, Started("rsp_1", decision, "m", ""))
        raise ValueError(PROMPT)


@pytest.mark.parametrize("method", ["StreamComplete", "Complete"])
async def test_a_fault_is_exported_without_its_text(
    otel: pytest.MonkeyPatch,  # noqa: ARG001
    receiver: OtlpReceiver,
    method: str,
) -> None:
    """The span of a call that met a fault has the reason INTERNAL, and no text of the exception."""
    telemetry = Telemetry(read_telemetry_plan(os.environ))
    assert telemetry.tracer_provider is not None
    calls = CallInterceptor(
        service=SERVICE_NAME,
        callers=Callers(()),
        tracker=CallTracker(),
        admission=Admission(),
        quotas=MemoryQuotas(),
        max_request_bytes=65_536,
    )
    server = grpc.aio.server(interceptors=[ServerSpans(SERVICE_NAME, telemetry.tracer_provider), calls])
    broken: Any = BrokenEngine()
    add_ReasoningServiceServicer_to_server(ReasoningService(broken, Caps()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = ReasoningServiceStub(channel)
        await expect_failure(
            read_to_end(stub.StreamComplete(a_stream_request()))
            if method == "StreamComplete"
            else stub.Complete(a_wire_request())
        )
    await server.stop(None)
    await telemetry.aclose()

    span = await only_span(receiver, SERVICE_PATH + method)
    assert (span.status, span.events) == (("ERROR", "INTERNAL"), ())
    assert (span.attributes["rpc.grpc.status_code"], span.attributes["error.type"]) == (13, "INTERNAL")
    assert PROMPT.encode() not in b"".join(receiver.raw)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "SERVER_OVERLOADED"),
        (OSError(errno.EMFILE, PROMPT), "SERVER_OVERLOADED"),
        (OSError(errno.EACCES, PROMPT), "INTERNAL"),
    ],
)
def test_a_shortage_is_no_fault(error: Exception, reason: str) -> None:
    """The span of work that a shortage of memory or files ends has the reason that the caller gets."""
    span: Any = TracerProvider(shutdown_on_exit=False).get_tracer("tests").start_span("work")

    mark_error(span, error)

    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, reason)
    assert span.attributes["error.type"] == reason
