"""Every call, model call and attempt has a span with its facts, and none of its words."""

import ast
import asyncio
import inspect
import json
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.llm import genai
from reasoning_grpc.v1 import classification_pb2, completion_pb2, models_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import (
    RunningServer,
    config_for,
    model_entry,
)
from tests.support.spans import (
    ANSWERED,
    CHAT,
    COMPLETE,
    INSTRUMENTATION,
    OURS,
    PROMPT,
    ROUTED,
    SERVICE_PATH,
    STREAM_COMPLETE,
    Tracing,
    call_attributes,
    common_attributes,
    model_call_attributes,
    only_span,
)
from tests.support.upstream import (
    PATIENCE_SECONDS,
    FakeUpstream,
    refusing_api_base,
)
from tests.support.wire_calls import expect_failure, read_to_end


async def test_a_call_and_its_model_call_are_two_spans(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream
) -> None:
    """A successful call without a caller's context is a new trace of two spans, which hold its facts."""
    stub: Any = traced.stub
    response = await stub.Complete(a_wire_request(request_id="req-7"))

    call, chat = await only_span(receiver, COMPLETE), await only_span(receiver, CHAT)
    assert len(receiver.spans) == 2
    assert (call.kind, call.parent_id, call.status, call.scope) == ("SERVER", "", ("UNSET", ""), INSTRUMENTATION)
    assert call.attributes["reasoning_grpc.request_id"] == "req-7"
    assert common_attributes(call) == call_attributes("Complete", 0, **ANSWERED)
    assert (chat.kind, chat.parent_id, chat.status, chat.scope) == ("CLIENT", call.span_id, ("UNSET", ""), OURS)
    first_chunk = {"gen_ai.response.time_to_first_chunk": chat.attributes["gen_ai.response.time_to_first_chunk"]}
    assert 0 < first_chunk["gen_ai.response.time_to_first_chunk"] <= chat.seconds
    assert chat.attributes == first_chunk | model_call_attributes(upstream) | {
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "reasoning_grpc.usage_source": "PROVIDER",
        "llm.finish_reason": "stop",
        "llm.token_count.prompt": 11,
        "llm.token_count.completion": 7,
        "llm.token_count.total": 18,
        "llm.token_count.prompt_details.cache_read": 3,
        "llm.token_count.completion_details.reasoning": 2,
    }
    assert call.events == chat.events == ()
    assert call.trace_id == chat.trace_id == response.trace_id
    assert call.resource["service.name"] == "reasoning-grpc"


async def test_a_stream_has_the_trace_of_a_unary_call(receiver: OtlpReceiver, traced: RunningServer) -> None:
    """The trace of a stream differs from that of a unary call only in the method, and `started` has its id."""
    events = [event async for event in traced.client().stream(a_wire_request())]

    call, chat = await only_span(receiver, STREAM_COMPLETE), await only_span(receiver, CHAT)
    assert common_attributes(call) == call_attributes("StreamComplete", 0, **ANSWERED)
    assert (call.status, chat.status) == (("UNSET", ""), ("UNSET", ""))
    assert chat.parent_id == call.span_id
    assert events[0].started.trace_id == call.trace_id


async def test_a_request_is_described_but_not_quoted(tracing: Tracing, receiver: OtlpReceiver) -> None:
    """The span of a model call has the numbers of the request and of its model's entry, but none of their texts."""
    async with FakeUpstream() as upstream:
        upstream.reply("Hi", usage=None)
        entry = model_entry(upstream.api_base, "known", litellm_model="openai/gpt-4o-mini")
        async with tracing(config_for(entry)) as running:
            sampling = completion_pb2.Sampling(
                temperature=0.5, top_p=0.25, max_output_tokens=12, seed=4, presence_penalty=1, frequency_penalty=-1
            )
            sampling.stop_sequences.append(PROMPT)
            json_object = completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat())
            await running.client().complete(a_wire_request(sampling=sampling, response_format=json_object))

            chat = await only_span(receiver, "chat gpt-4o-mini")
    assert {name: value for name, value in chat.attributes.items() if name not in model_call_attributes(upstream)} == {
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
        "llm.finish_reason": "stop",
        "llm.token_count.prompt": 1,
        "llm.token_count.completion": 1,
        "llm.token_count.total": 2,
        "llm.invocation_parameters": chat.attributes["llm.invocation_parameters"],
    }
    assert json.loads(chat.attributes["llm.invocation_parameters"]) == {
        "temperature": 0.5,
        "top_p": 0.25,
        "max_tokens": 12,
        "seed": 4,
        "presence_penalty": 1.0,
        "frequency_penalty": -1.0,
    }
    assert chat.attributes["gen_ai.request.model"] == "gpt-4o-mini"
    assert chat.attributes["reasoning_grpc.model"] == "known"
    assert PROMPT.encode() not in b"".join(receiver.raw)


async def test_a_span_names_the_caller(tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream) -> None:
    """A call's span has the caller's name, never the token; a refused call has no name."""
    caller = CallerEntry(name="alice", token_hash=hash_token("rgt_secret"))
    async with tracing(config_for(model_entry(upstream.api_base), callers={"alice": caller})) as running:
        with pytest.raises(CallFailed):
            await running.client(token="rgt_wrong").complete(a_wire_request())
        await running.client(token="rgt_secret").complete(a_wire_request())

        refused, served = await receiver.expect_spans(COMPLETE, 2)
    assert common_attributes(refused) == call_attributes("Complete", 16) | {"error.type": "CREDENTIALS_INVALID"}
    assert common_attributes(served) == call_attributes("Complete", 0, **ANSWERED) | {"reasoning_grpc.caller": "alice"}
    for secret in (b"rgt_secret", b"rgt_wrong"):
        assert secret not in b"".join(receiver.raw)


async def test_calls_without_a_model_call_are_one_span(receiver: OtlpReceiver, traced: RunningServer) -> None:
    """`Classify` and `ListModels` each make one span."""
    stub: Any = traced.stub
    await stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request()))
    await stub.ListModels(models_pb2.ListModelsRequest())

    assert common_attributes(await only_span(receiver, SERVICE_PATH + "Classify")) == call_attributes(
        "Classify", 0, **ROUTED
    )
    assert common_attributes(await only_span(receiver, SERVICE_PATH + "ListModels")) == call_attributes("ListModels", 0)
    assert len(receiver.spans) == 2


async def test_each_attempt_is_a_span(receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream) -> None:
    """A retry makes a second span beside the first, and each is the parent of its request to the upstream."""
    upstream.fail(500)
    await traced.client().complete(a_wire_request())

    call = await only_span(receiver, COMPLETE)
    failed, answered = await receiver.expect_spans(CHAT, 2)
    assert [span.parent_id for span in (failed, answered)] == [call.span_id] * 2
    assert (failed.status, failed.attributes["http.response.status_code"]) == (("ERROR", "UPSTREAM_ERROR"), 500)
    assert answered.status == ("UNSET", "")
    first, second = upstream.requests
    assert failed.is_continued_by(first.headers)
    assert answered.is_continued_by(second.headers)
    assert (call.status, call.attributes["reasoning_grpc.attempts"]) == (("UNSET", ""), 2)


async def test_a_fallback_has_a_span_with_its_own_model(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """A refused connection makes a failed span, and the fallback's span names the model that answered."""
    with refusing_api_base() as nowhere:
        entries = (
            model_entry(nowhere, "first", fallback_models=("second",)),
            model_entry(upstream.api_base, "second", litellm_model="litellm_proxy/team/second"),
        )
        async with tracing(config_for(*entries, max_retries=0)) as running:
            await running.client().complete(a_wire_request())

            call = await only_span(receiver, COMPLETE)
            first, second = await only_span(receiver, "chat first"), await only_span(receiver, "chat team/second")
    assert (first.parent_id, second.parent_id) == (call.span_id, call.span_id)
    assert (first.status, second.status) == (("ERROR", "UPSTREAM_UNREACHABLE"), ("UNSET", ""))
    assert second.attributes["gen_ai.provider.name"] == "litellm_proxy"
    assert call.attributes["reasoning_grpc.model"] == "second"


async def test_many_calls_at_once_keep_their_traces_apart(
    receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream
) -> None:
    """Each of many concurrent streams, of which some are cancelled, makes one trace of two spans."""
    upstream.always.reply(*["x "] * 20)
    stub: Any = traced.stub

    async def one(number: int) -> None:
        call = stub.StreamComplete(a_stream_request())
        await call.read()
        if number % 3:
            await read_to_end(call)
        else:
            call.cancel()

    await asyncio.gather(*(one(number) for number in range(30)))

    calls, chats = await receiver.expect_spans(STREAM_COMPLETE, 30), await receiver.expect_spans(CHAT, 30)
    assert len({call.trace_id for call in calls}) == 30
    assert {(call.trace_id, call.span_id) for call in calls} == {(chat.trace_id, chat.parent_id) for chat in chats}


async def test_health_and_reflection_are_not_traced(receiver: OtlpReceiver, traced: RunningServer) -> None:
    """Health, also a watch of it, and reflection work while traces are exported, and make no spans."""
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
    await expect_failure(channel.unary_unary("/grpc.health.v1.Health/Nope")(b""))
    await traced.client().complete(a_wire_request())

    await only_span(receiver, COMPLETE)
    await only_span(receiver, CHAT)
    assert len(receiver.spans) == 2


def test_the_attributes_follow_the_conventions() -> None:
    """Each attribute of a model call, and each provider's name, is known to the installed conventions."""
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    providers = {provider.value for provider in gen_ai_attributes.GenAiProviderNameValues}
    used = {value for value in _list_strings(genai) if value.startswith("gen_ai.")}

    assert len(used) > 15
    assert used <= known
    assert set(genai.PROVIDERS.values()) <= providers
    assert genai.OPERATION in {operation.value for operation in gen_ai_attributes.GenAiOperationNameValues}


def _list_strings(module: Any) -> set[str]:
    """Returns every string constant in the source of a module."""
    tree = ast.parse(inspect.getsource(module))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
