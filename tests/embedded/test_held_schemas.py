"""What the embedded model is held to: the grammars that llama.cpp makes, read by random texts that they accept."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator, FormatChecker

from reasoning_grpc.embedded import find_schema_problems
from tests.support.gbnf import Grammar
from tests.support.grammar_server import GrammarServer, run_grammar_server
from tests.support.random_schemas import SchemaWriter

# One process serves all tests here.
pytestmark = [pytest.mark.process, pytest.mark.thorough, pytest.mark.asyncio(loop_scope="module")]

Json = dict[str, Any]
ANSWER: Final = "response-format"
"""The rule of the grammar for the answer, without what the model writes around it."""
FORMATS: Final = FormatChecker(["uuid"])
SCHEMAS: Final = 30
TEXTS: Final = 40
MANY_TEXTS: Final = 2000

NOT_HELD: Final[dict[str, tuple[Any, str]]] = {
    "a pattern without anchors": ({"type": "string", "pattern": "abc"}, "pattern"),
    "an escape of digits": ({"type": "string", "pattern": r"^\d+$"}, "pattern"),
    "a point": ({"type": "string", "pattern": "^.{3}$"}, "pattern"),
    "a class of all but one": ({"type": "string", "pattern": "^[^a]$"}, "pattern"),
    "a repeated escape": ({"type": "string", "pattern": r"^a\.*$"}, "pattern"),
    "a minimum of a number": ({"type": "number", "minimum": 3}, "minimum"),
    "an excluded maximum of a number": ({"type": "number", "exclusiveMaximum": 3}, "exclusiveMaximum"),
    "a multiple": ({"type": "integer", "multipleOf": 7}, "multipleOf"),
    "a minimum with zeros": ({"type": "integer", "minimum": 105}, "minimum"),
    "a negative maximum": ({"type": "integer", "maximum": -25}, "maximum"),
    "two lower bounds": ({"type": "integer", "minimum": 1, "exclusiveMinimum": 5, "maximum": 9}, "exclusiveMinimum"),
    "a length beside a pattern": ({"type": "string", "pattern": "^a+$", "minLength": 3}, "minLength"),
    "a length beside a format": ({"type": "string", "format": "uuid", "maxLength": 3}, "maxLength"),
    "a multiple without a type": ({"multipleOf": 3}, "multipleOf"),
    "properties beside anyOf": (
        {"type": "object", "properties": {"a": {"type": "null"}}, "anyOf": [{"required": ["a"]}]},
        "properties",
    ),
    "required without a property": ({"type": "object", "properties": {}, "required": ["a"]}, "required"),
    "further properties": (
        {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "null"}},
        "additionalProperties",
    ),
    "a count of properties": ({"type": "object", "minProperties": 1}, "minProperties"),
    "names of properties": ({"type": "object", "propertyNames": {"maxLength": 1}}, "propertyNames"),
    "properties by pattern": (
        {"type": "object", "patternProperties": {"^": {"type": "null"}}},
        "patternProperties",
    ),
    "different items": ({"type": "array", "items": {"type": "null"}, "uniqueItems": True}, "uniqueItems"),
    "contained items": ({"type": "array", "contains": {"type": "null"}}, "contains"),
    "items in a row beside items": (
        {"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "boolean"}},
        "prefixItems",
    ),
    "less items than in a row": ({"type": "array", "prefixItems": [{}, {}], "maxItems": 1}, "maxItems"),
    "all of several schemas": ({"allOf": [{"type": "integer"}, {"type": "integer", "minimum": 3}]}, "allOf"),
    "one of two that overlap": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
    "not": ({"not": {"type": "object"}}, "not"),
    "a condition": ({"type": "object", "if": {}, "then": {"required": ["a"]}}, "then"),
    "a constant of another type": ({"type": "string", "const": 3}, "const"),
    "a large constant": ({"const": 2**64 + 1}, "const"),
    "a constant beside a limit": ({"const": 3, "minimum": 5}, "minimum"),
    "a keyword beside a reference": (
        {"$ref": "#/$defs/A", "maximum": 3, "$defs": {"A": {"type": "integer"}}},
        "maximum",
    ),
    "two references with like names": (
        {
            "type": "array",
            "prefixItems": [{"$ref": "#/$defs/a_b"}, {"$ref": "#/$defs/a-b"}],
            "$defs": {"a_b": {"const": 1}, "a-b": {"const": 2}},
        },
        "$ref",
    ),
}
"""Schemas with a keyword to which the grammar does not hold the answer."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def grammars() -> AsyncIterator[GrammarServer]:
    """A process that converts schemas to grammars."""
    async with run_grammar_server() as server:
        yield server


@pytest.mark.parametrize("seed", range(4))
async def test_what_has_no_problem_is_held(grammars: GrammarServer, seed: int) -> None:
    """Each text that the grammar of a random schema accepts is valid, where no problem of the schema was found."""
    writer = SchemaWriter(seed)
    held = 0
    while held < SCHEMAS:
        schema = writer.write()
        if any(find_schema_problems(json.dumps(schema))):
            continue
        held += 1
        grammar = Grammar(await grammars.convert(schema))
        for _ in range(TEXTS if grammar.has_texts(ANSWER) else 0):
            text = grammar.write(ANSWER, writer.chance)
            assert is_valid(text, schema), (text, schema)


@pytest.mark.parametrize("name", NOT_HELD)
async def test_what_is_reported_is_not_held(grammars: GrammarServer, name: str) -> None:
    """A schema with a keyword that is reported lets a text through that is not valid."""
    schema, keyword = NOT_HELD[name]

    assert keyword in {problem.keyword for problem in find_schema_problems(json.dumps(schema))}
    grammar, chance = Grammar(await grammars.convert(schema)), random.Random(1)
    assert any(not is_valid(grammar.write(ANSWER, chance), schema) for _ in range(MANY_TEXTS))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}},
        {"properties": {"a": True}},
        {"enum": []},
        {"anyOf": []},
        {"type": "text"},
        {"type": []},
        {"type": "string", "pattern": "^(a$"},
        {"type": "string", "pattern": "^*$"},
        {"type": "string", "minLength": -1},
        {"type": "integer", "minimum": "3"},
        {"type": "string", "minLength": 9999},
    ],
    ids=json.dumps,
)
async def test_what_llama_cpp_refuses_is_reported(grammars: GrammarServer, schema: Json) -> None:
    """A schema that llama.cpp refuses has a problem that makes it unusable, also where nothing must be held."""
    assert not await grammars.convert(schema)
    assert any(problem.is_unusable for problem in find_schema_problems(json.dumps(schema)))


def is_valid(text: str, schema: Any) -> bool:
    """Whether a text is JSON that fits the schema."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return bool(Draft202012Validator(schema, format_checker=FORMATS).is_valid(value))
