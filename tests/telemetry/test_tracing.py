"""Traces, as a collector gets them: names, parents, attributes and statuses, to whatever end a call comes."""

import ast
import asyncio
import inspect
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, ClassifierEntry, Config, hash_token
from reasoning_grpc.domain import RouteDecision, RouteSource, RoutingMode, ThinkTags
from reasoning_grpc.domain.events import Started, StreamEvent
from reasoning_grpc.llm import genai
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.interceptor import CallInterceptor
from reasoning_grpc.rpc.server_spans import ServerSpans
from reasoning_grpc.rpc.service import ReasoningService
from reasoning_grpc.server.listener import SERVICE as SERVICE_NAME
from reasoning_grpc.telemetry.export import Telemetry, telemetry_plan
from reasoning_grpc.v1 import classification_pb2, completion_pb2, models_pb2, routing_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceStub,
    add_ReasoningServiceServicer_to_server,
)
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.otlp import OtlpReceiver, ReceivedSpan
from tests.support.serving import (
    UPSTREAM_KEY,
    RunningServer,
    config_for,
    judging_config,
    model_entry,
    proxy_entry,
    serving,
)
from tests.support.upstream import (
    PATIENCE_SECONDS,
    UPSTREAM_SECRET,
    FakeToolCall,
    FakeUpstream,
    Gate,
    refusing_api_base,
)

SERVICE: Final = f"/{SERVICE_NAME}/"
COMPLETE: Final = SERVICE + "Complete"
STREAM_COMPLETE: Final = SERVICE + "StreamComplete"
CHAT: Final = "chat fake"
DISCOVERY: Final = "discover models"
INSTRUMENTATION: Final = "opentelemetry.instrumentation.grpc"
OURS: Final = "reasoning_grpc"

TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN: Final = "b7ad6b7169203331"
TRACEPARENT: Final = f"00-{TRACE_ID}-{CALLERS_SPAN}-01"
TRACESTATE: Final = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
TRACED: Final = (("traceparent", TRACEPARENT), ("tracestate", TRACESTATE))

AUTO: Final[dict[str, Any]] = {"routing": routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO)}

Tracing = Callable[[Config], AbstractAsyncContextManager[RunningServer]]

PROMPT: Final = "a secret that the prompt holds"
ANSWER: Final = "a secret that the answer holds"


@pytest.fixture
async def receiver() -> AsyncIterator[OtlpReceiver]:
    """A collector."""
    async with OtlpReceiver() as running:
        yield running


@pytest.fixture
def otel(monkeypatch: pytest.MonkeyPatch, receiver: OtlpReceiver) -> pytest.MonkeyPatch:
    """The variables that send spans to it, and send them soon; tests add to them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    return monkeypatch


@pytest.fixture
def tracing(otel: pytest.MonkeyPatch) -> Tracing:  # noqa: ARG001 - it sets what is read here
    """Runs a server of a configuration that exports what the variables ask for."""

    @asynccontextmanager
    async def run(config: Config) -> AsyncIterator[RunningServer]:
        telemetry = Telemetry(telemetry_plan(os.environ))
        try:
            async with serving(config, telemetry) as running:
                yield running
        finally:
            await telemetry.aclose()

    return run


@pytest.fixture
async def traced(tracing: Tracing, upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server that sends its spans to the collector; its one model is the fake upstream."""
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        yield running


async def failure(call: Any) -> CallFailed:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return CallFailed(failed.value)


async def only(receiver: OtlpReceiver, name: str) -> ReceivedSpan:
    """The one span of this name."""
    (span,) = await receiver.named(name)
    return span


def common(span: ReceivedSpan) -> Mapping[str, Any]:
    """The attributes of a call's span, but for those that differ each time."""
    varying = {"net.peer.port", "rpc.user_agent", "reasoning_grpc.request_id", "reasoning_grpc.cost_nano_usd"}
    return {name: value for name, value in span.attributes.items() if name not in varying}


def rpc(method: str, code: int, **ours: Any) -> dict[str, Any]:
    """Attributes of the span of a call: the instrumentation's, and ours under their prefix."""
    return {
        "rpc.system": "grpc",
        "rpc.service": "reasoning_grpc.v1.ReasoningService",
        "rpc.method": method,
        "rpc.grpc.status_code": code,
        "net.peer.ip": "127.0.0.1",
        "net.peer.name": "localhost",
        **{f"reasoning_grpc.{name}": value for name, value in {"caller": "anonymous", **ours}.items()},
    }


ROUTED: Final = {"model": "fake", "route": "passthrough", "mode": "PASSTHROUGH", "route_source": "DEFAULT"}
ANSWERED: Final = {
    **ROUTED,
    "events": 4,
    "attempts": 1,
    "finish_reason": "STOP",
    "input_tokens": 11,
    "output_tokens": 7,
    "usage_source": "PROVIDER",
}


def asked(upstream: FakeUpstream) -> dict[str, Any]:
    """Attributes of every model call of the fake upstream."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "fake",
        "gen_ai.request.stream": True,
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "reasoning_grpc.model": "fake",
    }


async def test_a_call_and_its_model_call(receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream) -> None:
    """A call that goes well is a trace of two spans; without a caller's context it is a new one."""
    stub: Any = traced.stub
    response = await stub.Complete(a_wire_request(request_id="req-7"))

    call, chat = await only(receiver, COMPLETE), await only(receiver, CHAT)
    assert len(receiver.spans) == 2
    assert (call.kind, call.parent_id, call.status, call.scope) == ("SERVER", "", ("UNSET", ""), INSTRUMENTATION)
    assert call.attributes["reasoning_grpc.request_id"] == "req-7"
    assert common(call) == rpc("Complete", 0, **ANSWERED)
    assert (chat.kind, chat.parent_id, chat.status, chat.scope) == ("CLIENT", call.span_id, ("UNSET", ""), OURS)
    first_chunk = {"gen_ai.response.time_to_first_chunk": chat.attributes["gen_ai.response.time_to_first_chunk"]}
    assert 0 < first_chunk["gen_ai.response.time_to_first_chunk"] <= chat.seconds
    assert chat.attributes == first_chunk | asked(upstream) | {
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "reasoning_grpc.usage_source": "PROVIDER",
    }
    assert call.events == chat.events == ()
    assert call.trace_id == chat.trace_id == response.trace_id
    assert call.resource["service.name"] == "reasoning-grpc"


async def test_a_stream_is_traced_the_same(receiver: OtlpReceiver, traced: RunningServer) -> None:
    """The trace of a stream differs by the method; the id in `started` is that of the trace."""
    events = [event async for event in traced.client().stream(a_wire_request())]

    call, chat = await only(receiver, STREAM_COMPLETE), await only(receiver, CHAT)
    assert common(call) == rpc("StreamComplete", 0, **ANSWERED)
    assert (call.status, chat.status) == (("UNSET", ""), ("UNSET", ""))
    assert chat.parent_id == call.span_id
    assert events[0].started.trace_id == call.trace_id


async def test_a_request_is_described_but_not_quoted(tracing: Tracing, receiver: OtlpReceiver) -> None:
    """What a request sets, and what its model's entry sets for it, is on the span; in its numbers, not its words."""
    async with FakeUpstream() as upstream:
        upstream.reply("Hi", usage=None)
        entry = model_entry(upstream.api_base, "known", litellm_model="openai/gpt-4o-mini")
        async with tracing(config_for(entry)) as running:
            sampling = completion_pb2.Sampling(
                temperature=0.5, top_p=0.25, max_output_tokens=12, seed=4, presence_penalty=1, frequency_penalty=-1
            )
            sampling.stop.append(PROMPT)
            json_object = completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat())
            await running.client().complete(a_wire_request(sampling=sampling, response_format=json_object))

            chat = await only(receiver, "chat gpt-4o-mini")
    assert {name: value for name, value in chat.attributes.items() if name not in asked(upstream)} == {
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.25,
        "gen_ai.request.max_tokens": 12,
        "gen_ai.request.seed": 4,
        "gen_ai.request.presence_penalty": 1.0,
        "gen_ai.request.frequency_penalty": -1.0,
        "gen_ai.output.type": "json",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": chat.attributes["gen_ai.response.time_to_first_chunk"],
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 1,
        "reasoning_grpc.usage_source": "ESTIMATED",
    }
    assert chat.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert chat.attributes["reasoning_grpc.model"] == "known"
    assert PROMPT.encode() not in b"".join(receiver.raw)


async def test_the_callers_trace_goes_on(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller's span is the parent of the call's, the model call's span that of the upstream's."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    stub: Any = traced.stub
    response = await stub.Complete(a_wire_request(), metadata=(*TRACED, ("baggage", "user=alice")))

    call, chat = await only(receiver, COMPLETE), await only(receiver, CHAT)
    headers = (await upstream.request()).headers
    assert (call.trace_id, call.parent_id) == (TRACE_ID, CALLERS_SPAN)
    assert (chat.trace_id, chat.parent_id) == (TRACE_ID, call.span_id)
    assert chat.is_told_in(headers)
    assert headers["tracestate"] == TRACESTATE
    assert "baggage" not in headers
    assert response.trace_id == TRACE_ID
    assert [vars(line)["trace_id"] for line in caplog.records if line.name == "reasoning_grpc.calls"] == [TRACE_ID]


async def test_a_trace_of_its_own_goes_upstream(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a caller's context the upstream, the log and the answer get that of the new trace."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    response = await traced.client().complete(a_wire_request())

    chat = await only(receiver, CHAT)
    assert chat.is_told_in((await upstream.request()).headers)
    assert response.trace_id == chat.trace_id
    assert [vars(line)["trace_id"] for line in caplog.records if line.name == "reasoning_grpc.calls"] == [chat.trace_id]


async def test_a_trace_that_is_not_sampled_goes_on(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream
) -> None:
    """What the caller does not record is not recorded here, nor upstream, and is one trace all the same."""
    stub: Any = traced.stub
    unsampled = (("traceparent", f"00-{TRACE_ID}-{CALLERS_SPAN}-00"),)
    await stub.Complete(a_wire_request(), metadata=unsampled)
    await stub.Complete(a_wire_request(), metadata=TRACED)

    await only(receiver, COMPLETE)
    first = (await upstream.request()).headers["traceparent"]
    assert first.startswith(f"00-{TRACE_ID}-")
    assert first.endswith("-00")
    assert len(receiver.spans) == 2  # those of the second


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
async def test_a_callers_mistake_is_no_error_of_the_server(
    receiver: OtlpReceiver, traced: RunningServer, call: Callable[[Any], Any], method: str, code: int, reason: str
) -> None:
    """As the conventions want it: code and reason are there, the status is unset, and there is no model call."""
    await failure(call(traced.stub))

    span = await only(receiver, SERVICE + method)
    assert span.status == ("UNSET", "")
    assert common(span) == rpc(method, code) | {"error.type": reason}
    assert span.events == ()
    assert len(receiver.spans) == 1
    assert PROMPT.encode() not in b"".join(receiver.raw)


async def test_who_calls_is_on_the_span(tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream) -> None:
    """By the caller's name, never by the token; those without a name are seen as well."""
    caller = CallerEntry(name="alice", token_hash=hash_token("rgt_secret"))
    async with tracing(config_for(model_entry(upstream.api_base), callers={"alice": caller})) as running:
        with pytest.raises(CallFailed):
            await running.client(token="rgt_wrong").complete(a_wire_request())
        await running.client(token="rgt_secret").complete(a_wire_request())

        refused, served = await receiver.named(COMPLETE, 2)
    assert common(refused) == rpc("Complete", 16) | {"error.type": "CREDENTIALS_INVALID"}
    assert common(served) == rpc("Complete", 0, **ANSWERED) | {"reasoning_grpc.caller": "alice"}
    for secret in (b"rgt_secret", b"rgt_wrong"):
        assert secret not in b"".join(receiver.raw)


async def test_what_is_asked_without_a_model_is_traced(receiver: OtlpReceiver, traced: RunningServer) -> None:
    """`Classify` and `ListModels` have their spans, and no others."""
    stub: Any = traced.stub
    await stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request()))
    await stub.ListModels(models_pb2.ListModelsRequest())

    assert common(await only(receiver, SERVICE + "Classify")) == rpc("Classify", 0, **ROUTED)
    assert common(await only(receiver, SERVICE + "ListModels")) == rpc("ListModels", 0)
    assert len(receiver.spans) == 2


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
async def test_an_upstreams_failure(
    receiver: OtlpReceiver,
    traced: RunningServer,
    upstream: FakeUpstream,
    misbehave: Callable[[FakeUpstream], Gate],
    code: int,
    status: str,
    reason: str,
    http_status: Mapping[str, int],
) -> None:
    """The model call failed, by its reason; the call is an error where its code is the server's to answer for."""
    misbehave(upstream)
    stream: Any = traced.stub.StreamComplete(a_stream_request())
    await failure(_to_the_end(stream))

    call, chat = await only(receiver, STREAM_COMPLETE), await only(receiver, CHAT)
    assert chat.status == ("ERROR", reason)
    assert chat.attributes["error.type"] == reason
    assert chat.attributes.get("http.response.status_code") == http_status.get("http")
    assert call.status == (status, reason if status == "ERROR" else "")
    assert (call.attributes["rpc.grpc.status_code"], call.attributes["error.type"]) == (code, reason)
    assert call.events == chat.events == ()
    assert UPSTREAM_SECRET.encode() not in b"".join(receiver.raw)


async def test_each_attempt_is_a_span(receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream) -> None:
    """A retry is a request of its own: two spans beside each other, each the parent of what it asked."""
    upstream.fail(500)
    await traced.client().complete(a_wire_request())

    call = await only(receiver, COMPLETE)
    failed, answered = await receiver.named(CHAT, 2)
    assert [span.parent_id for span in (failed, answered)] == [call.span_id] * 2
    assert (failed.status, failed.attributes["http.response.status_code"]) == (("ERROR", "UPSTREAM_ERROR"), 500)
    assert answered.status == ("UNSET", "")
    first, second = upstream.requests
    assert failed.is_told_in(first.headers)
    assert answered.is_told_in(second.headers)
    assert (call.status, call.attributes["reasoning_grpc.attempts"]) == (("UNSET", ""), 2)


async def test_a_fallback_is_a_span_of_its_own_model(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """The span of the first model failed, the span of the second has its name; a refused connection has one too."""
    with refusing_api_base() as nowhere:
        entries = (
            model_entry(nowhere, "first", fallback_models=("second",)),
            model_entry(upstream.api_base, "second", litellm_model="litellm_proxy/team/second"),
        )
        async with tracing(config_for(*entries, max_retries=0)) as running:
            await running.client().complete(a_wire_request())

            call = await only(receiver, COMPLETE)
            first, second = await only(receiver, "chat first"), await only(receiver, "chat team/second")
    assert (first.parent_id, second.parent_id) == (call.span_id, call.span_id)
    assert (first.status, second.status) == (("ERROR", "UPSTREAM_UNREACHABLE"), ("UNSET", ""))
    assert second.attributes["gen_ai.provider.name"] == "litellm_proxy"
    assert call.attributes["reasoning_grpc.model"] == "second"


async def test_a_classification_is_a_span(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """What the classifier's model is asked is a child of it, and goes on with the trace from there."""
    judge.reply('{"route": "passthrough"}')

    async with tracing(judging_config(upstream, judge)) as running:
        await running.client().complete(a_wire_request(text=PROMPT, **AUTO))

        call, classify = await only(receiver, COMPLETE), await only(receiver, "classify")
        asked, answered = await only(receiver, "chat judge"), await only(receiver, CHAT)
    assert (classify.kind, classify.parent_id, classify.status) == ("INTERNAL", call.span_id, ("UNSET", ""))
    assert classify.attributes == {
        "reasoning_grpc.route": "passthrough",
        "reasoning_grpc.classifier_model": "judge",
    }
    assert (asked.parent_id, answered.parent_id) == (classify.span_id, call.span_id)
    assert asked.is_told_in(judge.requests[0].headers)
    assert answered.is_told_in(upstream.requests[0].headers)
    assert call.attributes["reasoning_grpc.route_source"] == "CLASSIFIER"
    assert PROMPT not in str(receiver.spans)


@pytest.mark.parametrize(
    ("misbehave", "timeout_seconds", "failure_of_call", "cause"),
    [
        pytest.param(lambda fake: fake.always.reply("Hm."), 60, ("UNSET", ""), "NOT_JSON", id="nonsense"),
        pytest.param(lambda fake: fake.hang(), 0.2, ("ERROR", "DEADLINE_EXCEEDED"), "UPSTREAM_TIMEOUT", id="late"),
    ],
)
async def test_a_classifier_that_fails_is_told(
    tracing: Tracing,
    receiver: OtlpReceiver,
    upstream: FakeUpstream,
    judge: FakeUpstream,
    misbehave: Any,
    timeout_seconds: float,
    failure_of_call: tuple[str, str],
    cause: str,
) -> None:
    """Its span has the cause, and is no error: the call goes on."""
    misbehave(judge)
    entry = ClassifierEntry(model="judge", timeout_seconds=timeout_seconds)

    async with tracing(judging_config(upstream, judge, classifier=entry)) as running:
        await running.client().complete(a_wire_request(**AUTO))

        call, classify = await only(receiver, COMPLETE), await only(receiver, "classify")
        asked = (await receiver.named("chat judge", 2 if cause == "NOT_JSON" else 1))[0]
    assert (call.status, classify.status, asked.status) == (("UNSET", ""), ("UNSET", ""), failure_of_call)
    assert classify.attributes["reasoning_grpc.classifier_failure"] == cause
    assert call.attributes["reasoning_grpc.classifier_failure"] == cause


@pytest.mark.parametrize(
    ("misbehave", "reason"),
    [
        pytest.param(lambda fake: fake.hang(), "UPSTREAM_TIMEOUT", id="nothing"),
        pytest.param(lambda fake: fake.hang_after(1), "UPSTREAM_STALLED", id="silence"),
    ],
)
async def test_our_own_timers_are_told_from_a_cancellation(
    tracing: Tracing,
    receiver: OtlpReceiver,
    upstream: FakeUpstream,
    misbehave: Callable[[FakeUpstream], Gate],
    reason: str,
) -> None:
    """A model call that we gave up says why."""
    misbehave(upstream)
    config = config_for(
        model_entry(upstream.api_base), first_token_timeout_seconds=0.5, stall_timeout_seconds=0.5, max_retries=0
    )
    async with tracing(config) as running:
        with pytest.raises(CallFailed):
            await running.client().complete(a_wire_request())

        call, chat = await only(receiver, COMPLETE), await only(receiver, CHAT)
    assert call.status == chat.status == ("ERROR", reason)
    assert call.attributes["rpc.grpc.status_code"] == 4


async def _to_the_end(stream: Any) -> list[Any]:
    messages = []
    while (message := await stream.read()) is not grpc.aio.EOF:
        messages.append(message)
    return messages


async def _cancelled_before_headers(running: RunningServer, upstream: FakeUpstream) -> str:
    upstream.hang()
    call: Any = running.stub.Complete(a_wire_request())
    await upstream.request()
    call.cancel()
    return COMPLETE


async def _cancelled_in_mid_stream(running: RunningServer, upstream: FakeUpstream) -> str:
    upstream.hang_after(3)
    async with aclosing(running.client().stream(a_wire_request())) as events:
        async for event in events:
            if event.WhichOneof("kind") == "content_delta":
                break
    return STREAM_COMPLETE


async def _cancelled_with_heartbeats(running: RunningServer, upstream: FakeUpstream) -> str:
    upstream.hang_after(1)
    request = a_stream_request()
    request.stream_options.heartbeat_interval.FromMilliseconds(100)
    call: Any = running.stub.StreamComplete(request)
    while (await call.read()).WhichOneof("kind") != "heartbeat":
        pass
    call.cancel()
    return STREAM_COMPLETE


async def _cancelled_while_a_write_waits(running: RunningServer, upstream: FakeUpstream) -> str:
    gate = upstream.reply(*["x" * 256 * 1024] * 400)
    call: Any = running.stub.StreamComplete(a_stream_request())
    await gate.sent(24)  # grpc takes 6 MB before a write waits
    before = -1
    while before != gate.steps_sent:
        before = gate.steps_sent
        await asyncio.sleep(0.3)
    call.cancel()
    return STREAM_COMPLETE


async def _channel_closed(running: RunningServer, upstream: FakeUpstream) -> str:
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
        _cancelled_before_headers,
        _cancelled_in_mid_stream,
        _cancelled_with_heartbeats,
        _cancelled_while_a_write_waits,
        _channel_closed,
    ],
    ids=lambda leave: leave.__name__.strip("_"),
)
async def test_a_cancelled_call_leaves_a_whole_trace(
    receiver: OtlpReceiver,
    traced: RunningServer,
    upstream: FakeUpstream,
    caplog: pytest.LogCaptureFixture,
    leave: Callable[[RunningServer, FakeUpstream], Any],
) -> None:
    """Wherever it is cancelled, both spans end, once, and say so; the upstream is let go."""
    name = await leave(traced, upstream)

    await upstream.disconnect()
    call, chat = await only(receiver, name), await only(receiver, CHAT)
    assert call.status == chat.status == ("ERROR", "CANCELLED")
    assert call.attributes["rpc.grpc.status_code"] == 1
    assert call.attributes["error.type"] == chat.attributes["error.type"] == "CANCELLED"
    assert call.attributes["reasoning_grpc.usage_source"] == "ESTIMATED"
    assert chat.parent_id == call.span_id
    assert call.events == chat.events == ()
    assert len(receiver.spans) == 2
    assert [line for line in caplog.records if line.name.startswith(("opentelemetry", "asyncio"))] == []


@pytest.mark.parametrize("method", ["StreamComplete", "Complete"])
async def test_an_expired_deadline_is_told_from_a_cancellation(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream, method: str
) -> None:
    """Both spans say DEADLINE_EXCEEDED."""
    upstream.hang_after(1)
    stub: Any = traced.stub
    await failure(
        _to_the_end(stub.StreamComplete(a_stream_request(), timeout=1))
        if method == "StreamComplete"
        else stub.Complete(a_wire_request(), timeout=1)
    )

    span, chat = await only(receiver, SERVICE + method), await only(receiver, CHAT)
    assert span.status == chat.status == ("ERROR", "DEADLINE_EXCEEDED")
    assert span.attributes["rpc.grpc.status_code"] == 4
    assert span.attributes["error.type"] == chat.attributes["error.type"] == "DEADLINE_EXCEEDED"


# Cancelled while it maps a request in its thread, litellm leaves a coroutine behind that nobody awaits.
@pytest.mark.filterwarnings("ignore:coroutine 'OpenAIChatCompletion.async_streaming' was never:RuntimeWarning")
async def test_many_calls_at_once_keep_their_traces_apart(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream
) -> None:
    """Streams that take turns, some of them cancelled, each make one trace of two spans."""
    upstream.always.reply(*["x "] * 20)
    stub: Any = traced.stub

    async def one(number: int) -> None:
        call = stub.StreamComplete(a_stream_request())
        await call.read()
        if number % 3:
            await _to_the_end(call)
        else:
            call.cancel()

    await asyncio.gather(*(one(number) for number in range(30)))

    calls, chats = await receiver.named(STREAM_COMPLETE, 30), await receiver.named(CHAT, 30)
    assert len({call.trace_id for call in calls}) == 30
    assert {(call.trace_id, call.span_id) for call in calls} == {(chat.trace_id, chat.parent_id) for chat in chats}


async def test_health_and_reflection_are_not_traced(receiver: OtlpReceiver, traced: RunningServer) -> None:
    """They work as without tracing, a watch too, and are on no trace."""
    channel: Any = traced.channel
    health: Any = health_pb2_grpc.HealthStub(channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        assert [answer async for answer in reflection.ServerReflectionInfo(iter([question]))]
    watch.cancel()
    await failure(channel.unary_unary("/grpc.health.v1.Health/Nope")(b""))
    await traced.client().complete(a_wire_request())

    await only(receiver, COMPLETE)
    await only(receiver, CHAT)
    assert len(receiver.spans) == 2


async def test_discovery_is_a_span(tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream) -> None:
    """Each reading of a proxy's list is a trace of its own, which the proxy can go on with."""
    upstream.model_info.lists("one", "two")
    async with tracing(config_for(proxy=proxy_entry(upstream))):
        span = await only(receiver, DISCOVERY)
    assert (span.kind, span.parent_id, span.status, span.scope) == ("CLIENT", "", ("UNSET", ""), OURS)
    assert span.attributes == {
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "reasoning_grpc.models": 2,
    }
    assert [span.is_told_in(request.headers) for request in upstream.requests] == [True]


@pytest.mark.parametrize(
    ("misbehave", "reason", "http_status"),
    [
        pytest.param(lambda fake: fake.model_info.fail(500), "UPSTREAM_ERROR", 500, id="500"),
        pytest.param(lambda fake: fake.model_info.drop(), "UPSTREAM_UNREACHABLE", None, id="drop"),
    ],
)
async def test_a_discovery_that_fails(
    tracing: Tracing,
    receiver: OtlpReceiver,
    upstream: FakeUpstream,
    misbehave: Callable[[FakeUpstream], Any],
    reason: str,
    http_status: int | None,
) -> None:
    """It says why; the next reading is another trace."""
    misbehave(upstream)
    async with tracing(config_for(proxy=proxy_entry(upstream))):
        first, second = (await receiver.named(DISCOVERY, 2))[:2]
    assert first.status == ("ERROR", reason)
    assert first.attributes["error.type"] == reason
    assert first.attributes.get("http.response.status_code") == http_status
    assert first.events == ()
    assert first.trace_id != second.trace_id
    assert UPSTREAM_SECRET.encode() not in b"".join(receiver.raw)


async def test_a_discovery_that_is_cut_short(tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream) -> None:
    """A reading under way when the server stops is told as well: the server's telemetry ends after the server."""
    upstream.model_info.hang()
    async with tracing(config_for(proxy=proxy_entry(upstream))):
        await upstream.request()
    assert (await only(receiver, DISCOVERY)).status == ("ERROR", "CANCELLED")


async def test_a_calls_words_stay_out(receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream) -> None:
    """Neither prompt nor answer nor a key is in anything that is exported, however a call ends."""
    upstream.reply(
        ANSWER, reasoning=[ANSWER], tool_calls=[FakeToolCall("call_1", "weather", json.dumps({"city": ANSWER}))]
    )
    await traced.client().complete(a_wire_request(PROMPT, end_user=PROMPT, labels={"team": PROMPT}))
    upstream.reply(ANSWER, finish_reason=None)
    with pytest.raises(CallFailed):
        await traced.client().complete(a_wire_request(PROMPT))
    for status in (400, 401, 500, 500, 500):
        upstream.fail(status, message=f"{PROMPT} {UPSTREAM_SECRET}")
    for _ in range(3):
        with pytest.raises(CallFailed):
            await traced.client().complete(a_wire_request(PROMPT))

    await receiver.named(COMPLETE, 5)
    exported = b"".join(receiver.raw)
    for secret in (PROMPT, ANSWER, UPSTREAM_KEY, UPSTREAM_SECRET):
        assert secret.encode() not in exported


@pytest.mark.parametrize("variable", ["true", "SPAN_ONLY"])
async def test_content_is_captured_when_asked_for(
    otel: pytest.MonkeyPatch, tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream, variable: str
) -> None:
    """The spans of model calls then have what was said, in the conventions' words; keys stay out."""
    otel.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", variable)
    upstream.reply(ANSWER, reasoning=["hm"])
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        await running.client().complete(a_wire_request(PROMPT))

        call, chat = await only(receiver, COMPLETE), await only(receiver, CHAT)
    assert json.loads(chat.attributes["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": PROMPT}]}
    ]
    assert json.loads(chat.attributes["gen_ai.output.messages"]) == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": ANSWER}],
            "finish_reason": "stop",
        }
    ]
    assert PROMPT not in str(call)
    assert UPSTREAM_KEY.encode() not in b"".join(receiver.raw)


async def test_captured_content_is_what_is_told(
    otel: pytest.MonkeyPatch, tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """What a model writes between think tags is reasoning on its span, too."""
    otel.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    upstream.reply("<think>hm</thi", "nk>42")
    async with tracing(config_for(model_entry(upstream.api_base, think_tags=ThinkTags.PAIR))) as running:
        await running.client().complete(a_wire_request(PROMPT))

        chat = await only(receiver, CHAT)
    (message,) = json.loads(chat.attributes["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "42"}]


async def test_captured_content_ends_where_the_answer_did(
    otel: pytest.MonkeyPatch, tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """Of an answer that was cut there is what came, without a finish reason."""
    otel.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    upstream.cut_after(2)
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        with pytest.raises(CallFailed):
            await running.client().complete(a_wire_request(PROMPT))

        chat = await only(receiver, CHAT)
    (message,) = json.loads(chat.attributes["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": "word0 word1 "}]
    assert message["finish_reason"] == ""


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
async def test_without_tracing_the_callers_context_goes_through(
    receiver: OtlpReceiver,
    running_server: RunningServer,
    upstream: FakeUpstream,
    metadata: Any,
    traceparent: str | None,
    tracestate: str | None,
) -> None:
    """The upstream gets the trace context that the caller sent, if it is one; the answer has its trace id."""
    stub: Any = running_server.stub
    response = await stub.Complete(a_wire_request(), metadata=metadata)

    headers = (await upstream.request()).headers
    assert (headers.get("traceparent"), headers.get("tracestate")) == (traceparent, tracestate)
    assert response.trace_id == (TRACE_ID if traceparent else "")
    assert receiver.raw == []


async def test_a_server_that_is_stopped_cuts_its_traces(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """Calls that outlive the grace are cut, and their spans are sent all the same."""
    upstream.hang_after(1)
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        call: Any = running.stub.StreamComplete(a_stream_request())
        await call.read()
        await upstream.request()
        assert await running.server.stop(grace_seconds=0) == 1

    span, chat = await only(receiver, STREAM_COMPLETE), await only(receiver, CHAT)
    assert span.status == chat.status == ("ERROR", "CANCELLED")


class BrokenEngine:
    """An engine that fails for a reason that nobody foresaw."""

    async def run(self, *_: object) -> AsyncGenerator[StreamEvent, None]:
        """See `Engine.run`."""
        decision = RouteDecision(
            mode=RoutingMode.PASSTHROUGH, model="m", source=RouteSource.DEFAULT, reason="the default"
        )
        yield StreamEvent("rsp_1", 0, 0.0, 0, Started(decision, "m", ""))
        raise ValueError(PROMPT)


@pytest.mark.parametrize("method", ["StreamComplete", "Complete"])
async def test_a_fault_of_ours_is_told_without_its_text(
    otel: pytest.MonkeyPatch,  # noqa: ARG001
    receiver: OtlpReceiver,
    method: str,
) -> None:
    """The span says INTERNAL and no more: the exception is in the log alone."""
    telemetry = Telemetry(telemetry_plan(os.environ))
    assert telemetry.tracer_provider is not None
    calls = CallInterceptor(service=SERVICE_NAME, callers=Callers(()), tracker=CallTracker(), max_request_bytes=65_536)
    server = grpc.aio.server(interceptors=[ServerSpans(SERVICE_NAME, telemetry.tracer_provider), calls])
    broken: Any = BrokenEngine()
    add_ReasoningServiceServicer_to_server(ReasoningService(broken, Caps()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = ReasoningServiceStub(channel)
        await failure(
            _to_the_end(stub.StreamComplete(a_stream_request()))
            if method == "StreamComplete"
            else stub.Complete(a_wire_request())
        )
    await server.stop(None)
    await telemetry.aclose()

    span = await only(receiver, SERVICE + method)
    assert (span.status, span.events) == (("ERROR", "INTERNAL"), ())
    assert (span.attributes["rpc.grpc.status_code"], span.attributes["error.type"]) == (13, "INTERNAL")
    assert PROMPT.encode() not in b"".join(receiver.raw)


def test_the_attributes_are_those_of_the_conventions() -> None:
    """Each name, and each value of a provider, is one that the installed conventions know."""
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    providers = {provider.value for provider in gen_ai_attributes.GenAiProviderNameValues}
    used = {value for value in _strings(genai) if value.startswith("gen_ai.")}

    assert len(used) > 15
    assert used <= known
    assert set(genai.PROVIDERS.values()) <= providers
    assert genai.OPERATION in {operation.value for operation in gen_ai_attributes.GenAiOperationNameValues}


def _strings(module: Any) -> set[str]:
    """Every string constant in the source of a module."""
    tree = ast.parse(inspect.getsource(module))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
