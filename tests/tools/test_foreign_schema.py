"""`ForeignSchema` checks arguments against the schema of an MCP server's tool in bounded time."""

import json
from typing import Any, Final

import pytest

from reasoning_grpc.tools.errors import ArgumentsProblem
from reasoning_grpc.tools.foreign_schema import ForeignSchema, UnusableSchema

DRAFT_4: Final = "http://json-schema.org/draft-04/schema#"
DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"


def find_problem(schema: dict[str, Any], arguments: str, **limits: int) -> str:
    """Says how the arguments break the schema; returns an empty string when they are accepted."""
    try:
        ForeignSchema(schema, **limits).parse_arguments(arguments)
    except ArgumentsProblem as problem:
        return str(problem)
    return ""


def object_schema(**properties: Any) -> dict[str, Any]:
    """Builds the schema of an object with these properties."""
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "arguments", "problem"),
    [
        (object_schema(a={"type": "integer"}), '{"a": 1}', ""),
        (object_schema(a={"type": "integer"}), '{"a": 5.0}', ""),
        (object_schema(a={"type": "integer"}), "", ""),
        (object_schema(a={"type": "integer"}), '{"a": "1"}', 'a: it does not fit type "integer"'),
        (object_schema(a={"minimum": 3}), '{"a": 1}', "a: it does not fit minimum 3"),
        (object_schema(a={"enum": ["x", "y"]}), '{"a": "z"}', 'a: it does not fit enum ["x", "y"]'),
        (object_schema(a={"items": {"type": "string"}}), '{"a": ["x", 1]}', 'a.1: it does not fit type "string"'),
        ({"required": ["a", "b"]}, '{"a": 1}', "the whole: it has no b"),
        ({"required": ["a", "b", "c"]}, '{"b": 1}', "the whole: it has no a, c"),
        (
            object_schema(a={}) | {"additionalProperties": False},
            '{"secret": 1}',
            "the whole: it has a member that is not allowed",
        ),
        (
            {"$defs": {"n": {"type": "null"}}, **object_schema(a={"$ref": "#/$defs/n"})},
            '{"a": 1}',
            'a: it does not fit type "null"',
        ),
        (object_schema(pattern={"type": "string"}), '{"pattern": 1}', 'pattern: it does not fit type "string"'),
        (
            {"$schema": DRAFT_7, **object_schema(a={"type": "null"})},
            '{"a": 1}',
            "a: it does not",
        ),
        (object_schema(), "[]", "they are not a JSON object"),
        (object_schema(), '{"a": NaN}', "they are not JSON"),
        (object_schema(), "{", "they are not JSON"),
        (object_schema(), '{"a": "' + "x" * 200_000 + '"}', "they are longer than 200000 characters"),
    ],
)
def test_arguments_are_checked(schema: dict[str, Any], arguments: str, problem: str) -> None:
    """A broken rule is reported with its place in the arguments, and without the value."""
    found = find_problem(schema, arguments)

    assert found.startswith(problem) if problem else found == ""
    assert "secret" not in found


def test_models_do_not_see_the_dialect() -> None:
    """A schema reaches the model as it is but for the address of its dialect, by which arguments are still checked."""
    schema = {"$schema": DRAFT_4, "properties": {"$schema": {"minimum": 3, "exclusiveMinimum": True}}}

    assert json.loads(ForeignSchema(schema).text) == {"properties": schema["properties"]}
    assert find_problem(schema, '{"$schema": 3}') == "$schema: it does not fit minimum 3"


def test_each_problem_is_described_once() -> None:
    """Members that are missing in one place are named together, and leave room for the problems of other places."""
    member = {"required": ["name", "type", "notes"], "properties": {"name": {"type": "string"}}}
    schema = object_schema(a={"items": member}) | {"required": ["a", "b"]}

    assert find_problem(schema, '{"a": [{"name": 1}, {"notes": 1}]}') == (
        'a.0: it has no type, notes; a.0.name: it does not fit type "string"; '
        "a.1: it has no name, type; the whole: it has no b"
    )


def test_the_description_of_problems_has_a_limit() -> None:
    """The description names only the first of many missing members, and only the first of many problems."""
    names = [f"name{number}" for number in range(1000)]
    schema = object_schema(a={"items": {"required": names}})

    assert find_problem(schema, '{"a": [{}]}') == "a.0: it has no name0, name1, name2, name3, name4"
    assert find_problem(object_schema(a={"items": {"type": "null"}}), json.dumps({"a": [1] * 30})).count(";") == 4


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (object_schema(a={"pattern": "^x$"}), '{"a": "y"}'),
        ({"patternProperties": {"^x$": {"type": "null"}}}, '{"x": 1}'),
        ({"patternProperties": {"^x$": {}}, "additionalProperties": False}, '{"y": 1}'),
        ({"propertyNames": {"pattern": "^x$"}}, '{"y": 1}'),
        (object_schema(a={"uniqueItems": True}), '{"a": [1, 1]}'),
        (object_schema(a={"unevaluatedProperties": False}), '{"a": {"b": 1}}'),
        (object_schema(a={"unevaluatedItems": False}), '{"a": [1]}'),
    ],
    ids=[
        "pattern",
        "names by pattern",
        "names beside a pattern",
        "property names",
        "unique items",
        "unevaluated properties",
        "unevaluated items",
    ],
)
def test_keywords_whose_check_may_never_end_are_left_to_the_server(schema: dict[str, Any], arguments: str) -> None:
    """Arguments that break a keyword whose check may never end are accepted, because only the server checks it.

    Python's `re` backtracks without end on some patterns, jsonschema compares each list member with all others, and
    each level of an `unevaluated...` keyword makes it check twice all that is below.
    """
    assert find_problem(schema, arguments) == ""


def branching_schema(depth: int, **keywords: Any) -> dict[str, Any]:
    """Builds a schema of a few lines that can be followed in 2 ** depth ways to the demand of a string."""
    levels = {f"d{row}": {"anyOf": [{"$ref": f"#/$defs/d{row + 1}"}] * 2, **keywords} for row in range(depth)}
    return {"$defs": {**levels, f"d{depth}": {"type": "string"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (branching_schema(3), '{"a": 1}'),
        (branching_schema(3, **{"$schema": DRAFT_7}), '{"a": 1}'),
        (object_schema(a={"$ref": "#"}, b={"type": "null"}), '{"a": {"a": {"a": {"a": {"b": 1}}}}}'),
        (object_schema(a={"items": {"allOf": [{"minimum": 0}] * 4}}), '{"a": [1, 1, 1, 1, 1, -1]}'),
        (object_schema(a={"anyOf": [{"type": "integer"}] * 9}), '{"a": "x"}'),
    ],
    ids=["branches", "branches of another dialect", "circle", "rules times members", "alternatives"],
)
def test_the_number_of_checked_keywords_is_limited(schema: dict[str, Any], arguments: str) -> None:
    """A check that reaches the limit accepts the arguments, so a schema in which the work multiplies ends early.

    With the usual limit, each of these schemas is small enough to be checked.
    """
    max_work = 8 * (len(json.dumps(schema)) + len(arguments))

    assert find_problem(schema, arguments)
    assert find_problem(schema, arguments, max_work=max_work) == ""


def test_a_check_has_a_limit_by_default() -> None:
    """A schema whose check needs more work than the default limit allows accepts whatever it is given."""
    assert find_problem(branching_schema(12), '{"a": 1}') == ""


def test_long_arguments_leave_work_for_fewer_keywords() -> None:
    """The limit counts characters as well, because the report of a broken rule repeats the value."""
    schema = object_schema(a={"type": "integer"})

    assert find_problem(schema, '{"a": "x"}', max_work=1000)
    assert find_problem(schema, json.dumps({"a": "x" * 1000}), max_work=1000) == ""


@pytest.mark.parametrize(
    "schema",
    [
        object_schema(a={"type": ["string", "null", "string"]}),
        {"$schema": DRAFT_4, **object_schema(a={"enum": ["x", "y", "x"]})},
        {"$schema": DRAFT_7, "dependencies": {"a": ["x", "y", "x"]}},
    ],
    ids=["type", "enum", "dependencies"],
)
def test_only_the_beginning_of_a_list_is_compared(schema: dict[str, Any]) -> None:
    """A member that is listed twice makes a schema unusable, but only where it stands within the limit.

    jsonschema compares each member of these lists with all others, which takes very long for thousands of members.
    """
    with pytest.raises(UnusableSchema):
        ForeignSchema(schema)

    assert ForeignSchema(schema, max_list_members=2)


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"required": ["x" * 90_000]}, "{}"),
        (object_schema(a={"enum": ["x" * 90_000]}), '{"a": 1}'),
        (object_schema() | {"additionalProperties": {"type": "integer"}}, json.dumps({"x" * 90_000: ""})),
        (
            object_schema() | {"additionalProperties": {"additionalProperties": False}},
            json.dumps({"x" * 90_000: {"a": 1}}),
        ),
    ],
    ids=["missing", "rule", "place", "place of a member that is not allowed"],
)
def test_a_problem_is_described_in_few_words(schema: dict[str, Any], arguments: str) -> None:
    """The description of a problem stays short, however long the names in the schema or the arguments are."""
    assert 0 < len(find_problem(schema, arguments)) < 300


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema.json", "#/$defs/missing"])
def test_a_reference_out_of_the_schema_is_not_followed(keyword: str, reference: str) -> None:
    """Nothing is fetched: a rule that is not in the schema itself is left to the server."""
    assert find_problem({keyword: reference}, '{"a": 1}') == ""


def deep_schema(levels: int) -> dict[str, Any]:
    """Builds a schema that is nested this deep."""
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = object_schema(a=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        object_schema(a={"type": "nonsense"}),
        object_schema(a={"maximum": float("inf")}),
        {"properties": 3},
        {"$schema": {}},
        deep_schema(3000),
        {"description": "x" * 100_001},
    ],
    ids=["type", "infinite", "properties", "dialect", "deep", "long"],
)
def test_unusable_schemas_are_refused(schema: dict[str, Any]) -> None:
    """A value that is no JSON Schema, or that is too deep or too long, is refused before any arguments arrive."""
    with pytest.raises(UnusableSchema):
        ForeignSchema(schema)
