"""Schemas of tools in the words of Gemini: they mean what they meant, or are refused by name."""

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request.dialects.google.schemas import Declaration, write_loosely, write_parameters
from reasoning_grpc.litellm_model.request.dialects.schemas.rules import Unsayable

Json = dict[str, Any]
STRING: Final[Json] = {"type": "string"}
LEFT, RIGHT = ({"type": "object", "properties": {"k": {"const": k}}, "required": ["k"]} for k in ("a", "b"))


def of(schema: Any, **root: Any) -> Json:
    """Returns the schema of a tool with one argument, `a`."""
    return {"type": "object", "properties": {"a": schema}, **root}


OPENAPI: Final[dict[str, tuple[Json, Json]]] = {
    "nothing": ({}, {"type": "object"}),
    "enum without a type": (of({"enum": ["C", "F"]}), of({"type": "string", "enum": ["C", "F"]})),
    "const": (of({"const": "city"}), of({"type": "string", "enum": ["city"]})),
    "enum with null": (of({"enum": ["C", None]}), of({"type": "string", "enum": ["C"], "nullable": True})),
    "enum with nothing": (
        of({"enum": ["C", ""]}),
        of({"anyOf": [{"type": "string", "enum": ["C"]}, {"type": "string", "maxLength": 0}]}),
    ),
    "list of types": (
        of({"type": ["string", "integer", "null"], "minimum": 1, "description": "d"}),
        of(
            {
                "anyOf": [
                    {"type": "string", "description": "d", "nullable": True},
                    {"type": "integer", "minimum": 1, "description": "d", "nullable": True},
                ]
            }
        ),
    ),
    "null in anyOf": (
        of({"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "t", "default": None}),
        of({"type": "integer", "title": "t", "default": None, "nullable": True}),
    ),
    "oneOf of types": (of({"oneOf": [STRING, {"type": "integer"}]}), of({"anyOf": [STRING, {"type": "integer"}]})),
    "oneOf by a member": (
        of({"oneOf": [LEFT, RIGHT]}),
        of(
            {
                "anyOf": [
                    {"type": "object", "properties": {"k": {"type": "string", "enum": [k]}}, "required": ["k"]}
                    for k in ("a", "b")
                ]
            }
        ),
    ),
    "allOf with a reference": (
        of(
            {"allOf": [{"$ref": "#/$defs/A"}, {"minLength": 1}], "description": "d"},
            **{"$defs": {"A": {"type": "string", "enum": ["x", ""], "description": "A"}}},
        ),
        of({"type": "string", "enum": ["x"], "minLength": 1, "description": "d\nA"}),
    ),
    "rules beside anyOf": (
        of(
            {
                "type": "object",
                "properties": {"b": STRING, "c": STRING},
                "anyOf": [{"required": ["b"]}, {"required": ["c"]}],
            }
        ),
        of(
            {
                "anyOf": [
                    {"type": "object", "properties": {"b": STRING, "c": STRING}, "required": [name]}
                    for name in ("b", "c")
                ]
            }
        ),
    ),
    "exclusive limits": (
        of({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9.5, "minimum": -1}),
        of({"type": "integer", "minimum": 1, "maximum": 9}),
    ),
    "exclusive limit of a number": (
        of({"type": "number", "exclusiveMinimum": 0}),
        of({"type": "number", "minimum": 5e-324}),
    ),
    "exclusive limit of old drafts": (
        of({"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
        of({"type": "integer", "minimum": 1}),
    ),
    "boolean enum": (of({"enum": [True, False]}), of({"type": "boolean"})),
    "multiple of one": (of({"type": "number", "multipleOf": 1}), of({"type": "integer"})),
    "format": (of({"type": "string", "format": "email"}), of({"type": "string", "format": "email"})),
    "names of keywords": (
        of(STRING, properties={"strict": STRING, "$ref": STRING, "enum": {"const": "x"}}),
        of(STRING, properties={"strict": STRING, "$ref": STRING, "enum": {"type": "string", "enum": ["x"]}}),
    ),
    "no type, but members": (of({"properties": {"b": STRING}}), of({"type": "object", "properties": {"b": STRING}})),
    "closed": (of(STRING, required=["a"], additionalProperties=False), of(STRING, required=["a"])),
    "closed by one of two": (
        of({"allOf": [of(STRING, additionalProperties=False), {"properties": {"b": STRING}}]}),
        of(of(STRING)),
    ),
    "forbidden member": (of(of(False, properties={"a": False, "b": STRING})), of(of(STRING, properties={"b": STRING}))),
    "one alternative at the top": ({"allOf": [of(STRING)], "anyOf": [{"required": ["a"]}]}, of(STRING, required=["a"])),
    "notes": (
        of({**STRING, "description": "d", "examples": ["b", "c"], "default": "c"}, title="t", description="whole"),
        of({**STRING, "description": "d", "example": "b", "default": "c"}, title="t", description="whole"),
    ),
    "null in OpenAPI's words": (of({**STRING, "nullable": True}), of({**STRING, "nullable": True})),
    "keywords of others": (of({**STRING, "x-own": 1}, **{"$schema": "s"}), of(STRING)),
}
"""Schemas, and what stands in `parameters`."""
JSON_SCHEMA: Final[dict[str, tuple[Json, Json]]] = {
    "enum of integers": (of({"enum": [1, 2]}), of({"enum": [1, 2]})),
    "const": (of({"const": 1}), of({"enum": [1]})),
    "map": (
        of({"type": "object", "additionalProperties": {"type": "integer", "exclusiveMinimum": 0}}),
        of({"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}),
    ),
    "anything": (of(True), of({})),
    "anything with a description": (of({"description": "d"}), of({"description": "d"})),
    "list of anything": (of({"type": "array"}), of({"type": "array"})),
    "null in OpenAPI's words": (
        of({"type": "array", "nullable": True}, properties={"a": {"type": "array", "nullable": True}}),
        of({"type": ["array", "null"]}),
    ),
    "tuple": (
        of({"type": "array", "prefixItems": [STRING, True], "items": False, "maxItems": 5}),
        of({"type": "array", "prefixItems": [STRING, {}], "maxItems": 2}),
    ),
    "recursion": (
        of({"$ref": "#/definitions/A", "description": "d"}, definitions={"A": of({"$ref": "#/definitions/A"})}),
        of({"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]}, **{"$defs": {"A": of({"$ref": "#/$defs/A"})}}),
    ),
    "oneOf of what overlaps": (
        of({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        of({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
    ),
    "forbidden member": (of(True, properties={"a": True, "b": False}), of({})),
}
"""Schemas, and what stands in `parametersJsonSchema`."""
REFUSED: Final[dict[str, tuple[Json, str, str]]] = {
    "not": (of({"not": STRING}), "/properties/a", "not"),
    "pattern of names": (of({"patternProperties": {"^x": STRING}}), "/properties/a", "patternProperties"),
    "different members": (of({"type": "array", "items": STRING, "uniqueItems": True}), "/properties/a", "uniqueItems"),
    "multiples": (of({"type": "number", "multipleOf": 0.5}), "/properties/a", "multipleOf"),
    "condition": (of({"if": STRING, "then": {"minLength": 1}}), "/properties/a", "if"),
    "deep": (
        of(STRING, **{"$defs": {}, "properties": {"a/b": {"items": {"not": {}}}}}),
        "/properties/a~1b/items",
        "not",
    ),
    "no schema": (of(3), "/properties/a", "type"),
    "unknown reference": (of({"type": "array", "items": {"$ref": "other.json"}}), "/properties/a/items", "$ref"),
}
"""Schemas, with the place and the keyword that no words are for."""


def write(schema: Any) -> Declaration:
    """Writes a schema, and checks that the given one stays as it was."""
    return write_parameters(json.dumps(schema))


@pytest.mark.parametrize(("schema", "written"), OPENAPI.values(), ids=OPENAPI)
def test_a_schema_is_written_in_the_words_of_openapi(schema: Json, written: Json) -> None:
    """A schema is written in `parameters` where these can say it."""
    assert write(schema).members == {"parameters": written}


@pytest.mark.parametrize(("schema", "written"), JSON_SCHEMA.values(), ids=JSON_SCHEMA)
def test_a_schema_is_written_as_json_schema(schema: Json, written: Json) -> None:
    """A schema is written in `parametersJsonSchema` where only these can say it."""
    assert write(schema).members == {"parametersJsonSchema": written}


@pytest.mark.parametrize(("schema", "pointer", "keyword"), REFUSED.values(), ids=REFUSED)
def test_a_rule_without_words_is_named(schema: Json, pointer: str, keyword: str) -> None:
    """A rule that neither place has words for is named with its place, and is let go where that is allowed."""
    with pytest.raises(Unsayable) as refused:
        write(schema)

    assert (refused.value.pointer, refused.value.keyword) == (pointer, keyword)
    assert write_loosely(json.dumps(schema)).unsaid


def test_schemas_that_grow_are_refused() -> None:
    """A small schema that would become a huge one is refused, and a tool with it is sent without it."""
    doubled = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
    schema = of({"$ref": "#/$defs/d0"}, **{"$defs": {**doubled, "d30": STRING}})

    with pytest.raises(Unsayable):
        write(schema)
    assert write_loosely(json.dumps(schema)).members.keys() <= {"parameters", "parametersJsonSchema"}


VALUES: Final = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, 3, -1, 0.5, 2.5, "", "a", "ab", "abc"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
LEAVES: Final = st.one_of(
    st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value}, VALUES),
    st.builds(
        lambda kinds: {"type": kinds}, st.lists(st.sampled_from(["string", "integer", "null"]), min_size=1, unique=True)
    ),
    st.builds(
        lambda kind, limits: {"type": kind, **limits},
        st.sampled_from(["integer", "number"]),
        st.dictionaries(
            st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
            st.sampled_from([0, 1, 2, 0.5]),
            max_size=2,
        ),
    ),
    st.builds(
        lambda limits: {"type": "string", **limits},
        st.dictionaries(st.sampled_from(["minLength", "maxLength"]), st.integers(0, 2), max_size=2),
    ),
    st.sampled_from([True, {}, {"type": "boolean"}, {"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}, {"type": "array"}]),
)


def _build_object(properties: Json, required: list[str], extra: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in required if name in properties],
        **extra,
    }


SCHEMAS: Final = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            _build_object,
            st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            st.lists(st.sampled_from("ab"), unique=True),
            st.sampled_from([{}, {}, {"minProperties": 1}, {"additionalProperties": {"type": "string"}}]),
        ),
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 1)),
        st.builds(
            lambda keyword, branches, beside: {**(beside if isinstance(beside, dict) else {}), keyword: branches},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=3),
            inner,
        ),
    ),
    max_leaves=6,
)
DEFINITIONS: Final[Json] = {
    "A": {"type": ["string", "null"], "maxLength": 1},
    "B": of({"$ref": "#/$defs/A"}, required=["a"]),
}


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=SCHEMAS, values=st.lists(VALUES, min_size=5, max_size=20))
def test_a_written_schema_takes_what_the_given_one_takes(schema: Any, values: list[Any]) -> None:
    """What is written takes the values that the given schema takes, and no others.

    Not among these schemas are those whose meaning changes by documented rules: objects that are closed, members that
    must not be given, and rules of one kind of value without `type`.
    """
    given_schema = of(schema, **{"$defs": DEFINITIONS})
    try:
        members = write(given_schema).members
    except Unsayable:
        return
    ((place, written),) = members.items()
    before = Draft202012Validator(given_schema)
    after = Draft202012Validator(_read_openapi(written) if place == "parameters" else written)

    for value in values:
        assert before.is_valid({"a": value}) == after.is_valid({"a": value}), (given_schema, members, value)
    assert before.is_valid({}) == after.is_valid({})


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=SCHEMAS)
def test_litellm_would_keep_what_is_written(schema: Any) -> None:
    """litellm's own conversion of schemas leaves `parameters` as they are, so they are in the form that it aims at."""
    library.import_litellm()
    from litellm.llms.vertex_ai.common_utils import _build_vertex_schema

    try:
        members = write(of(schema, **{"$defs": DEFINITIONS})).members
    except Unsayable:
        return
    if "parameters" in members:
        assert _build_vertex_schema(json.loads(json.dumps(members["parameters"]))) == members["parameters"]


def _read_openapi(schema: Json) -> Json:
    """Returns the JSON Schema of the same meaning."""
    read = dict(schema)
    is_nullable = read.pop("nullable", False)
    if "properties" in read:
        read["properties"] = {name: _read_openapi(each) for name, each in read["properties"].items()}
    if "items" in read:
        read["items"] = _read_openapi(read["items"])
    if "anyOf" in read:
        read["anyOf"] = list(map(_read_openapi, read["anyOf"]))
    return {"anyOf": [read, {"type": "null"}]} if is_nullable else read
