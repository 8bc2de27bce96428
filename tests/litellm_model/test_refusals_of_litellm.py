"""Calls that litellm refuses to convert: nothing is sent, and the fields at fault are named."""

from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Sampling as Defaults
from reasoning_grpc.v1.completion_pb2 import (
    TOOL_CHOICE_MODE_REQUIRED,
    JsonObjectFormat,
    JsonSchemaFormat,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
)
from reasoning_grpc.v1.messages_pb2 import ROLE_SYSTEM, ROLE_USER, Media, Part
from tests.support.captured_body import Json, a_wire_message
from tests.support.factories import a_wire_request
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

SCHEMA: Final = '{"type":"object","properties":{"a":{"type":"string"}}}'
TOOL: Final = Tool(name="f", description="d", parameters_schema=SCHEMA)
FORMAT: Final = ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=SCHEMA))
IMAGE: Final = Part(media=Media(mime_type="image/png", data=b"\x89PNG"))

CASES: Final[dict[str, tuple[str, Json, list[str]]]] = {
    "words that name no parameter": (
        "groq/llama-3.3-70b-versatile",
        {"tools": [TOOL], "response_format": FORMAT, "sampling": Sampling(temperature=0.5)},
        ["tools", "response_format"],
    ),
    "a parameter that litellm leaves out": (
        "fireworks_ai/some-model",
        {"tools": [TOOL], "response_format": ResponseFormat(json_object=JsonObjectFormat())},
        ["response_format"],
    ),
    "a value that litellm changes": (
        "moonshot/kimi-k2.5",
        {"sampling": Sampling(temperature=0.3)},
        ["sampling.temperature"],
    ),
    "a rule that litellm makes a message": (
        "moonshot/kimi-k2.5",
        {"tools": [TOOL], "tool_choice": ToolChoice(mode=TOOL_CHOICE_MODE_REQUIRED)},
        ["tool_choice"],
    ),
    "media that litellm leaves out": (
        "deepseek/deepseek-chat",
        {"messages": [a_wire_message(ROLE_USER, Part(text="one"), IMAGE, Part(text="two"))]},
        ["messages[0].content[1].media"],
    ),
}


@pytest.mark.parametrize(("litellm_model", "fields", "refused"), CASES.values(), ids=CASES)
async def test_the_fields_at_fault_are_named(
    upstream: FakeUpstream, litellm_model: str, fields: Json, refused: list[str]
) -> None:
    """A refusal before anything is sent is never called the upstream's."""
    async with serving(config_for(model_entry(upstream.api_base, litellm_model=litellm_model))) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(**fields))

    error: Any = failed.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert [violation.field for violation in error.violations] == refused
    assert error.interruption is None
    assert upstream.requests == []


async def test_the_system_of_a_reasoning_model(upstream: FakeUpstream) -> None:
    """A message of the system reaches o3-mini as one."""
    messages = [a_wire_message(ROLE_SYSTEM, Part(text="be brief")), a_wire_message(ROLE_USER, Part(text="hi"))]

    async with serving(config_for(model_entry(upstream.api_base, litellm_model="openai/o3-mini"))) as running:
        await running.client().complete(a_wire_request(messages=messages))

    (request,) = upstream.requests
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]


async def test_a_schema_that_litellm_makes_a_tool(upstream: FakeUpstream) -> None:
    """The answer that a model writes by a forced tool call is a text, and what is lost of its format is reported."""
    strict = ResponseFormat(json_schema=JsonSchemaFormat(name="n", schema=SCHEMA, strict=True))
    entry = model_entry(upstream.api_base, litellm_model="groq/llama-3.3-70b-versatile")

    async with serving(config_for(entry)) as running:
        answer = await running.client().complete(a_wire_request(response_format=strict))

    (setting,) = answer.effective_settings
    assert setting.field == "response_format.json_schema.strict"
    (request,) = upstream.requests
    assert request.body["tool_choice"] == {"type": "function", "function": {"name": "json_tool_call"}}


@pytest.mark.parametrize(
    ("litellm_model", "left_out"),
    [
        ("openai/o3-mini", {"temperature", "top_p"}),
        ("azure/gpt-5", {"temperature", "top_p"}),
        ("moonshot/kimi-k2.5", {"temperature"}),
        ("perplexity/sonar", set()),
    ],
)
async def test_a_default_that_the_model_does_not_take(
    upstream: FakeUpstream, litellm_model: str, left_out: set[str]
) -> None:
    """A default of the entry is left out of a call to a model that does not take it; the caller did not set it."""
    defaults = Defaults(temperature=0.3, top_p=0.9, max_output_tokens=256)
    api_base = upstream.api_base_for("azure") if litellm_model.startswith("azure/") else upstream.api_base
    entry = model_entry(api_base, litellm_model=litellm_model, defaults=defaults)

    async with serving(config_for(entry)) as running:
        await running.client().complete(a_wire_request())

    (request,) = upstream.requests
    assert {"temperature", "top_p"} - request.body.keys() == left_out
    assert 256 in {request.body.get("max_tokens"), request.body.get("max_completion_tokens")}


async def test_a_field_of_the_request_is_named_without_the_defaults(upstream: FakeUpstream) -> None:
    """A refusal names what the caller has set, and not a default that is refused too."""
    entry = model_entry(
        upstream.api_base, litellm_model="openai/o3-mini", defaults=Defaults(top_p=0.9, temperature=0.3)
    )

    async with serving(config_for(entry)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(sampling=Sampling(presence_penalty=1)))

    assert [violation.field for violation in failed.value.violations] == ["sampling.presence_penalty"]
    assert upstream.requests == []
