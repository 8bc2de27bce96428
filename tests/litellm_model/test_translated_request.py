"""What part of a request reaches a provider with a protocol of its own: each field is sent or refused."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1.completion_pb2 import (
    REASONING_EFFORT_HIGH,
    REASONING_EFFORT_NONE,
    TOOL_CHOICE_MODE_AUTO,
    TOOL_CHOICE_MODE_NONE,
    TOOL_CHOICE_MODE_REQUIRED,
    CompleteRequest,
    IncludeOptions,
    JsonObjectFormat,
    JsonSchemaFormat,
    ReasoningOptions,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
)
from reasoning_grpc.v1.messages_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    Media,
    Message,
    Part,
    Reasoning,
    ToolCall,
    ToolResult,
)
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

Json = dict[str, Any]

ANTHROPIC, GEMINI = "anthropic", "gemini"
MODELS: Final = {ANTHROPIC: "claude-sonnet-4-5", GEMINI: "gemini-3-pro-preview"}
"""Models that litellm knows, because its conversion depends on them."""
INVENTED: Final = {ANTHROPIC: {"max_tokens": 64000}, GEMINI: {"generationConfig": {"temperature": 1.0}}}
"""What litellm itself adds to every request."""
REFUSED: Final = object()

SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
SCHEMA_TEXT: Final = json.dumps(SCHEMA)
TOOL: Final = Tool(name="f", description="d", parameters_schema=SCHEMA_TEXT)
ANTHROPIC_TOOLS: Final = {"tools": [{"name": "f", "input_schema": SCHEMA, "type": "custom", "description": "d"}]}
GEMINI_TOOLS: Final = {"tools": [{"function_declarations": [{"name": "f", "description": "d", "parameters": SCHEMA}]}]}


def _gemini_config(**members: Any) -> Json:
    return {"generationConfig": {"temperature": 1.0, **members}}


def _gemini_tool_mode(**config: Any) -> Json:
    return GEMINI_TOOLS | {"toolConfig": {"functionCallingConfig": config}}


FIELDS: Final[dict[str, tuple[Json, Any, Any]]] = {
    "nothing": ({}, {}, {}),
    "temperature": ({"sampling": Sampling(temperature=0.5)}, {"temperature": 0.5}, _gemini_config(temperature=0.5)),
    "top_p": ({"sampling": Sampling(top_p=0.5)}, {"top_p": 0.5}, _gemini_config(top_p=0.5)),
    "top_k": ({"sampling": Sampling(top_k=3)}, {"top_k": 3}, _gemini_config(top_k=3)),
    "max_output_tokens": (
        {"sampling": Sampling(max_output_tokens=5)},
        {"max_tokens": 5},
        _gemini_config(max_output_tokens=5),
    ),
    "stop": (
        {"sampling": Sampling(stop_sequences=["x"])},
        {"stop_sequences": ["x"]},
        _gemini_config(stop_sequences=["x"]),
    ),
    "sampling.seed": ({"sampling": Sampling(seed=1)}, REFUSED, _gemini_config(seed=1)),
    "sampling.logit_bias": ({"sampling": Sampling(logit_bias={5: 1})}, REFUSED, REFUSED),
    "sampling.logprobs": ({"sampling": Sampling(logprobs=True)}, REFUSED, _gemini_config(responseLogprobs=True)),
    "sampling.presence_penalty": ({"sampling": Sampling(presence_penalty=1)}, REFUSED, REFUSED),
    "sampling.frequency_penalty": ({"sampling": Sampling(frequency_penalty=1)}, REFUSED, REFUSED),
    "tools": ({"tools": [TOOL]}, ANTHROPIC_TOOLS, GEMINI_TOOLS),
    "tools[0].strict": (
        {"tools": [Tool(name="f", description="d", parameters_schema=SCHEMA_TEXT, strict=True)]},
        REFUSED,
        REFUSED,
    ),
    "tool_choice-auto": (
        {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_AUTO)},
        ANTHROPIC_TOOLS | {"tool_choice": {"type": "auto"}},
        _gemini_tool_mode(mode="AUTO"),
    ),
    "tool_choice-none": (
        {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_NONE)},
        ANTHROPIC_TOOLS | {"tool_choice": {"type": "none"}},
        _gemini_tool_mode(mode="NONE"),
    ),
    "tool_choice-required": (
        {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_REQUIRED)},
        ANTHROPIC_TOOLS | {"tool_choice": {"type": "any"}},
        _gemini_tool_mode(mode="ANY"),
    ),
    "tool_choice-by-name": (
        {"tools": [TOOL], "tool_choice": ToolChoice(tool="f")},
        ANTHROPIC_TOOLS | {"tool_choice": {"type": "tool", "name": "f"}},
        _gemini_tool_mode(mode="ANY", allowed_function_names=["f"]),
    ),
    "parallel_tool_calls": (
        {"tools": [TOOL], "parallel_tool_calls": False},
        ANTHROPIC_TOOLS | {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        REFUSED,
    ),
    "response_format": (
        {"response_format": ResponseFormat(json_object=JsonObjectFormat())},
        REFUSED,
        _gemini_config(response_mime_type="application/json"),
    ),
    "json-schema": (
        {"response_format": ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=SCHEMA_TEXT))},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA | {"additionalProperties": False}}}},
        _gemini_config(response_mime_type="application/json", response_json_schema=SCHEMA),
    ),
    "reasoning-effort": (
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_HIGH)},
        {"thinking": {"type": "enabled", "budget_tokens": 4096}},
        _gemini_config(thinkingConfig={"thinkingLevel": "high", "includeThoughts": True}),
    ),
    "reasoning.effort": (
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_NONE)},
        {},
        REFUSED,
    ),
    "reasoning.budget_tokens": (
        {"reasoning": ReasoningOptions(budget_tokens=2000)},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        _gemini_config(thinkingConfig={"thinkingLevel": "low", "includeThoughts": True}),
    ),
    # Google's protocol has no such field, and needs none: it is for the provider's own records.
    "end_user": ({"end_user": "user-7"}, {"metadata": {"user_id": "user-7"}}, {}),
    "provider_options": (
        {"provider_options": {"foo": '{"x":[1,null]}'}},
        {"foo": {"x": [1, None]}},
        {"foo": {"x": [1, None]}},
    ),
}
"""Fields of a request, and what they add to the bodies for Anthropic and for Gemini."""

PNG: Final = "data:image/png;base64,"
CONVERSATION: Final = [
    Message(role=ROLE_SYSTEM, content=[Part(text="sys")]),
    Message(role=ROLE_USER, content=[Part(text="q", cache=True)]),
    Message(
        role=ROLE_ASSISTANT,
        content=[
            Part(reasoning=Reasoning(text="hm"), signature="c2ln"),
            Part(reasoning=Reasoning(redacted=b"eHh4")),
            Part(text="t", signature="dHh0"),
            Part(tool_call=ToolCall(id="id1", name="f", arguments='{"a":1}'), signature="dG9v"),
        ],
    ),
    Message(role=ROLE_TOOL, content=[Part(tool_result=ToolResult(call_id="id1", content="42"))]),
    Message(role=ROLE_ASSISTANT, content=[Part(refusal="no")]),
    Message(role=ROLE_USER, content=[Part(text="see"), Part(media=Media(mime_type="image/png", data=b"\x89PNG"))]),
]
"""A conversation with everything that can be sent back to a model: signatures, withheld reasoning, a cache mark."""
ANTHROPIC_CONVERSATION: Final = {
    "system": [{"type": "text", "text": "sys"}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "eHh4"},
                {"type": "text", "text": "t"},
                {"type": "tool_use", "id": "id1", "name": "f", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "id1", "content": "42"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "no"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
            ],
        },
    ],
}
GEMINI_CONVERSATION: Final = {
    "system_instruction": {"parts": [{"text": "sys"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "q"}]},
        {
            "role": "model",
            "parts": [
                {"thought": True, "text": "hm"},
                {"text": "t", "thoughtSignature": "dHh0"},
                {"function_call": {"name": "f", "args": {"a": 1}, "id": "id1"}, "thoughtSignature": "dG9v"},
            ],
        },
        {
            "role": "user",
            "parts": [{"function_response": {"name": "f", "response": {"content": "42"}, "id": "id1"}}],
        },
        {"role": "model", "parts": [{"text": "no"}]},
        {
            "role": "user",
            "parts": [{"text": "see"}, {"inline_data": {"data": "iVBORw==", "mime_type": "image/png"}}],
        },
    ],
}


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of each provider, all behind the fake upstream."""
    entries = [
        provider_entry(
            upstream,
            provider,
            provider,
            litellm_model=f"{provider}/{model}",
            provider_options=frozenset({"foo"}),
        )
        for provider, model in MODELS.items()
    ]
    async with serving(config_for(*entries)) as running:
        yield running


async def _capture_body(upstream: FakeUpstream, server: RunningServer, request: CompleteRequest) -> Json:
    """Returns the body that the upstream gets for a request, without its model and its streaming flag."""
    await server.client().complete(request)
    (captured,) = upstream.requests
    return {name: value for name, value in captured.body.items() if name not in {"model", "stream"}}


async def _find_refused_fields(upstream: FakeUpstream, server: RunningServer, request: CompleteRequest) -> list[str]:
    """Returns the fields for which a request is refused before any upstream sees it."""
    with pytest.raises(CallFailed) as failed:
        await server.client().complete(request)
    error = failed.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert error.interruption is None
    assert upstream.requests == []
    return [violation.field for violation in error.violations]


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("name", FIELDS)
async def test_each_field_is_sent_or_refused(
    upstream: FakeUpstream, server: RunningServer, provider: str, name: str
) -> None:
    """No field of a request is dropped without an error."""
    fields, for_anthropic, for_gemini = FIELDS[name]
    expected = for_anthropic if provider == ANTHROPIC else for_gemini
    request = a_wire_request(model=provider, **fields)

    if expected is REFUSED:
        assert await _find_refused_fields(upstream, server, request) == [name]
        return
    body = await _capture_body(upstream, server, request)

    body.pop("messages" if provider == ANTHROPIC else "contents")
    assert body == INVENTED[provider] | expected


@pytest.mark.parametrize(("provider", "expected"), [(ANTHROPIC, ANTHROPIC_CONVERSATION), (GEMINI, GEMINI_CONVERSATION)])
async def test_a_conversation_is_sent_back(
    upstream: FakeUpstream, server: RunningServer, provider: str, expected: Json
) -> None:
    """Reasoning, signatures, calls, results and refusals are sent back where the provider expects them."""
    request = CompleteRequest(model=provider, messages=CONVERSATION, tools=[TOOL])

    body = await _capture_body(upstream, server, request)

    assert {name: body[name] for name in expected} == expected


async def test_media_are_never_fetched_for_a_caller(upstream: FakeUpstream, server: RunningServer) -> None:
    """An address is sent to the provider unchanged, or is refused where litellm would fetch it into this process."""
    uri = "https://example.invalid/a.png"
    media = Part(media=Media(mime_type="image/png", uri=uri))
    messages = [Message(role=ROLE_USER, content=[Part(text="see"), media])]

    refused = await _find_refused_fields(upstream, server, CompleteRequest(model=GEMINI, messages=messages))
    body = await _capture_body(upstream, server, CompleteRequest(model=ANTHROPIC, messages=messages))

    assert refused == ["messages[0].content[1].media.uri"]
    assert {"type": "image", "source": {"type": "url", "url": uri}} in body["messages"][0]["content"]


async def test_an_older_gemini_takes_more(upstream: FakeUpstream) -> None:
    """Fields that only newer models refuse are sent to older ones."""
    entry = provider_entry(upstream, GEMINI, litellm_model="gemini/gemini-2.5-pro")
    fields: Json = {
        "sampling": Sampling(presence_penalty=1, frequency_penalty=0.5),
        "reasoning": ReasoningOptions(budget_tokens=2000),
    }

    async with serving(config_for(entry)) as server:
        body = await _capture_body(upstream, server, a_wire_request(**fields))

    assert body["generationConfig"] == {
        "presence_penalty": 1,
        "frequency_penalty": 0.5,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2000},
    }


@pytest.mark.parametrize("provider", MODELS)
async def test_malformed_arguments_are_sent_back(upstream: FakeUpstream, server: RunningServer, provider: str) -> None:
    """A call with malformed arguments of the model does not break the next turn."""
    call = Part(tool_call=ToolCall(id="id1", name="f", arguments='{"a'))
    result = Part(tool_result=ToolResult(call_id="id1", content="no JSON", is_error=True))
    request = CompleteRequest(
        model=provider,
        tools=[TOOL],
        messages=[
            Message(role=ROLE_USER, content=[Part(text="q")]),
            Message(role=ROLE_ASSISTANT, content=[call]),
            Message(role=ROLE_TOOL, content=[result]),
        ],
    )

    body = await _capture_body(upstream, server, request)

    assert "no JSON" in str(body)
    assert {"malformed_arguments": '{"a'} in _find_objects(body)


def _find_objects(value: Any) -> list[Any]:
    """Yields every object in a body."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [member for each in inner for member in _find_objects(each)]
    return [value, *found] if isinstance(value, dict) else found


@pytest.mark.parametrize("provider", MODELS)
async def test_signatures_stay_in_their_place(upstream: FakeUpstream, server: RunningServer, provider: str) -> None:
    """A message of an answer that becomes part of the next request carries every signature in its place."""
    call = FakeToolCall("id1", "f", '{"a": 1}')
    upstream.reply("t", reasoning=("hm",), reasoning_signature="c2ln", tool_calls=(call,), tool_signature="dG9v")
    first = CompleteRequest(
        model=provider,
        tools=[TOOL],
        include=IncludeOptions(reasoning=True),
        messages=[Message(role=ROLE_USER, content=[Part(text="q")])],
    )

    answer = await server.client().complete(first)
    result = Part(tool_result=ToolResult(call_id="id1", content="42"))
    messages = [*first.messages, answer.message, Message(role=ROLE_TOOL, content=[result])]
    await server.client().complete(CompleteRequest(model=provider, tools=[TOOL], messages=messages))

    sent = upstream.requests[1].body
    if provider == ANTHROPIC:
        assert sent["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "text", "text": "t"},
            {"type": "tool_use", "id": "id1", "name": "f", "input": {"a": 1}},
        ]
    else:
        assert sent["contents"][1]["parts"] == [
            {"thought": True, "text": "hm"},
            {"text": "t"},
            {"function_call": {"name": "f", "args": {"a": 1}, "id": "id1"}, "thoughtSignature": "dG9v"},
            {"text": "", "thoughtSignature": "c2ln"},  # it came at a part without text, after the call
        ]
