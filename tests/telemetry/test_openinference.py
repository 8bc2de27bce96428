"""Spans say in OpenInference's names what they are, and what went in and out where an operator requests it."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from openinference.semconv import trace as conventions

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Usage, UsageSource
from reasoning_grpc.engine.captured_content import SESSION_LABEL
from reasoning_grpc.litellm_model.calls import READERS
from reasoning_grpc.litellm_model.translated_call import WIRES
from reasoning_grpc.llm import viewer_attributes
from reasoning_grpc.telemetry.content import MAX_MESSAGES_CHARACTERS, MAX_TEXT_CHARACTERS
from reasoning_grpc.telemetry.openinference import SYSTEMS_BY_WIRE, TOKEN_COUNTS, MimeType, OpenInference, ViewerKind
from reasoning_grpc.v1 import classification_pb2, completion_pb2, messages_pb2, models_pb2
from tests.support.agent import agent_config, collect_events, plan_call, reasoning_request, write_plan
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver, ReceivedSpan
from tests.support.serving import UPSTREAM_KEY, RunningServer, config_for, model_entry, name_model, provider_entry
from tests.support.spans import ANSWER, CHAT, COMPLETE, PROMPT, SERVICE_PATH, STREAM_COMPLETE, Tracing, only_span
from tests.support.upstream import UPSTREAM_SECRET, FakeToolCall, FakeUpstream

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
KIND = OpenInference.SPAN_KIND
CONTENT = {
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.definitions",
    "input.mime_type",
    "input.value",
    "metadata",
    "output.mime_type",
    "output.value",
    "session.id",
    "tool.parameters",
    "user.id",
}
"""The attributes that only spans with content have."""


def list_names(*classes: type) -> set[str]:
    """Returns every name that these classes of the conventions define."""
    return {value for each in classes for name, value in vars(each).items() if name.isupper()}


def list_values(enumeration: Any) -> set[str]:
    """Returns every value of an enumeration of the conventions."""
    return {member.value for member in enumeration}


def kinds(spans: Iterable[ReceivedSpan]) -> dict[str, Any]:
    """Returns the kind of each span by its name."""
    return {span.name: span.attributes.get(KIND) for span in spans}


def test_the_names_are_those_of_the_conventions() -> None:
    """Each name and each value that our spans have in OpenInference's place is one that its package has."""
    known = list_names(conventions.SpanAttributes)
    systems = list_values(conventions.OpenInferenceLLMSystemValues)

    assert set(OpenInference) | set(TOKEN_COUNTS.values()) <= known
    assert set(ViewerKind) <= list_values(conventions.OpenInferenceSpanKindValues)
    assert set(MimeType) == list_values(conventions.OpenInferenceMimeTypeValues)
    assert set(viewer_attributes.PROVIDERS.values()) <= list_values(conventions.OpenInferenceLLMProviderValues)
    assert set(SYSTEMS_BY_WIRE.values()) <= systems
    assert set(WIRES) == set(READERS)


def test_every_count_has_its_name() -> None:
    """Each count of a model call's usage has an attribute, except the one that is a part of another."""
    usage = Usage(1, 2, 3, UsageSource.PROVIDER, 4, 5, 6, 7, 8)
    counts = {name for name in Usage.__struct_fields__ if isinstance(getattr(usage, name), int)}

    assert counts - set(TOKEN_COUNTS) == {"long_cache_write_tokens"}
    assert set(viewer_attributes.build_usage_attributes(usage).values()) == {1, 2, 3, 4, 5, 6, 7}


async def test_an_agent_has_steps_model_calls_and_tools(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """The call is an agent with its route as name, its steps are chains, and below them are model calls and tools."""
    upstream.reply(write_plan(plan_call("weather", city="Paris")))
    upstream.reply(write_plan())
    upstream.reply(ANSWER)
    async with tracing(agent_config(upstream)) as running:
        await collect_events(running, reasoning_request())
        call = await only_span(receiver, STREAM_COMPLETE)

    assert kinds(receiver.spans) == {
        STREAM_COMPLETE: "AGENT",
        "step 1": "CHAIN",
        "step 2": "CHAIN",
        "execute_tool weather": "TOOL",
        CHAT: "LLM",
    }
    assert call.attributes["agent.name"] == "reasoning"
    assert not any(name.startswith("llm.token_count") for name in call.attributes)


async def test_other_calls_are_chains(receiver: OtlpReceiver, traced: RunningServer, upstream: FakeUpstream) -> None:
    """Nothing is of an unknown kind: direct answers, failures, lists, and a classification that names the agent."""
    stub: Any = traced.stub
    await traced.client().complete(a_wire_request())
    upstream.fail(401)
    with pytest.raises(CallFailed):
        await traced.client().complete(a_wire_request())
    with pytest.raises(CallFailed):
        await traced.client().complete(a_wire_request(model="unknown"))
    await stub.Classify(classification_pb2.ClassifyRequest(request=reasoning_request()))
    await stub.ListModels(models_pb2.ListModelsRequest())

    calls = await receiver.expect_spans(COMPLETE, 3)
    await only_span(receiver, SERVICE_PATH + "ListModels")
    assert [span.attributes[KIND] for span in calls] == ["CHAIN"] * 3
    assert set(kinds(receiver.spans).values()) == {"CHAIN", "LLM"}


@pytest.mark.parametrize(
    ("provider", "wire", "llm_provider", "system", "api_type"),
    [
        pytest.param("openai", "chat", "openai", "openai", "chat_completions", id="openai"),
        pytest.param("responses", "responses", "openai", "openai", "responses", id="responses"),
        pytest.param("mistral", "chat", "mistralai", "openai", "chat_completions", id="mistral"),
        pytest.param("anthropic", "messages", "anthropic", "anthropic", None, id="anthropic"),
        pytest.param("gemini", "generate_content", "google", None, None, id="gemini"),
        pytest.param("bedrock", "litellm", "aws", None, None, id="bedrock"),
    ],
)
async def test_a_model_call_names_its_provider_and_api(
    tracing: Tracing,
    receiver: OtlpReceiver,
    upstream: FakeUpstream,
    provider: str,
    wire: str,
    llm_provider: str,
    system: str | None,
    api_type: str | None,
) -> None:
    """The span of a model call says which provider it goes to, and through which of its APIs."""
    dialect = "openai" if provider == "mistral" else provider
    entry = provider_entry(upstream, dialect, litellm_model=name_model(provider))
    async with tracing(config_for(entry)) as running:
        await running.client().complete(a_wire_request())
        chat = await only_span(receiver, f"chat {entry.litellm_model.partition('/')[2]}")

    attributes = chat.attributes
    assert (attributes["reasoning_grpc.wire"], attributes["llm.provider"]) == (wire, llm_provider)
    assert (attributes.get("llm.system"), attributes.get("openai.api.type")) == (system, api_type)


async def test_without_the_variable_no_span_has_content(
    receiver: OtlpReceiver, tracing: Tracing, upstream: FakeUpstream
) -> None:
    """No attribute for content exists, and no word of the caller, the model or a tool is exported."""
    upstream.reply(write_plan(plan_call("note", text=PROMPT), thought=ANSWER))
    upstream.reply(write_plan())
    upstream.reply(ANSWER)
    async with tracing(agent_config(upstream)) as running:
        await collect_events(running, private_request())
        await only_span(receiver, STREAM_COMPLETE)

    assert {name for span in receiver.spans for name in span.attributes} & CONTENT == set()
    for secret in (PROMPT, ANSWER, UPSTREAM_KEY):
        assert secret.encode() not in b"".join(receiver.raw)


async def test_with_the_variable_a_viewer_sees_what_went_in_and_out(
    otel: pytest.MonkeyPatch, receiver: OtlpReceiver, tracing: Tracing, upstream: FakeUpstream
) -> None:
    """Question, answer, ids, plan, arguments and result stand on their spans, and keys on none."""
    otel.setenv(CAPTURE, "true")
    upstream.reply(write_plan(plan_call("note", text="x"), thought="hm"))
    upstream.reply(write_plan())
    upstream.reply(ANSWER)
    async with tracing(agent_config(upstream)) as running:
        await collect_events(running, private_request())
        call, step = await only_span(receiver, STREAM_COMPLETE), await only_span(receiver, "step 1")
        tool = await only_span(receiver, "execute_tool note")

    expected = {"input.value": PROMPT, "output.value": ANSWER, "user.id": PROMPT, "session.id": PROMPT}
    assert {name: call.attributes[name] for name in expected} == expected
    assert json.loads(call.attributes["metadata"]) == {SESSION_LABEL: PROMPT, "team": PROMPT}
    assert json.loads(step.attributes["output.value"]) == {
        "thought": "hm",
        "next_action": "USE_TOOLS",
        "tool_calls": [{"name": "note", "arguments": '{"text": "x"}'}],
    }
    assert step.attributes["output.mime_type"] == tool.attributes["input.mime_type"] == "application/json"
    arguments = ("gen_ai.tool.call.arguments", "input.value", "tool.parameters")
    assert [tool.attributes[name] for name in arguments] == ['{"text": "x"}'] * 3
    assert tool.attributes["output.value"] == tool.attributes["gen_ai.tool.call.result"]
    assert tool.attributes["output.value"]
    for secret in (UPSTREAM_KEY, UPSTREAM_SECRET):
        assert secret.encode() not in b"".join(receiver.raw)


async def test_a_model_call_holds_the_callers_tools_and_their_calls(
    otel: pytest.MonkeyPatch, receiver: OtlpReceiver, tracing: Tracing, upstream: FakeUpstream
) -> None:
    """With content, the span of a model call has the tools as JSON, and an answer of calls alone has no text."""
    otel.setenv(CAPTURE, "true")
    upstream.reply(tool_calls=[FakeToolCall("call_1", "weather", '{"city": "Oslo"}')])
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        completion_pb2.Tool(name="weather", description="Weather.", parameters_schema=json.dumps(schema)),
        completion_pb2.Tool(name="clock"),
    ]
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        await running.client().complete(a_wire_request(PROMPT, tools=tools))
        chat = await only_span(receiver, CHAT)

    assert json.loads(chat.attributes["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "weather", "description": "Weather.", "parameters": schema},
        {"type": "function", "name": "clock", "description": ""},
    ]
    (message,) = json.loads(chat.attributes["gen_ai.output.messages"])
    assert message["parts"] == [
        {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": '{"city": "Oslo"}'}
    ]
    assert "output.value" not in chat.attributes


async def test_content_is_bounded(
    otel: pytest.MonkeyPatch, receiver: OtlpReceiver, tracing: Tracing, upstream: FakeUpstream
) -> None:
    """A long conversation and a long answer are cut, and what is left is valid JSON that says how much is missing."""
    otel.setenv(CAPTURE, "true")
    upstream.reply(*["word " * 1000] * 20)
    roles, texts = (messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT), ["x" * 20_000] * 10 + ["y" * 20_000]
    talk = [
        messages_pb2.Message(role=roles[at % 2], content=[messages_pb2.Part(text=text)])
        for at, text in enumerate(texts)
    ]
    async with tracing(config_for(model_entry(upstream.api_base))) as running:
        await running.client().complete(completion_pb2.CompleteRequest(messages=talk))
        call, chat = await only_span(receiver, COMPLETE), await only_span(receiver, CHAT)

    messages = json.loads(chat.attributes["gen_ai.input.messages"])
    contents = [message["parts"][0]["content"] for message in messages]
    assert chat.attributes["reasoning_grpc.unexported_messages"] == len(talk) - len(messages) > 0
    assert contents[-1] == "y" * 20_000
    assert contents[0].endswith(" more characters)")
    assert sum(map(len, contents)) < MAX_MESSAGES_CHARACTERS + 100
    (answer,) = json.loads(chat.attributes["gen_ai.output.messages"])
    assert len(answer["parts"][0]["content"]) < MAX_MESSAGES_CHARACTERS + 100
    for span in (call, chat):
        for name in ("input.value", "output.value"):
            assert MAX_TEXT_CHARACTERS <= len(span.attributes[name]) < MAX_TEXT_CHARACTERS + 100
    assert max(len(str(value)) for value in chat.attributes.values()) < 1.5 * MAX_MESSAGES_CHARACTERS


def private_request() -> completion_pb2.CompleteRequest:
    """Returns a request for the agent that has private words wherever a request can have some."""
    request = reasoning_request(PROMPT)
    request.end_user = PROMPT
    request.labels.update({SESSION_LABEL: PROMPT, "team": PROMPT})
    return request
