"""Arguments against the schema of somebody else's tool: checked, without being led astray."""

import json
import time
from typing import Any, Final

import pytest

from reasoning_grpc.tools.errors import ArgumentsProblem
from reasoning_grpc.tools.foreign_schema import ForeignSchema, UnusableSchema

DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"


def problem_of(schema: dict[str, Any], arguments: str) -> str:
    """What does not fit; empty when all does."""
    try:
        ForeignSchema(schema).arguments(arguments)
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
            {"$schema": "http://json-schema.org/draft-07/schema#", **of(a={"type": "null"})},
            '{"a": 1}',
            "a: it does not",
        ),
        (of(), "[]", "they are no JSON object"),
        (of(), '{"a": NaN}', "they are no JSON"),
        (of(), "{", "they are no JSON"),
        (of(), '{"a": "' + "x" * 200_000 + '"}', "they are longer than 200000 characters"),
    ],
)
def test_arguments_are_checked(schema: dict[str, Any], arguments: str, problem: str) -> None:
    """Each rule that is not kept is told by its place, and nothing of the value."""
    told = problem_of(schema, arguments)

    assert told.startswith(problem) if problem else told == ""
    assert "secret" not in told


def many_ways(depth: int) -> dict[str, Any]:
    """A schema of a few lines that can be followed in 2 ** depth ways."""
    ways = {f"d{row}": {"anyOf": [{"$ref": f"#/$defs/d{row + 1}"}] * 2} for row in range(depth)}
    return {"$defs": {**ways, f"d{depth}": {"type": "string"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        (of(a={"pattern": "^(a+)+$"}), json.dumps({"a": "a" * 60 + "!"})),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, json.dumps({"a" * 60 + "!": 1})),
        ({"propertyNames": {"pattern": "^(a+)+$"}}, json.dumps({"a" * 60 + "!": 1})),
        (of(a={"uniqueItems": True}), json.dumps({"a": [{"b": row} for row in range(15_000)]})),
        ({"$ref": "#"}, '{"a": 1}'),
        (many_ways(60), '{"a": 1}'),
    ],
    ids=["pattern", "names", "property names", "unique items", "circle", "many ways"],
)
def test_no_schema_takes_for_ever(schema: dict[str, Any], arguments: str) -> None:
    """Patterns that backtrack without end, circles, and references that multiply are left to the server."""
    began = time.process_time()

    assert problem_of(schema, arguments) == ""
    assert time.process_time() - began < 30


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
        {"type": "nonsense"},
        {"properties": 3},
        {"$schema": {}},
        deep(3000),
        {"description": "x" * 100_001},
    ],
    ids=["type", "properties", "dialect", "deep", "long"],
)
def test_schemas_that_cannot_be_used(schema: dict[str, Any]) -> None:
    """What is no JSON Schema, or too much of one, is refused when it is listed."""
    with pytest.raises(UnusableSchema):
        ForeignSchema(schema)
