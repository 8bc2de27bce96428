"""Tools of MCP servers whose schema has alternatives at its top level, with native tool calls."""

import json
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reasoning_grpc.agent.native_tools import prepare_native_tools
from reasoning_grpc.domain import ToolInfo, ToolSource
from tests.support.agent import (
    agent_config,
    collect_events,
    find_finish,
    list_executions,
    name_end,
    name_status,
    native_entry,
    reasoning_request,
)
from tests.support.scripted_mcp import a_result_line, scripted_entry
from tests.support.serving import serving
from tests.support.upstream import FakeToolCall, FakeUpstream

Json = dict[str, Any]
CITY: Final[Json] = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
PLACE: Final[Json] = {"properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}, "required": ["lat", "lon"]}
ROOTS: Final[dict[str, Json]] = {
    "anyOf": {"anyOf": [CITY, PLACE]},
    "oneOf": {"oneOf": [CITY, PLACE]},
    "allOf": {"allOf": [CITY, {"properties": {"days": {"type": "integer"}}}]},
    "references": {
        "anyOf": [{"$ref": "#/$defs/City"}, {"$ref": "#/$defs/Place"}],
        "$defs": {"City": CITY, "Place": PLACE},
    },
    "reference": {"$ref": "#/$defs/City", "$defs": {"City": CITY}},
    "not": {**CITY, "not": {"required": ["lat"]}},
    "condition": {**CITY, "if": {"required": ["days"]}, "then": {"properties": {"days": {"type": "integer"}}}},
    "dependencies": {**CITY, "dependentRequired": {"days": ["city"]}},
    "names": {**CITY, "patternProperties": {"^x": {"type": "string"}}, "propertyNames": {"maxLength": 9}},
    "counts": {**CITY, "minProperties": 1, "maxProperties": 2},
    "constants": {**CITY, "enum": [{"city": "Paris"}], "const": {"city": "Paris"}},
    "closed": {**CITY, "anyOf": [PLACE, {"required": ["city"]}], "unevaluatedProperties": False},
}
"""Schemas of which some provider takes no tool, but for their type."""


@pytest.mark.process
@pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "anthropic", "gemini"])
async def test_a_tool_with_alternatives_is_offered_as_one_object(upstream: FakeUpstream, provider: str) -> None:
    """Each such tool of an MCP server reaches the provider, with a plain object and the city at its top level."""
    listed = [
        {"name": f"tool_{number}", "inputSchema": {"type": "object", **schema}}
        for number, schema in enumerate(ROOTS.values())
    ]
    entry = scripted_entry(tools_list=[a_result_line({"tools": listed})])
    config = replace(
        agent_config(upstream, entry=native_entry(upstream, provider), tools={}), mcp_servers={"test": entry}
    )
    names = [f"test__{tool['name']}" for tool in listed]
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(config) as running:
        events = await collect_events(running, reasoning_request(agent={"allowed_tools": names}))

    assert name_end(find_finish(events)) == "FINISHED"
    for request in upstream.requests:
        tools = list_tools(request.body)
        assert sorted(tools) == sorted(names)
        for parameters in tools.values():
            assert parameters["properties"]["city"]["type"].lower() == "string"
            assert parameters["type"].lower() == "object"
            assert set(parameters) <= {"type", "properties", "required", "additionalProperties", "$defs"}


@pytest.mark.process
async def test_the_whole_schema_still_holds(upstream: FakeUpstream) -> None:
    """The arguments of a call are checked against the alternatives that the provider did not get."""
    tool = {"name": "weather", "inputSchema": {"type": "object", **ROOTS["anyOf"]}}
    entry = scripted_entry(tools_list=[a_result_line({"tools": [tool]})])
    config = replace(agent_config(upstream, entry=native_entry(upstream), tools={}), mcp_servers={"test": entry})
    for number, arguments in enumerate(({"lat": 1}, {"city": "Paris"})):
        upstream.reply(tool_calls=[FakeToolCall(f"c{number}", "test__weather", json.dumps(arguments))])
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(config) as running:
        events = await collect_events(running, reasoning_request())

    assert [name_status(execution) for execution in list_executions(events)] == ["INVALID_ARGUMENTS", "OK"]
    (description,) = {tool["function"]["description"] for tool in upstream.requests[0].body["tools"][-1:]}
    assert json.dumps(ROOTS["anyOf"]) in description


@pytest.mark.process
async def test_rules_without_words_are_described(upstream: FakeUpstream) -> None:
    """A tool with a rule that the provider has no words for is offered without it, and the rule still holds."""
    tags = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    schema = {"type": "object", "properties": {"tags": tags}}
    entry = scripted_entry(tools_list=[a_result_line({"tools": [{"name": "find", "inputSchema": schema}]})])
    config = replace(
        agent_config(upstream, entry=native_entry(upstream, "gemini"), tools={}), mcp_servers={"test": entry}
    )
    upstream.reply("READY")
    upstream.reply("It rains.")

    async with serving(config) as running:
        events = await collect_events(running, reasoning_request())

    assert name_end(find_finish(events)) == "FINISHED"
    declarations = upstream.requests[0].body["tools"][0]["function_declarations"]
    (tool,) = (each for each in declarations if each["name"] == "test__find")
    assert tool["parameters"]["properties"] == {"tags": {"type": "array", "items": {"type": "string"}}}
    assert '"uniqueItems":true' in tool["description"]


def test_alternatives_are_joined() -> None:
    """A member that differs between alternatives has both schemas, and what only one requires is optional."""
    cat = {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind", "lives"]}
    dog = {"properties": {"kind": {"const": "dog"}}, "required": ["kind"]}

    assert flatten({"type": "object", "oneOf": [cat, dog]}) == {
        "type": "object",
        "properties": {"kind": {"anyOf": [{"const": "cat"}, {"const": "dog"}]}, "lives": {"type": "integer"}},
        "required": ["kind"],
    }


def test_references_to_what_is_gone_take_everything() -> None:
    """A reference into an alternative, which is no longer there, becomes an empty schema."""
    properties = {"a": {"$ref": "#/anyOf/0/properties/b"}, "c": {"$ref": "#/properties/a"}}

    flat = flatten({"type": "object", "properties": properties, "anyOf": [{"properties": {"b": {"type": "string"}}}]})

    assert flat["properties"] == {"a": {}, "b": {"type": "string"}, "c": {"$ref": "#/properties/a"}}


def test_references_without_end_are_read_in_part() -> None:
    """A schema that refers to itself, or to one definition very often, is read up to a limit."""
    often = {f"A{number}": {"allOf": [{"$ref": f"#/$defs/A{number + 1}"}] * 2} for number in range(40)}
    own = {"type": "object", "properties": {"a": {"type": "string"}}}

    assert flatten({**own, "$ref": "#"})["properties"] == own["properties"]
    assert flatten({**own, "$ref": "#/$defs/A0", "$defs": often})["properties"] == own["properties"]


def test_plain_objects_stay_as_they_are() -> None:
    """A schema that is a plain object is passed on as it is, whatever is within it."""
    schema = {"type": "object", "properties": {"anyOf": {"anyOf": [CITY, PLACE]}}, "required": ["anyOf"]}

    (tool,) = prepare_native_tools([tool_info(schema)])

    assert (json.loads(tool.parameters_schema), tool.description) == (schema, "A tool.")


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from([0, 1, "x", None])
PLAIN = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.dictionaries(NAMES, st.sampled_from([{}, {"type": "integer"}, {"type": "string"}])),
        "required": st.lists(NAMES, unique=True, max_size=2),
    },
)
SCHEMAS = st.recursive(
    PLAIN,
    lambda inner: st.builds(
        lambda plain, keyword, several: {**plain, keyword: several},
        PLAIN,
        st.sampled_from(["anyOf", "oneOf", "allOf"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@given(schema=SCHEMAS, value=st.dictionaries(NAMES, VALUES))
def test_a_joined_schema_requires_no_more(schema: Json, value: Json) -> None:
    """A plain object requires only members that every valid object of the whole schema has."""
    if Draft202012Validator(schema).is_valid(value):
        assert set(flatten(schema).get("required", ())) <= set(value)


def flatten(schema: Json) -> Json:
    """Returns the schema of a native tool."""
    (tool,) = prepare_native_tools([tool_info(schema)])
    flat: Json = json.loads(tool.parameters_schema)
    return flat


def tool_info(schema: Json) -> ToolInfo:
    """Builds a tool with this schema."""
    return ToolInfo(name="f", description="A tool.", parameters_schema=json.dumps(schema), source=ToolSource.MCP)


def list_tools(body: Json) -> dict[str, Json]:
    """Returns the schemas of the tools of the MCP server in a request, by name."""
    found = {}
    for tool in body["tools"]:
        for each in tool.get("function_declarations", [tool.get("function", tool)]):
            found[each["name"]] = each.get("parameters") or each.get("input_schema")
    return {name: schema for name, schema in found.items() if name.startswith("test__")}
