"""Structured results of an MCP server's tools, checked against the output schemas that the server lists."""

import logging
from typing import Any

import pytest

from reasoning_grpc.config import McpServerEntry
from reasoning_grpc.domain import McpServerInfo, ToolExecution, ToolStatus
from reasoning_grpc.tools.foreign_schema import UnusableSchema
from reasoning_grpc.tools.output_schema import OutputSchema
from tests.support.mcp_server import Reports
from tests.support.mcp_toolbox import open_toolbox
from tests.support.scripted_mcp import A_TOOL, a_result_line, modern_entry, scripted_entry

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}
CITIES = {"type": "array", "items": {"type": "string"}, "maxItems": 3}
NO_FIT = "The tool's result does not fit its own output schema."
BLOCKS = {"content": [{"type": "text", "text": "words"}]}


def build_entry(schema: Any, result: dict[str, Any], *, is_modern: bool) -> McpServerEntry:
    """Builds the entry of a server whose tool has this output schema and gives this result."""
    tool = A_TOOL | {"outputSchema": schema}
    if is_modern:
        return modern_entry(tools=[tool], tools_call=[a_result_line({"resultType": "complete"} | result)])
    return scripted_entry(tools_list=[a_result_line({"tools": [tool]})], tools_call=[a_result_line(result)])


async def call_with_schema(
    reports: Reports, schema: Any, result: dict[str, Any], *, is_modern: bool = True
) -> tuple[ToolExecution, McpServerInfo]:
    """Calls the tool of such a server, and returns the outcome with the state of the server."""
    async with open_toolbox(reports, build_entry(schema, result, is_modern=is_modern)) as toolbox:
        return await toolbox.call("harm"), toolbox.box.list_servers()[0]


@pytest.mark.process
@pytest.mark.parametrize("is_modern", [True, False])
@pytest.mark.parametrize(
    ("schema", "structured", "text"),
    [
        (PERSON, {"name": "Ann", "age": 7}, '{"name":"Ann","age":7}'),
        (PERSON, {"name": "Ann", "note": None}, '{"name":"Ann","note":null}'),
        (CITIES, ["Oslo", "Bergen"], '["Oslo","Bergen"]'),
        ({"type": ["null", "array"]}, None, "null"),
        ({"type": "string"}, "Oslo", '"Oslo"'),
        ({"enum": [1, 2]}, 2, "2"),
        ({"anyOf": [{"type": "boolean"}, {"type": "number"}]}, False, "false"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}, {}, "{}"),
        ({}, 1.5, "1.5"),
    ],
)
async def test_results_that_fit_reach_the_model(
    reports: Reports, is_modern: bool, schema: Any, structured: Any, text: str
) -> None:
    """A value of each JSON type is a structured result, whatever the root of the schema is, in both ages."""
    execution, info = await call_with_schema(
        reports, schema, {"content": [], "structuredContent": structured}, is_modern=is_modern
    )

    assert (execution.status, execution.result, execution.error) == (ToolStatus.OK, text, "")
    assert (info.tools, info.left_out, info.unchecked) == (1, {}, {})


@pytest.mark.process
@pytest.mark.parametrize("is_modern", [True, False])
@pytest.mark.parametrize(
    ("schema", "result", "problem"),
    [
        (PERSON, {"content": [], "structuredContent": {"name": 5}}, 'name: it does not fit type "string"'),
        (PERSON, {"content": [], "structuredContent": {"name": "Ann", "age": -1}}, "age: it does not fit minimum 0"),
        (PERSON, {"structuredContent": {}}, "the whole: it has no name"),
        (PERSON, {"content": [], "structuredContent": None}, 'the whole: it does not fit type "object"'),
        (CITIES, {"content": [], "structuredContent": ["a", 1]}, '1: it does not fit type "string"'),
        (PERSON, BLOCKS, "the whole: it is missing"),
        ({"type": ["null", "string"]}, BLOCKS, "the whole: it is missing"),
    ],
)
async def test_a_result_that_does_not_fit_fails(
    reports: Reports, is_modern: bool, schema: Any, result: dict[str, Any], problem: str
) -> None:
    """A result that breaks the tool's own schema is a failure; the model reads where, and nothing that it contains."""
    execution, _ = await call_with_schema(reports, schema, result, is_modern=is_modern)

    assert (execution.status, execution.error, execution.result) == (ToolStatus.FAILED, NO_FIT, problem)


@pytest.mark.process
async def test_an_error_needs_no_structured_content(reports: Reports) -> None:
    """A tool that reports an error need not keep to its schema, and the model reads what it says."""
    execution, _ = await call_with_schema(reports, PERSON, {**BLOCKS, "isError": True})

    assert (execution.status, execution.error) == (ToolStatus.FAILED, "The tool reported an error.")
    assert execution.result == "words"


@pytest.mark.process
@pytest.mark.parametrize("is_modern", [True, False])
@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        (["no", "schema"], "it is no JSON Schema"),
        ({"type": "word"}, "it is no JSON Schema"),
        ({"$ref": "https://example.com/schema.json"}, "a reference leads out of it"),
        ({"properties": {"a": {"prefixItems": [{"$ref": "other.json#/$defs/a"}]}}}, "a reference leads out of it"),
        ({"properties": {"a": {"$ref": "#/$defs/missing"}}}, "a reference leads nowhere"),
        ({"$schema": "https://example.com/dialect", "type": "object"}, "its dialect is not known"),
    ],
)
async def test_a_schema_that_cannot_be_used_is_reported_when_it_is_listed(
    reports: Reports, caplog: pytest.LogCaptureFixture, is_modern: bool, schema: Any, problem: str
) -> None:
    """A tool with an unusable output schema stays usable without the check, and the log and the list say why."""
    caplog.set_level(logging.WARNING)
    execution, info = await call_with_schema(reports, schema, BLOCKS, is_modern=is_modern)

    (line,) = (vars(record) for record in caplog.records if record.message == "results of a tool are not checked")
    assert (line["mcp_server"], line["tool"], line["problem"]) == ("test", "test__harm", problem)
    assert (info.tools, info.unchecked) == (1, {"test__harm": problem})
    assert (execution.status, execution.result) == (ToolStatus.OK, "words")


@pytest.mark.process
@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"$ref": {"type": "string"}, "a": {"const": {"$ref": "https://example.com/"}}}},
        {"$defs": {"tree": {"properties": {"more": {"$ref": "#/$defs/tree"}}}}, "$ref": "#/$defs/tree"},
        {"$defs": {"a": {"$anchor": "here", "type": "object"}}, "$ref": "#here"},
    ],
)
async def test_what_looks_like_a_foreign_reference_and_is_none(reports: Reports, schema: Any) -> None:
    """Names and values that look like references, circles and anchors leave a schema usable."""
    execution, info = await call_with_schema(reports, schema, {"structuredContent": {"more": {"more": {}}}})

    assert execution.status is ToolStatus.OK
    assert info.unchecked == {}


def test_a_long_result_passes_without_the_whole_check() -> None:
    """The work of a check has a limit, and a result for which it does not suffice is taken as it is."""
    schema = OutputSchema({"properties": {"notes": {"items": {"type": "string"}}}})

    assert schema.find_problem({"notes": [*["x" * 100] * 20, 5]}) == 'notes.20: it does not fit type "string"'
    assert schema.find_problem({"notes": [*["x" * 100] * 20_000, 5]}) == ""


def test_a_long_schema_cannot_be_used() -> None:
    """An output schema has a limit of its length."""
    with pytest.raises(UnusableSchema, match="longer than 100000 characters"):
        OutputSchema({"description": "x" * 100_001})
