"""Tools of callers whose schema is more than a plain object at its top level: some providers do not take them."""

import json
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.domain import Tool
from reasoning_grpc.litellm_model.request import prepare_call
from reasoning_grpc.v1 import completion_pb2
from tests.support.factories import a_call, a_deployment, a_wire_request
from tests.support.serving import config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream

Json = dict[str, Any]
PROPERTIES: Final[Json] = {"a": {"type": "string"}, "b": {"type": "string"}}
COMBINED: Final[Json] = {
    "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    "allOf": [{"required": ["a"]}],
    "not": {"required": ["a", "b"]},
    "enum": [{"a": "x"}],
    "const": {"a": "x"},
}
LOST_BY_ANTHROPIC: Final[Json] = {
    "if": {"required": ["a"]},
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": {"required": ["b"]}},
    "patternProperties": {"^x": {"type": "string"}},
    "propertyNames": {"maxLength": 5},
    "minProperties": 1,
    "maxProperties": 1,
    "unevaluatedProperties": False,
    "$ref": "#/$defs/A",
}
TAKEN: Final[Json] = {
    "additionalProperties": False,
    "required": ["a"],
    "$defs": {"A": {"anyOf": [{"type": "string"}]}},
    "title": "A title",
    "x-own": 1,
}


@pytest.mark.parametrize(
    ("provider", "keyword", "value"),
    [(provider, *each) for provider in ("openai", "anthropic") for each in COMBINED.items()]
    + [("anthropic", *each) for each in LOST_BY_ANTHROPIC.items()],
)
async def test_a_keyword_that_the_provider_does_not_get_is_refused(
    upstream: FakeUpstream, provider: str, keyword: str, value: Any
) -> None:
    """A tool with such a keyword at its top level is refused by name, and nothing is sent."""
    plain = completion_pb2.Tool(name="plain")
    tool = a_tool({"type": "object", "properties": PROPERTIES, keyword: value})

    async with serving(config_for(provider_entry(upstream, provider))) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(tools=[plain, tool]))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert failed.value.violations == (
        FieldViolation(
            "tools[1].parameters_schema", f"The model takes no {keyword} at the top level of a tool's schema."
        ),
    )
    assert upstream.requests == []


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("keyword", TAKEN)
async def test_other_keywords_are_sent(upstream: FakeUpstream, provider: str, keyword: str) -> None:
    """Keywords that providers take, or that say nothing of the arguments, are no reason to refuse a tool."""
    upstream.reply("Hello")
    tool = a_tool({"type": "object", "properties": PROPERTIES, keyword: TAKEN[keyword]})

    async with serving(config_for(provider_entry(upstream, provider))) as running:
        await running.client().complete(a_wire_request(tools=[tool]))

    assert len(upstream.requests) == 1


@pytest.mark.parametrize("keyword", [*COMBINED, *LOST_BY_ANTHROPIC])
async def test_servers_that_take_any_schema_get_it(upstream: FakeUpstream, keyword: str) -> None:
    """A server with a prefix of its own gets the schema as it is."""
    upstream.reply("Hello")
    schema = {"type": "object", "properties": PROPERTIES, keyword: {**COMBINED, **LOST_BY_ANTHROPIC}[keyword]}

    async with serving(config_for(provider_entry(upstream, "hosted_vllm"))) as running:
        await running.client().complete(a_wire_request(tools=[a_tool(schema)]))

    assert upstream.requests[0].body["tools"][0]["function"]["parameters"] == schema


@pytest.mark.parametrize(
    ("litellm_model", "is_refused"),
    [
        ("openai/gpt-4o", False),
        ("azure/our-deployment", False),
        ("anthropic/claude-sonnet-4-5", True),
        ("bedrock/anthropic.claude-sonnet-4-5", True),
        ("bedrock/amazon.nova-pro-v1:0", True),
        ("vertex_ai/claude-sonnet-4-5", True),
        ("azure_ai/claude-sonnet-4-5", True),
        ("azure_ai/mistral-large", False),
        ("mistral/mistral-large-latest", False),
    ],
)
def test_claude_is_known_wherever_it_runs(litellm_model: str, is_refused: bool) -> None:
    """The keywords that litellm leaves out for Anthropic are refused in each cloud that has its models."""
    tool = Tool("f", parameters_schema=json.dumps({"type": "object", "minProperties": 1}))

    violations = prepare_call(a_call(tools=(tool,)), a_deployment(litellm_model=litellm_model)).violations

    assert [each.field for each in violations] == (["tools[0].parameters_schema"] if is_refused else [])


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "anthropic"])
async def test_arguments_that_are_no_object_are_refused(upstream: FakeUpstream, provider: str) -> None:
    """A tool whose arguments would be a text is refused by name for each provider."""
    async with serving(config_for(provider_entry(upstream, provider))) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(tools=[a_tool({"type": "string"})]))

    assert failed.value.reason == "INVALID_FIELD"
    assert failed.value.violations == (
        FieldViolation("tools[0].parameters_schema", "Its type must be object, as arguments are."),
    )
    assert upstream.requests == []


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_arguments_that_may_be_null_are_an_object(upstream: FakeUpstream, provider: str) -> None:
    """Arguments are always an object, so a schema that also takes null is sent as that of an object."""
    upstream.reply("Hello")
    tool = a_tool({"type": ["object", "null"], "properties": PROPERTIES})

    async with serving(config_for(provider_entry(upstream, provider))) as running:
        await running.client().complete(a_wire_request(tools=[tool]))

    (sent,) = upstream.requests[0].body["tools"]
    assert (sent.get("input_schema") or sent["function"]["parameters"])["type"] == "object"


def a_tool(schema: Json) -> completion_pb2.Tool:
    """Builds a tool of the caller's with this schema."""
    return completion_pb2.Tool(name="f", parameters_schema=json.dumps(schema))
