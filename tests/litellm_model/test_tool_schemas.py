"""Schemas of tools on the wire: what providers refuse is written so that they take it, with the same meaning."""

import json
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model.request.tool_schemas import prepare_parameters
from reasoning_grpc.v1 import completion_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream

Json = dict[str, Any]
PROVIDERS: Final = ["openai", "hosted_vllm", "anthropic", "gemini", "bedrock"]

PREPARED: Final[dict[str, tuple[Json, Json]]] = {
    "nothing": ({}, {"type": "object", "properties": {}}),
    "no properties": ({"type": "object"}, {"type": "object", "properties": {}}),
    "no type": ({"properties": {"a": {"type": "string"}}}, {"type": "object", "properties": {"a": {"type": "string"}}}),
    "array without items": (
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
    ),
    "array or null": (
        {"type": "object", "properties": {"a": {"type": ["array", "null"]}}},
        {"type": "object", "properties": {"a": {"type": ["array", "null"], "items": {}}}},
    ),
    "arrays within": (
        {"type": "object", "properties": {"a": {"anyOf": [{"type": "array"}, {"items": {"type": "array"}}]}}},
        {
            "type": "object",
            "properties": {
                "a": {"anyOf": [{"type": "array", "items": {}}, {"items": {"type": "array", "items": {}}}]},
            },
        },
    ),
    "in definitions": (
        {"type": "object", "properties": {}, "$defs": {"A": {"type": "array"}}},
        {"type": "object", "properties": {}, "$defs": {"A": {"type": "array", "items": {}}}},
    ),
    "true": (
        {"type": "object", "properties": {"model": True, "b": {"items": True}}},
        {"type": "object", "properties": {"model": {}, "b": {"items": {}}}},
    ),
    "false": (
        {"type": "object", "properties": {"model": False}},
        {"type": "object", "properties": {"model": {"not": {}}}},
    ),
    "names of keywords": (
        {
            "type": "object",
            "properties": {"items": {"type": "string"}, "type": {"const": True}, "not": {"type": "array"}},
        },
        {
            "type": "object",
            "properties": {
                "items": {"type": "string"},
                "type": {"const": True},
                "not": {"type": "array", "items": {}},
            },
        },
    ),
    "data": (
        {"type": "object", "properties": {"a": {"enum": [True, {"type": "array"}], "default": {"type": "array"}}}},
        {"type": "object", "properties": {"a": {"enum": [True, {"type": "array"}], "default": {"type": "array"}}}},
    ),
    "closed": (
        {"type": "object", "properties": {}, "additionalProperties": False, "required": ["a"]},
        {"type": "object", "properties": {}, "additionalProperties": False, "required": ["a"]},
    ),
}


@pytest.mark.parametrize(("schema", "prepared"), PREPARED.values(), ids=PREPARED)
def test_schemas_are_prepared_for_openai(schema: Json, prepared: Json) -> None:
    """A schema is written as OpenAI takes it, and the given one stays as it was."""
    before = json.dumps(schema)

    assert prepare_parameters(schema, "openai") == prepared
    assert json.dumps(schema) == before


def test_forbidden_properties_are_left_out_for_vertex() -> None:
    """A property that must not be given is left out where the dialect cannot say so."""
    schema = {"type": "object", "properties": {"a": False, "b": {"properties": {"c": False, "d": True}}}}

    assert prepare_parameters(schema, "vertex_ai") == {
        "type": "object",
        "properties": {"b": {"properties": {"d": {}}}},
    }


def test_a_prepared_schema_shares_nothing() -> None:
    """Two preparations of one schema share no object, because litellm edits what it gets."""
    schema: Json = {"type": "object", "properties": {"a": {"enum": ["x"], "items": False}}}
    first, second = prepare_parameters(schema, "openai"), prepare_parameters(schema, "openai")
    first["properties"]["a"]["enum"].append("y")
    first["properties"]["a"]["items"]["not"]["type"] = "string"

    assert second == prepare_parameters(schema, "openai")
    assert schema["properties"]["a"]["enum"] == ["x"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", PREPARED)
async def test_no_schema_of_a_tool_is_a_failure(upstream: FakeUpstream, provider: str, name: str) -> None:
    """A request with any of these schemas reaches each provider, with properties for the arguments of the tool."""
    tool = completion_pb2.Tool(name="f", parameters_schema=json.dumps(PREPARED[name][0]))
    upstream.always.reply("Hello")

    async with serving(config_for(provider_entry(upstream, provider))) as running:
        for _ in range(2):
            await running.client().complete(a_wire_request(tools=[tool]))

    first, second = (find_parameters(request.body) for request in upstream.requests)
    assert first == second
    assert first is not None


def find_parameters(body: Json) -> Any:
    """Returns the schema of the only tool in a request."""
    if "toolConfig" in body:
        (tool,) = body["toolConfig"]["tools"]
        return tool["toolSpec"]["inputSchema"]["json"]
    (tool,) = body["tools"]
    if "function_declarations" in tool:
        (declaration,) = tool["function_declarations"]
        return declaration.get("parameters") or declaration["parametersJsonSchema"]
    return tool["input_schema"] if "input_schema" in tool else tool["function"]["parameters"]
