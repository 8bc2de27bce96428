"""Arguments against the schema of somebody else's tool: checked, without being led astray."""

import json
import time
from contextlib import suppress
from typing import Any, Final

import pytest

from reasoning_grpc.tools.errors import ArgumentsProblem
from reasoning_grpc.tools.foreign_schema import ForeignSchema, UnusableSchema

DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"


def problem_of(schema: dict[str, Any], arguments: str) -> str:
    """What does not fit; empty when all does."""
    try:
        ForeignSchema(schema).parse_arguments(arguments)
    except ArgumentsProblem as problem:
        return str(problem)
    return ""


def of(**properties: Any) -> dict[str, Any]:
    """The schema of an object with these members."""
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "arguments", "problem"),
    [
        (of(a={"type": "integer"}), '{"a": 1}', ""),
        (of(a={"type": "integer"}), '{"a": 5.0}', ""),
        (of(a={"type": "integer"}), "", ""),
        (of(a={"type": "integer"}), '{"a": "1"}', 'a: it does not fit type "integer"'),
        (of(a={"minimum": 3}), '{"a": 1}', "a: it does not fit minimum 3"),
        (of(a={"enum": ["x", "y"]}), '{"a": "z"}', 'a: it does not fit enum ["x", "y"]'),
        (of(a={"items": {"type": "string"}}), '{"a": ["x", 1]}', 'a.1: it does not fit type "string"'),
        ({"required": ["a", "b"]}, '{"a": 1}', "the whole: it has no b"),
        (of(a={}) | {"additionalProperties": False}, '{"secret": 1}', "the whole: it has a member that is not allowed"),
        (
            {"$defs": {"n": {"type": "null"}}, **of(a={"$ref": "#/$defs/n"})},
            '{"a": 1}',
            'a: it does not fit type "null"',
        ),
        (of(pattern={"type": "string"}), '{"pattern": 1}', 'pattern: it does not fit type "string"'),
        (
            {"$schema": DRAFT_7, **of(a={"type": "null"})},
            '{"a": 1}',
            "a: it does not",
        ),
        (of(), "[]", "they are not a JSON object"),
        (of(), '{"a": NaN}', "they are not JSON"),
        (of(), "{", "they are not JSON"),
        (of(), '{"a": "' + "x" * 200_000 + '"}', "they are longer than 200000 characters"),
    ],
)
def test_arguments_are_checked(schema: dict[str, Any], arguments: str, problem: str) -> None:
    """Each rule that is not kept is told by its place, and nothing of the value."""
    told = problem_of(schema, arguments)

    assert told.startswith(problem) if problem else told == ""
    assert "secret" not in told


def many_ways(depth: int, **keywords: Any) -> dict[str, Any]:
    """A schema of a few lines that can be followed in 2 ** depth ways."""
    ways = {f"d{row}": {"anyOf": [{"$ref": f"#/$defs/d{row + 1}"}] * 2, **keywords} for row in range(depth)}
    return {"$defs": {**ways, f"d{depth}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def looked_at_again(keyword: str, depth: int) -> dict[str, Any]:
    """A schema of a few lines whose every level has all below it looked at twice."""
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"allOf": [schema], keyword: {}}
    return of(a=schema)


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (of(a={"pattern": "^(a+)+$"}), json.dumps({"a": "a" * 60 + "!"})),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, json.dumps({"a" * 60 + "!": 1})),
        ({"propertyNames": {"pattern": "^(a+)+$"}}, json.dumps({"a" * 60 + "!": 1})),
        (of(a={"uniqueItems": True}), json.dumps({"a": [{"b": row} for row in range(15_000)]})),
        ({"$ref": "#"}, '{"a": 1}'),
        (many_ways(60), '{"a": 1}'),
        (many_ways(60, **{"$schema": DRAFT_7}), '{"a": 1}'),
        (looked_at_again("unevaluatedProperties", 18), '{"a": {"b": 1}}'),
        (looked_at_again("unevaluatedItems", 18), '{"a": [1]}'),
        (of(a={"items": {"allOf": [{"minimum": 0}] * 4500}}), json.dumps({"a": [1] * 50_000})),
        (of(a={"anyOf": [{"type": "integer"}] * 4000}), json.dumps({"a": "x" * 150_000})),
    ],
    ids=[
        "pattern",
        "names",
        "property names",
        "unique items",
        "circle",
        "many ways",
        "many ways of another dialect",
        "unevaluated properties",
        "unevaluated items",
        "many times many",
        "many long errors",
    ],
)
def test_no_schema_takes_for_ever(schema: dict[str, Any], arguments: str) -> None:
    """Patterns that backtrack without end, circles, and whatever multiplies are left to the server."""
    began = time.process_time()

    assert problem_of(schema, arguments) == ""
    assert time.process_time() - began < 30


def mixed(count: int) -> list[int | str]:
    """A list that cannot be sorted, no member of which is there twice."""
    return [member for number in range(count) for member in (number, str(number))]


@pytest.mark.parametrize(
    "schema",
    [
        of(a={"type": mixed(6000)}),
        {"$schema": "http://json-schema.org/draft-04/schema#", **of(a={"enum": mixed(6000)})},
        {"$schema": DRAFT_7, "dependencies": {"a": mixed(6000)}},
    ],
    ids=["type", "enum", "dependencies"],
)
def test_no_schema_takes_for_ever_to_be_listed(schema: dict[str, Any]) -> None:
    """Neither do lists in which each member would be compared with all others."""
    began = time.process_time()
    with suppress(UnusableSchema):
        ForeignSchema(schema)

    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"required": ["x" * 90_000]}, "{}"),
        (of(a={"enum": ["x" * 90_000]}), '{"a": 1}'),
        (of() | {"additionalProperties": {"type": "integer"}}, json.dumps({"x" * 90_000: ""})),
        (of() | {"additionalProperties": {"additionalProperties": False}}, json.dumps({"x" * 90_000: {"a": 1}})),
    ],
    ids=["missing", "rule", "place", "place of one too many"],
)
def test_what_is_told_is_short(schema: dict[str, Any], arguments: str) -> None:
    """However long the names in a schema or in arguments are."""
    assert 0 < len(problem_of(schema, arguments)) < 300


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef"])
def test_nothing_is_fetched(key: str) -> None:
    """A reference that leads away from the schema is not followed; what it would say is left to the server."""
    assert problem_of({key: "http://127.0.0.1:9/schema.json"}, '{"a": 1}') == ""


def deep(levels: int) -> dict[str, Any]:
    """A schema in a schema in a schema."""
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = of(a=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        of(a={"type": "nonsense"}),
        of(a={"maximum": float("inf")}),
        {"properties": 3},
        {"$schema": {}},
        deep(3000),
        {"description": "x" * 100_001},
    ],
    ids=["type", "infinite", "properties", "dialect", "deep", "long"],
)
def test_schemas_that_cannot_be_used(schema: dict[str, Any]) -> None:
    """What is no JSON Schema, or too much of one, is refused when it is listed."""
    with pytest.raises(UnusableSchema):
        ForeignSchema(schema)
