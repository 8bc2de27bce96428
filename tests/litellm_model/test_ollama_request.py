"""What Ollama's own API gets of a request: the same in its words, or something else that is reported, or nothing."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1.completion_pb2 import (
    EFFECTIVE_SETTING_CAUSE_PROVIDER_LIMIT,
    REASONING_EFFORT_HIGH,
    REASONING_EFFORT_MAX,
    REASONING_EFFORT_MINIMAL,
    REASONING_EFFORT_NONE,
    TOOL_CHOICE_MODE_AUTO,
    TOOL_CHOICE_MODE_NONE,
    TOOL_CHOICE_MODE_REQUIRED,
    CompleteRequest,
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
from tests.litellm_model.test_ollama import ollama_line
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

Json = dict[str, Any]
LLAMA, GPT = "llama3.2", "gpt-oss:20b"
TOOL: Final = Tool(name="f", description="d", parameters_schema='{"properties": {"a": true}}')
SENT_TOOL: Final = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {}}}},
}
PNG: Final = Part(media=Media(mime_type="image/png", data=b"x"))
WAV: Final = Part(media=Media(mime_type="audio/wav", data=b"x"))
CALL: Final = Part(tool_call=ToolCall(id="c1", name="f", arguments='{"a": 1}'))
RESULT: Final = Message(
    role=ROLE_TOOL, content=[Part(tool_result=ToolResult(call_id="c1", content="no", is_error=True))]
)
ASKED: Final = {"role": "user", "content": "q"}


def user(*parts: Part) -> Message:
    """Builds a message of the user."""
    return Message(role=ROLE_USER, content=parts)


def assistant(*parts: Part) -> Message:
    """Builds a message of the model."""
    return Message(role=ROLE_ASSISTANT, content=parts)


Q: Final = user(Part(text="q"))
SENT: Final[dict[str, tuple[str, Json, Json]]] = {
    "all options": (
        LLAMA,
        {
            "sampling": Sampling(
                temperature=0,
                top_p=0.5,
                top_k=3,
                max_output_tokens=5,
                stop_sequences="abcdef",
                seed=7,
                presence_penalty=1,
                frequency_penalty=0.5,
            )
        },
        {
            "options": {
                "temperature": 0,
                "top_p": 0.5,
                "top_k": 3,
                "num_predict": 5,
                "stop": ["a", "b", "c", "d", "e", "f"],
                "seed": 7,
                "presence_penalty": 1,
                "frequency_penalty": 0.5,
            }
        },
    ),
    "an option of the caller's": (
        LLAMA,
        {"sampling": Sampling(seed=7), "provider_options": {"options": '{"num_ctx": 4096}', "keep_alive": '"5m"'}},
        {"options": {"seed": 7, "num_ctx": 4096}, "keep_alive": "5m"},
    ),
    "tools": (
        LLAMA,
        {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_AUTO), "parallel_tool_calls": True},
        {"tools": [SENT_TOOL]},
    ),
    "no tools": (LLAMA, {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_NONE)}, {"tools": None}),
    "JSON": (LLAMA, {"response_format": ResponseFormat(json_object=JsonObjectFormat())}, {"format": "json"}),
    "a schema": (
        LLAMA,
        {"response_format": ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema="{}"))},
        {"format": {}},
    ),
    "a described schema": (
        LLAMA,
        {
            "response_format": ResponseFormat(
                json_schema=JsonSchemaFormat(name="n", description="d", schema='{"const": 1}')
            )
        },
        {"format": {"description": "d", "const": 1}},
    ),
    "no reasoning": (LLAMA, {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_NONE)}, {"think": False}),
    "reasoning at a level": (GPT, {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_HIGH)}, {"think": "high"}),
    "a whole conversation": (
        LLAMA,
        {
            "messages": [
                Message(role=ROLE_SYSTEM, content=[Part(text="s1"), Part(text="s2")]),
                user(Part(text="one"), PNG, Part(text="two")),
                assistant(Part(reasoning=Reasoning(text="hm")), CALL, Part(text="wait")),
                RESULT,
                assistant(),
                Message(role=ROLE_SYSTEM, content=[Part(text="s3")]),
                Q,
            ]
        },
        {
            "messages": [
                {"role": "system", "content": "s1\n\ns2"},
                {"role": "user", "content": "one\n\ntwo", "images": ["eA=="]},
                {
                    "role": "assistant",
                    "thinking": "hm",
                    "content": "wait",
                    "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
                },
                {"role": "tool", "content": "Error: no", "tool_name": "f", "tool_call_id": "c1"},
                {"role": "system", "content": "s3"},
                ASKED,
            ]
        },
    ),
}
"""Requests, with members of the body that leaves; None for a member that is not there."""

REPORTED: Final[dict[str, tuple[str, Json, tuple[str, str, str], Json]]] = {
    "an effort": (
        LLAMA,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MINIMAL)},
        ("reasoning.effort", "MINIMAL", "on"),
        {"think": True},
    ),
    "an effort above the greatest": (
        GPT,
        {"reasoning": ReasoningOptions(effort=REASONING_EFFORT_MAX)},
        ("reasoning.effort", "MAX", "HIGH"),
        {"think": "high"},
    ),
    "a budget": (
        LLAMA,
        {"reasoning": ReasoningOptions(budget_tokens=100)},
        ("reasoning.budget_tokens", "100", "on"),
        {"think": True},
    ),
    "a name": (
        LLAMA,
        {"messages": [Message(role=ROLE_USER, name="Ada", content=[Part(text="q")])]},
        ("messages[0].name", "Ada", ""),
        {"messages": [ASKED]},
    ),
    "an end user": (LLAMA, {"end_user": "user-7"}, ("end_user", "user-7", ""), {"user": None}),
    "redacted reasoning": (
        LLAMA,
        {"messages": [Q, assistant(Part(reasoning=Reasoning(redacted=b"x"))), Q]},
        ("messages[1].content[0].reasoning", "redacted reasoning", ""),
        {"messages": [ASKED, ASKED]},
    ),
}
"""Requests with a setting that takes effect otherwise: field, requested and effective value, and what leaves."""

REFUSED: Final[dict[str, tuple[Json, list[str]]]] = {
    "a required call": ({"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_REQUIRED)}, ["tool_choice"]),
    "a named call": ({"tools": [TOOL], "tool_choice": ToolChoice(tool="f")}, ["tool_choice"]),
    "one call at most": ({"tools": [TOOL], "parallel_tool_calls": False}, ["parallel_tool_calls"]),
    "a strict tool": ({"tools": [Tool(name="f", strict=True)]}, ["tools[0].strict"]),
    "audio": ({"messages": [user(Part(text="q"), WAV)]}, ["messages[0].content[1].media"]),
    "biases": ({"sampling": Sampling(logit_bias={5: 1})}, ["sampling.logit_bias"]),
    "probabilities": (
        {"sampling": Sampling(logprobs=True, top_logprobs=2)},
        ["sampling.logprobs", "sampling.top_logprobs"],
    ),
    "a result without a call": ({"messages": [Q, RESULT]}, ["messages[1].content[0].tool_result.call_id"]),
}
"""Requests that are refused, with the fields."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model that has levels of reasoning, and one that has none."""
    options = frozenset({"options", "keep_alive"})
    address = f"http://127.0.0.1:{upstream.port}"
    entries = [
        model_entry(address, name.partition(":")[0], litellm_model=f"ollama_chat/{name}", provider_options=options)
        for name in (LLAMA, GPT)
    ]
    lines = (ollama_line("Hello"), ollama_line(done=True))
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    upstream.always.body(body, content_type="application/x-ndjson")
    async with serving(config_for(*entries)) as running:
        yield running


def build_request(model: str, fields: Json) -> CompleteRequest:
    """Builds a request to a model by its name in the configuration."""
    return a_wire_request(text="q", model=model.partition(":")[0], **fields)


@pytest.mark.parametrize("name", SENT)
async def test_requests_leave_as_they_are(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """What has a place in the protocol is sent there."""
    model, fields, expected = SENT[name]

    answer = await server.client().complete(build_request(model, fields))

    (captured,) = upstream.requests
    assert captured.body["model"] == model
    assert {member: captured.body.get(member) for member in expected} == expected
    assert not answer.effective_settings


@pytest.mark.parametrize("name", REPORTED)
async def test_what_is_sent_otherwise_is_reported(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """What the protocol has only in another form is sent in that form, and the answer says so."""
    model, fields, setting, expected = REPORTED[name]

    answer = await server.client().complete(build_request(model, fields))

    (reported,) = answer.effective_settings
    assert (reported.field, reported.requested, reported.effective) == setting
    assert reported.cause == EFFECTIVE_SETTING_CAUSE_PROVIDER_LIMIT
    (captured,) = upstream.requests
    assert {member: captured.body.get(member) for member in expected} == expected


@pytest.mark.parametrize("name", REFUSED)
async def test_what_has_no_place_is_refused(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """What the protocol has no place for is refused by name, and nothing is sent."""
    fields, expected = REFUSED[name]

    with pytest.raises(CallFailed) as failed:
        await server.client().complete(build_request(LLAMA, fields))

    error = failed.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert [violation.field for violation in error.violations] == expected
    assert upstream.requests == []
