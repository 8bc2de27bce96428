"""Calls through a real LiteLLM proxy: what it passes on, what it hides, and what happens when it stops."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, ClassifierEntry, ProxyEntry, hash_token
from reasoning_grpc.domain import Capability, Secret, Wire
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.plan import read_telemetry_plan
from reasoning_grpc.v1 import completion_pb2, errors_pb2, messages_pb2, models_pb2, routing_pb2, usage_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.litellm_proxy import FORBIDDEN_KEY, SERVER_KEY, UPSTREAM_KEY, VIRTUAL_KEY, LiteLLMProxy
from tests.support.otlp import OtlpReceiver
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import PATIENCE_SECONDS, UPSTREAM_SECRET, FakeToolCall, FakeUpstream

# One event loop for all tests here: they share the proxy's process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.process]

TOOL: Final = completion_pb2.Tool(
    name="weather",
    description="The weather.",
    parameters_schema='{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
)
SCHEMA: Final = {
    "type": "object",
    "properties": {"mode": {"type": "string", "enum": ["direct", "reasoning"]}},
    "required": ["mode"],
    "additionalProperties": False,
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider_behind_proxy() -> AsyncIterator[FakeUpstream]:
    """The upstream behind the proxy."""
    async with FakeUpstream() as fake:
        yield fake


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def proxy(
    provider_behind_proxy: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LiteLLMProxy]:
    """The proxy."""
    running = LiteLLMProxy(tmp_path_factory.mktemp("litellm-proxy"), provider_behind_proxy.api_base)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


@asynccontextmanager
async def server_for(
    proxy: LiteLLMProxy, *entries: Any, key: str = SERVER_KEY, **options: Any
) -> AsyncIterator[RunningServer]:
    """Runs a server in front of this proxy."""
    options = {"default_model": "fake", **options}
    entry = ProxyEntry(base_url=proxy.base_url, api_key=Secret(key))
    async with serving(config_for(*entries, proxy=entry, **options)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def running(proxy: LiteLLMProxy) -> AsyncIterator[RunningServer]:
    """A server whose models all come from the proxy."""
    async with server_for(proxy) as server:
        yield server


@pytest.fixture
def upstream(provider_behind_proxy: FakeUpstream) -> FakeUpstream:
    """The upstream behind the proxy, without the requests of earlier tests."""
    provider_behind_proxy.requests.clear()
    return provider_behind_proxy


async def expect_failure(call: Any) -> CallFailed:
    """Returns the failure of a call."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    assert UPSTREAM_SECRET not in str(failed.value)
    return CallFailed(failed.value)


@pytest.mark.parametrize("capabilities", [frozenset({Capability.JSON_SCHEMA}), None], ids=["schema", "object"])
async def test_a_classifier_behind_the_proxy(
    proxy: LiteLLMProxy, upstream: FakeUpstream, capabilities: frozenset[Capability] | None
) -> None:
    """The classifier's request arrives at the provider unchanged, and its answer decides the route."""
    judge = model_entry(
        f"{proxy.base_url}/v1",
        "judge",
        litellm_model="litellm_proxy/fake",
        api_key=Secret(SERVER_KEY),
        capabilities=capabilities,
    )
    upstream.reply(json.dumps({"route": "reasoning"}))

    config = config_for(judge, proxy=ProxyEntry(base_url=proxy.base_url, api_key=Secret(SERVER_KEY)))
    patient = ClassifierEntry(timeout_seconds=120)  # the first call through a proxy is slow
    async with serving(replace(config, classifier=patient)) as running:
        request = a_wire_request(routing=routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO))
        decision = await running.client().classify(request)

    assert (decision.route, decision.source) == ("reasoning", routing_pb2.ROUTE_SOURCE_CLASSIFIER)
    assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    captured = upstream.requests[-1]  # before it, a proxy that has just started reads the models
    form = captured.body["response_format"]
    if capabilities is None:
        assert form == {"type": "json_object"}
    else:
        assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
        assert form["json_schema"]["schema"]["properties"] == {
            "route": {"type": "string", "enum": ["passthrough", "reasoning"]}
        }


async def test_the_responses_api_of_the_proxy(proxy: LiteLLMProxy, upstream: FakeUpstream) -> None:
    """With `wire = "responses"`, a request reaches the provider behind the proxy, and reasoning goes back and forth."""
    entry = model_entry(
        f"{proxy.base_url}/v1",
        "thinker",
        litellm_model="litellm_proxy/fake",
        api_key=Secret(SERVER_KEY),
        base_model="openai/gpt-5.6",
        wire=Wire.RESPONSES,
    )
    upstream.reply(
        reasoning=("Let me look.",),
        reasoning_signature="gAAAone",
        tool_calls=[FakeToolCall("call_1", "weather", ("{}",))],
    )
    upstream.reply("Cold.", reasoning=("Hm.",), reasoning_signature="gAAAtwo")
    included = completion_pb2.IncludeOptions(reasoning=True)

    async with server_for(proxy, entry, default_model="thinker") as running:
        client = running.client()
        request = a_wire_request("How cold?", tools=[TOOL], include=included)
        first = await client.complete(request)
        request.messages.add().CopyFrom(first.message)
        result = messages_pb2.ToolResult(call_id="call_1", content="4 degrees")
        request.messages.add(role=messages_pb2.ROLE_TOOL).content.add(tool_result=result)
        second = await client.complete(request)

    bodies = [captured.body for captured in upstream.requests if captured.path == "/v1/responses"]
    assert [body["store"] for body in bodies] == [False, False]
    assert bodies[0]["reasoning"] == {"summary": "auto"}
    assert bodies[0]["include"] == ["reasoning.encrypted_content"]
    assert [item["type"] for item in bodies[1]["input"]] == [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
    ]
    assert bodies[1]["input"][1]["encrypted_content"] == "gAAAone"
    assert [part.WhichOneof("kind") for part in first.message.content] == ["reasoning", "tool_call"]
    assert [part.text for part in second.message.content if part.text] == ["Cold."]
    assert second.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


async def test_models_of_the_proxy_are_listed(running: RunningServer) -> None:
    """The proxy's chat models are listed, with what LiteLLM knows of them."""
    stub: Any = running.stub
    page = await stub.ListModels(models_pb2.ListModelsRequest())

    assert list(page.models) == [
        models_pb2.Model(
            name="fake",
            source=models_pb2.MODEL_SOURCE_KIND_PROXY,
            provider="openai",
            is_default=True,
            state=models_pb2.MODEL_STATE_AVAILABLE,
            limits=models_pb2.ModelLimits(),
        ),
        models_pb2.Model(
            name="impatient",
            source=models_pb2.MODEL_SOURCE_KIND_PROXY,
            provider="openai",
            state=models_pb2.MODEL_STATE_AVAILABLE,
            limits=models_pb2.ModelLimits(),
        ),
        models_pb2.Model(
            name="team/known",
            source=models_pb2.MODEL_SOURCE_KIND_PROXY,
            provider="openai",
            state=models_pb2.MODEL_STATE_AVAILABLE,
            capabilities=[
                models_pb2.MODEL_CAPABILITY_TOOLS,
                models_pb2.MODEL_CAPABILITY_JSON_OBJECT,
                models_pb2.MODEL_CAPABILITY_JSON_SCHEMA,
                models_pb2.MODEL_CAPABILITY_IMAGE_INPUT,
                models_pb2.MODEL_CAPABILITY_DOCUMENT_INPUT,
            ],
            limits=models_pb2.ModelLimits(context_window_tokens=128_000, max_output_tokens=16_384),
            prices=models_pb2.ModelPrices(
                base=models_pb2.TokenPrices(
                    input_nano_usd_per_million=150_000_000,
                    cached_input_nano_usd_per_million=75_000_000,
                    output_nano_usd_per_million=600_000_000,
                )
            ),
        ),
    ]
    assert (page.sources[0].model_count, page.sources[0].stale) == (3, False)


async def test_a_completion(upstream: FakeUpstream, running: RunningServer) -> None:
    """Text, finish reason and usage are the provider's; the proxy sends its own key to the provider, not ours."""
    upstream.reply("Hel", "lo")

    answer = await running.client().complete(a_wire_request("What?"))

    assert answer.message.content[0].text == "Hello"
    assert (answer.model, answer.finish_reason) == ("fake", completion_pb2.FINISH_REASON_STOP)
    usage = answer.usage
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens, usage.total_tokens) == (11, 3, 7, 18)
    assert usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert not answer.HasField("cost")
    (request,) = upstream.requests
    assert request.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert (request.body["model"], request.body["messages"]) == ("fake", [{"role": "user", "content": "What?"}])


async def test_a_model_with_a_price_has_a_cost(upstream: FakeUpstream, running: RunningServer) -> None:
    """The cost follows the proxy's prices for 8 tokens of prompt, 3 of them from the cache, and 7 of answer."""
    upstream.reply("Hello")

    answer = await running.client().complete(a_wire_request(model="team/known"))

    assert answer.cost.total_nano_usd == 8 * 150 + 3 * 75 + 7 * 600
    assert upstream.requests[0].body["model"] == "gpt-4o-mini"


async def test_a_stream_arrives_without_delay(upstream: FakeUpstream, running: RunningServer) -> None:
    """A delta that the upstream has sent arrives before the upstream makes the next one."""
    gate = upstream.gated("one ", "two ", "three")
    texts = []

    async with asyncio.timeout(PATIENCE_SECONDS):
        gate.open()
        async for event in running.client().stream(a_wire_request()):
            if event.WhichOneof("kind") == "content_delta":
                texts.append(event.content_delta.text)
                assert gate.steps_sent == len(texts)
                gate.open()

    assert texts == ["one ", "two ", "three"]
    assert event.completed.finish_reason == completion_pb2.FINISH_REASON_STOP


async def test_tools(upstream: FakeUpstream, running: RunningServer) -> None:
    """Tool definitions are sent unchanged; a call returns with its id, name and arguments."""
    upstream.reply(tool_calls=[FakeToolCall("call_1", "weather", ('{"city":', ' "Oslo"}'))])
    choice = completion_pb2.ToolChoice(mode=completion_pb2.TOOL_CHOICE_MODE_REQUIRED)

    answer = await running.client().complete(a_wire_request(tools=[TOOL], tool_choice=choice))

    call = answer.message.content[0].tool_call
    assert (call.id, call.name, call.arguments) == ("call_1", "weather", '{"city": "Oslo"}')
    assert answer.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
    body = upstream.requests[0].body
    assert body["tool_choice"] == "required"
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather.",
                "parameters": json.loads(TOOL.parameters_schema),
            },
        }
    ]


@pytest.mark.parametrize("model", ["fake", "team/known"])
async def test_structured_output(upstream: FakeUpstream, running: RunningServer, model: str) -> None:
    """The schema reaches the provider unchanged, for models that LiteLLM knows and for others."""
    upstream.reply('{"mode": ', '"direct"}')
    json_schema = completion_pb2.JsonSchemaFormat(name="route", schema=json.dumps(SCHEMA), strict=True)

    answer = await running.client().complete(
        a_wire_request(model=model, response_format=completion_pb2.ResponseFormat(json_schema=json_schema))
    )

    assert json.loads(answer.message.content[0].text) == {"mode": "direct"}
    assert upstream.requests[0].body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "route", "schema": SCHEMA, "strict": True},
    }


async def test_a_cancel_reaches_the_upstream(upstream: FakeUpstream, running: RunningServer) -> None:
    """A caller who leaves in the middle of a stream stops the provider behind the proxy."""
    gate = upstream.gated("one ", "two ")
    seen = upstream.disconnects
    stream: Any = running.stub.StreamComplete(a_stream_request())

    gate.open()
    while (await stream.read()).WhichOneof("kind") != "content_delta":
        pass
    stream.cancel()

    await upstream.disconnect(seen + 1)
    await upstream.idle()


async def test_a_slow_upstream_is_left(proxy: LiteLLMProxy, upstream: FakeUpstream) -> None:
    """Our own timeout ends the call.

    The proxy continues until the model's `timeout` there, because it has sent nothing yet.
    """
    upstream.hang()
    seen = upstream.disconnects

    async with server_for(proxy, first_token_timeout_seconds=0.5) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request(model="impatient")))
    await upstream.disconnect(seen + 1)

    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT")
    assert len(upstream.requests) == 1


async def test_an_upstream_that_falls_silent_is_left(proxy: LiteLLMProxy, upstream: FakeUpstream) -> None:
    """Once a delta was sent, the proxy notices that we have left, and leaves the provider, too."""
    upstream.hang_after(1)
    seen = upstream.disconnects

    async with server_for(proxy, stall_timeout_seconds=0.5) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request()))
    await upstream.disconnect(seen + 1)

    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPSTREAM_STALLED")
    assert len(upstream.requests) == 1


async def test_a_timeout_of_the_proxy(upstream: FakeUpstream, running: RunningServer) -> None:
    """The proxy's own timeout has the same reason as ours, and is not retried."""
    upstream.hang()

    failed = await expect_failure(running.stub.Complete(a_wire_request(model="impatient")))

    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT")
    assert failed.metadata == {"model": "impatient", "http_status": "408"}
    assert len(upstream.requests) == 1


FAULTS: Final[Mapping[str, tuple[int, dict[str, Any], grpc.StatusCode, str]]] = {
    "429": (429, {"headers": {"Retry-After": "7"}}, grpc.StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED"),
    "500": (500, {}, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_ERROR"),
    "503": (503, {}, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED"),
    "400": (400, {}, grpc.StatusCode.INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST"),
    "context": (
        400,
        {"code": "context_length_exceeded"},
        grpc.StatusCode.INVALID_ARGUMENT,
        "CONTEXT_WINDOW_EXCEEDED",
    ),
    "401 behind it": (401, {}, grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED"),
}
"""What the provider answers to the proxy, and how our call ends."""


@pytest.mark.parametrize(("status", "options", "code", "reason"), FAULTS.values(), ids=FAULTS)
async def test_a_failure_behind_the_proxy(
    proxy: LiteLLMProxy,
    upstream: FakeUpstream,
    status: int,
    options: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    """A failure of the provider keeps its reason, is not retried by the proxy, and shows none of its text."""
    upstream.fail(status, **options)

    async with server_for(proxy, max_retries=0) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request()))

    assert (failed.code, failed.reason) == (code, reason)
    assert failed.retry_after_seconds == (7 if status == 429 else None)
    assert len(upstream.requests) == 1


async def test_the_proxy_hides_a_cut_stream(upstream: FakeUpstream, running: RunningServer) -> None:
    """The proxy invents a `stop` and a usage for a stream that was cut, so that we cannot report the cut.

    The docs say so.
    """
    upstream.chunks({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]})

    answer = await running.client().complete(a_wire_request())

    assert answer.message.content[0].text == "Hel"
    assert answer.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert answer.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


async def test_a_model_that_the_proxy_does_not_have(proxy: LiteLLMProxy, upstream: FakeUpstream) -> None:
    """A model that the proxy does not list is not found.

    An entry of the configuration for it is an error that the operator can fix.
    """
    entry = model_entry(f"{proxy.base_url}/v1", "wrong", litellm_model="litellm_proxy/nope", api_key=Secret(SERVER_KEY))

    async with server_for(proxy, entry) as running:
        unknown = await expect_failure(running.stub.Complete(a_wire_request(model="nope")))
        missing = await expect_failure(running.stub.Complete(a_wire_request(model="wrong")))

    assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert (missing.code, missing.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_MODEL_MISSING")
    assert upstream.requests == []


@pytest.mark.parametrize("key", ["sk-wrong", FORBIDDEN_KEY, ""], ids=["401", "403", "none"])
async def test_a_wrong_key_of_the_server(proxy: LiteLLMProxy, upstream: FakeUpstream, key: str) -> None:
    """With a wrong key nothing is listed, for a stated reason, and a call fails in a way that the operator can fix."""
    entry = model_entry(f"{proxy.base_url}/v1", "fake", litellm_model="litellm_proxy/fake", api_key=Secret(key))

    async with server_for(proxy, entry, key=key) as running:
        stub: Any = running.stub
        page = await stub.ListModels(models_pb2.ListModelsRequest())
        failed = await expect_failure(running.stub.Complete(a_wire_request()))

    assert page.sources[1] == models_pb2.ModelSource(
        kind=models_pb2.MODEL_SOURCE_KIND_PROXY,
        stale=True,
        failure=errors_pb2.ERROR_REASON_UPSTREAM_CREDENTIALS_REJECTED,
    )
    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED")
    assert upstream.requests == []


async def test_callers_with_keys_of_their_own(proxy: LiteLLMProxy, upstream: FakeUpstream) -> None:
    """A caller's key that the proxy accepts is served; a key that it refuses is the caller's failure."""
    keys = {"alice": VIRTUAL_KEY, "bob": "sk-virtual-key-that-was-revoked", "eve": FORBIDDEN_KEY}
    callers = {
        name: CallerEntry(name=name, token_hash=hash_token(name), upstream_keys={"litellm_proxy/*": Secret(key)})
        for name, key in keys.items()
    }

    async with server_for(proxy, callers=callers) as running:
        stub: Any = running.stub
        answer = await stub.Complete(a_wire_request(), metadata=(("authorization", "Bearer alice"),))
        refused = [
            await expect_failure(stub.Complete(a_wire_request(), metadata=(("authorization", f"Bearer {name}"),)))
            for name in ("bob", "eve")
        ]

    assert answer.model == "fake"
    assert [(one.code, one.reason) for one in refused] == [
        (grpc.StatusCode.PERMISSION_DENIED, "UPSTREAM_KEY_REJECTED")
    ] * 2
    assert len(upstream.requests) == 1


async def test_a_proxy_that_stops_and_returns(proxy: LiteLLMProxy) -> None:
    """When the proxy stops, its models stay listed as stale and calls of them fail; when it returns, both recover."""
    async with server_for(proxy, discovery_ttl_seconds=0.1, max_retries=0) as running:
        stub: Any = running.stub
        before = await list_when(running, stale=False)

        await proxy.kill()
        during = await list_when(running, stale=True)
        failed = await expect_failure(stub.Complete(a_wire_request()))
        await proxy.start()
        after = await list_when(running, stale=False)
        answer = await running.client().complete(a_wire_request())

    assert during.models == before.models == after.models
    assert during.sources[0].failure == errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")
    assert answer.message.content[0].text == "Hello world"


async def list_when(running: RunningServer, *, stale: bool) -> models_pb2.ListModelsResponse:
    """Returns the first list whose source is stale, or is not, as given."""
    stub: Any = running.stub
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            page: models_pb2.ListModelsResponse = await stub.ListModels(models_pb2.ListModelsRequest())
            if page.sources[0].stale == stale:
                return page


async def test_a_trace_goes_through_a_proxy_that_traces(
    upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy's spans are children of ours, and the provider behind it gets our model call as its parent."""
    async with OtlpReceiver() as receiver:
        proxy = LiteLLMProxy(tmp_path, upstream.api_base, otlp_endpoint=receiver.endpoint)
        await proxy.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.endpoint)
        telemetry = Telemetry(read_telemetry_plan(os.environ))
        entry = ProxyEntry(base_url=proxy.base_url, api_key=Secret(SERVER_KEY))
        async with serving(config_for(proxy=entry, default_model="fake"), telemetry) as running:
            await running.client().complete(a_wire_request())
        await telemetry.aclose()

        (chat,) = await receiver.expect_spans("chat fake")
        theirs = await receiver.expect_spans("POST /v1/chat/completions")
        await proxy.kill()
    assert (theirs[0].trace_id, theirs[0].parent_id) == (chat.trace_id, chat.span_id)
    assert chat.is_continued_by(upstream.requests[-1].headers)


async def test_a_proxy_that_does_not_trace_keeps_the_context(running: RunningServer, upstream: FakeUpstream) -> None:
    """A proxy that does not trace gets our trace context, and passes nothing of it on."""
    stub: Any = running.stub
    await stub.Complete(a_wire_request(), metadata=(("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),))

    assert "traceparent" not in upstream.requests[-1].headers
