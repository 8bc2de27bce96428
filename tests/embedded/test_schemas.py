"""What is reported of a schema for the embedded model, case by case; another file asks llama.cpp itself."""

import json
import time
from typing import Any, Final

import pytest

from reasoning_grpc.agent.plan import plan_schema
from reasoning_grpc.domain import ToolInfo, ToolSource
from reasoning_grpc.embedded import find_schema_problems

STRING: Final = {"type": "string"}
CAT: Final = {
    "type": "object",
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    "required": ["kind"],
}
DOG: Final = {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"]}

HELD: Final[dict[str, Any]] = {
    "anything": {},
    "annotations": {"title": "T", "description": "D", "default": 1, "examples": [1], "$comment": "C", **STRING},
    "a tagged union": {"oneOf": [CAT, DOG], "discriminator": {"propertyName": "kind"}},
    "a tagged union by references": {
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        "$defs": {"Cat": CAT, "Dog": DOG},
    },
    "an optional value": {"anyOf": [STRING, {"type": "null"}]},
    "several types": {"type": ["string", "null"], "maxLength": 5},
    "a keyword of another type": {"type": "boolean", "minimum": 3, "pattern": "x"},
    "values of their type": {"type": "string", "enum": ["a", "b"]},
    "values of several types": {"type": ["string", "null"], "enum": ["a", None]},
    "a map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "a tree": {
        "$ref": "#/$defs/Node",
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
    },
    "a text that is not empty": {"type": "string", "minLength": 1, "maxLength": 80},
    "a uuid": {"type": "string", "format": "uuid"},
    "items in a row": {"type": "array", "prefixItems": [STRING, STRING], "minItems": 2, "maxItems": 2},
    "a definition that is not used": {"$defs": {"A": {"multipleOf": 3}}, **STRING},
}
PROBLEMS: Final[dict[str, tuple[Any, list[tuple[str, str]]]]] = {
    "an unknown keyword": ({"type": "string", "contentEncoding": "base64"}, [("#", "contentEncoding")]),
    "keywords without a type": ({"minimum": 3, "uniqueItems": True}, [("#", "minimum"), ("#", "uniqueItems")]),
    "a date": ({"type": "string", "format": "date"}, [("#", "format")]),
    "a text of two characters": ({"type": "string", "minLength": 2}, [("#", "minLength")]),
    "a union without a tag": ({"oneOf": [CAT, CAT]}, [("#", "oneOf")]),
    "both unions": ({"oneOf": [STRING], "anyOf": [STRING]}, [("#", "anyOf")]),
    "a type of several": ({"type": ["number", "null"], "maximum": 3}, [("#", "maximum")]),
    "a list of items": ({"type": "array", "items": [STRING]}, [("#", "items")]),
    "counts in the wrong order": ({"type": "array", "minItems": 3, "maxItems": 2}, [("#", "maxItems")]),
    "a large count": ({"type": "array", "maxItems": 1001}, [("#", "maxItems")]),
    "limits in the wrong order": ({"type": "integer", "minimum": 3, "exclusiveMaximum": 3}, [("#", "maximum")]),
    "a large limit": ({"type": "integer", "maximum": 10**15}, [("#", "maximum")]),
    "a reference outside": ({"$ref": "https://example.com/a.json"}, [("#", "$ref")]),
    "a reference with an escape": (
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": STRING}},
        [("#", "$ref")],
    ),
    "references with names in a row": (
        {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A-b"}], "$defs": {"A": STRING, "A-b": STRING}},
        [("#/anyOf/1", "$ref")],
    ),
    "a definition": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "number", "multipleOf": 2}}},
        [("#/$defs/A", "multipleOf")],
    ),
    "true": ({"type": "array", "items": True}, [("#/items", "")]),
    "names that are no texts": ({"type": "object", "required": [["a"]]}, [("#", "required")]),
    "types that are no texts": ({"oneOf": [{"type": [{}]}, {"type": {}, "const": 1}]}, [("#/oneOf/0", "type")]),
}

GOOD_PATTERNS: Final = [
    *(
        "^a$",
        "^abc-[0-9]+$",
        "^(a|b)c?$",
        "^(?:[A-Z][a-z]*){1,3}$",
        r"^a\.b$",
        "^[0-9]{4}-[0-9]{2}$",
        "^a|b$",
        "^a{2,}$",
    ),
    *(r"^\(\)$", "^[abc-]$", "^[x.*+?(){}|$]$"),
]
BAD_PATTERNS: Final = [
    *(
        "a",
        "^a",
        "a$",
        "^",
        "$",
        "",
        "^$",
        r"^\w$",
        r"^a\.*$",
        "^a.b$",
        "^[^a]$",
        "^[a-Z]$",
        "^[9-0]$",
        r"^[\d]$",
        "^[]$",
    ),
    *(
        "^(?=a)a$",
        "^a*?$",
        "^a{0}$",
        "^a{,3}$",
        "^a{3,1}$",
        "^a{1001}$",
        "^(a{100}){100}$",
        "^(a*)*$",
        "^(|a)$",
        "^a^$",
    ),
    *("^(a$", "^a)$", "^*$", "^[a$", "^a\\$", '^"$', "^\u00e9$", "^a{x}$", "^a{1$", f"^{'(' * 60}a{')' * 60}$", "^]$"),
]


@pytest.mark.parametrize("name", HELD)
def test_a_held_schema_has_no_problem(name: str) -> None:
    """Nothing is reported of a schema to which answers are held."""
    assert list_problems(HELD[name]) == []


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_reported_with_its_place(name: str) -> None:
    """Each keyword to which answers are not held is reported with its place."""
    schema, problems = PROBLEMS[name]

    assert set(problems) <= set(list_problems(schema))


@pytest.mark.parametrize("pattern", GOOD_PATTERNS)
def test_a_pattern_that_is_held(pattern: str) -> None:
    """Literal text, classes, groups, alternatives and repetitions between anchors are held."""
    assert list_problems({"type": "string", "pattern": pattern}) == []


@pytest.mark.parametrize("pattern", BAD_PATTERNS, ids=ascii)
def test_a_pattern_that_is_not_held(pattern: str) -> None:
    """All other patterns are reported."""
    assert list_problems({"type": "string", "pattern": pattern}) == [("#", "pattern")]


def test_the_plan_of_the_agent_is_held() -> None:
    """The schema of a plan, which the embedded model must follow, has no problem."""
    tool = ToolInfo(name="f", description="", parameters_schema="{}", source=ToolSource.FUNCTION)

    for tools in ((), (tool,)):
        assert list_problems(json.loads(plan_schema(tools).text)) == []


def test_many_references_end_the_check() -> None:
    """A chain of references is followed up to a limit."""
    chain = {f"A{number}x": {"$ref": f"#/$defs/A{number + 1}x"} for number in range(5000)}

    problems = list_problems({"$ref": "#/$defs/A0x", "$defs": chain | {"A5000x": STRING}})

    assert problems == [("#/$defs/A99x", "$ref")]


MANY: Final = 3000
LARGE: Final[dict[str, Any]] = {
    "values": {"oneOf": [{"enum": list(range(MANY))}, {"enum": list(range(MANY, 2 * MANY))}]},
    "alternatives": {"oneOf": [{"const": number} for number in range(MANY)]},
    "required properties": {
        "oneOf": [
            {
                "type": "object",
                "required": [f"p{number}" for number in range(MANY)],
                "properties": {f"p{number}": {"$ref": "#/$defs/A"} for number in range(MANY)},
            }
        ]
        * 30,
        "$defs": {"A": STRING},
    },
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_schema_takes_little_time(name: str) -> None:
    """The alternatives of a large schema are compared in part, and then count as alike."""
    started = time.process_time()

    assert list_problems(LARGE[name]) == [("#", "oneOf")]
    assert time.process_time() - started < 3


def list_problems(schema: Any) -> list[tuple[str, str]]:
    """Returns the places and keywords of the problems of a schema."""
    return [(problem.place, problem.keyword) for problem in find_schema_problems(json.dumps(schema))]
