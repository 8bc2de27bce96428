"""Forms that a JSON schema can have, as strangers write them."""

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]


def _object(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties}


CLOSED: Final[Schema] = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
"""The form that every provider's strict mode takes."""

FORMS: Final[Mapping[str, Schema]] = {
    "closed": CLOSED,
    "open": _object(a={"type": "string"}, b={"type": "integer"}) | {"required": ["a"]},
    "described": _object(a={"type": "string", "description": "the place", "title": "A"}) | {"description": "all"},
    "default-and-examples": _object(a={"type": "string", "default": "x", "examples": ["y"]}),
    "format": _object(a={"type": "string", "format": "date-time"}, b={"type": "string", "format": "email"}),
    "no-properties": {"type": "object"},
    "empty-properties": {"type": "object", "properties": {}},
    "nothing": {},
    "without-a-type": {"properties": {"a": {"type": "string"}}, "required": ["a"]},
    "map-of-integers": _object(m={"type": "object", "additionalProperties": {"type": "integer"}}),
    "map-at-the-root": {"type": "object", "additionalProperties": {"type": "string"}},
    "open-map": _object(m={"type": "object", "additionalProperties": True}),
    "closed-inside": _object(
        m={"type": "object", "properties": {"x": {"type": "number"}}, "additionalProperties": False}
    ),
    "enum": _object(a={"type": "string", "enum": ["C", "F"]}),
    "enum-without-a-type": _object(a={"enum": ["C", "F"]}),
    "enum-of-integers": _object(a={"type": "integer", "enum": [1, 2, 3]}),
    "enum-of-integers-without-a-type": _object(a={"enum": [1, 2, 3]}),
    "enum-of-numbers": _object(a={"type": "number", "enum": [0.5, 1.5]}),
    "enum-of-all-kinds": _object(a={"enum": ["C", 1, None, True]}),
    "enum-with-null": _object(a={"type": ["string", "null"], "enum": ["C", None]}),
    "const": _object(kind={"const": "city"}),
    "const-of-integer": _object(version={"type": "integer", "const": 2}),
    "const-of-boolean": _object(yes={"const": True}),
    "one-of": _object(a={"oneOf": [{"type": "string"}, {"type": "integer"}]}),
    "one-of-that-overlaps": _object(
        a={"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 10}]}
    ),
    "one-of-objects": _object(
        a={
            "oneOf": [
                _object(kind={"const": "x"}, v={"type": "string"}) | {"required": ["kind"]},
                _object(kind={"const": "y"}, v={"type": "integer"}) | {"required": ["kind"]},
            ]
        }
    ),
    "any-of": _object(a={"anyOf": [{"type": "string", "minLength": 2}, {"type": "integer"}]}),
    "any-of-beside-properties": _object(a={"type": "string"}, b={"type": "string"})
    | {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "all-of": _object(a={"allOf": [{"type": "string"}, {"minLength": 2}]}),
    "all-of-with-a-reference": {
        **_object(a={"allOf": [{"$ref": "#/$defs/place"}], "description": "where"}),
        "$defs": {"place": _object(city={"type": "string"}) | {"required": ["city"]}},
    },
    "reference": {
        **_object(a={"$ref": "#/$defs/place"}, b={"$ref": "#/$defs/place"}),
        "$defs": {"place": _object(city={"type": "string"}) | {"required": ["city"]}},
    },
    "reference-to-definitions": {
        **_object(a={"$ref": "#/definitions/place"}),
        "definitions": {"place": {"type": "string", "enum": ["C", "F"]}},
    },
    "reference-with-a-description": {
        **_object(a={"$ref": "#/$defs/place", "description": "where"}),
        "$defs": {"place": {"type": "string"}},
    },
    "reference-through-a-reference": {
        **_object(a={"$ref": "#/$defs/one"}),
        "$defs": {"one": _object(x={"$ref": "#/$defs/two"}), "two": {"type": "integer"}},
    },
    "exclusive-limits": _object(a={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
    "exclusive-limits-of-integers": _object(a={"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9}),
    "limits": _object(a={"type": "integer", "minimum": 1, "maximum": 5}),
    "limits-of-zero": _object(a={"type": "integer", "minimum": 0}, b={"type": "array", "items": {}, "maxItems": 0}),
    "multiple-of": _object(a={"type": "integer", "multipleOf": 5}),
    "lengths": _object(a={"type": "string", "minLength": 2, "maxLength": 5}),
    "pattern": _object(a={"type": "string", "pattern": "^[a-z]+-[0-9]+$"}),
    "nullable": _object(a={"type": ["string", "null"]}),
    "nullable-with-limits": _object(a={"type": ["string", "null"], "minLength": 2}),
    "nullable-by-any-of": _object(a={"anyOf": [{"type": "string"}, {"type": "null"}]}),
    "types": _object(a={"type": ["string", "integer"]}),
    "null": _object(a={"type": "null"}),
    "array": _object(a={"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3}),
    "array-without-items": _object(a={"type": "array"}),
    "unique-items": _object(a={"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
    "tuple": _object(a={"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}),
    "nested": _object(
        a={
            "type": "array",
            "items": _object(b=_object(c={"type": "array", "items": {"type": "string", "enum": ["C"]}}))
            | {"required": ["b"]},
        }
    ),
    "property-true": _object(a=True),
    "property-of-anything": _object(a={}),
    "property-false": _object(a=False, b={"type": "string"}),
    "not": _object(a={"type": "string", "not": {"enum": ["C"]}}),
    "dependent": _object(a={"type": "string"}, b={"type": "string"}) | {"dependentRequired": {"a": ["b"]}},
    "pattern-properties": {"type": "object", "patternProperties": {"^x-": {"type": "string"}}},
    "property-names": {"type": "object", "propertyNames": {"maxLength": 3}, "additionalProperties": True},
    "count-of-properties": _object(m={"type": "object", "additionalProperties": True, "minProperties": 1}),
    "named-like-keywords": _object(
        type={"type": "string"}, properties={"type": "integer"}, title={"type": "string"}, enum={"type": "boolean"}
    )
    | {"required": ["type"]},
    "draft": {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "urn:x", **_object(a={"type": "string"})},
    "comment": _object(a={"type": "string", "$comment": "for people"}),
    "odd-names": _object(**{"a b": {"type": "string"}, "ä": {"type": "string"}, "x.y": {"type": "string"}}),
}
"""Schemas by names."""

STRICT_FORMS: Final[Mapping[str, Schema]] = {
    name: {**FORMS[name], "required": list(FORMS[name].get("properties", {})), "additionalProperties": False}
    for name in (
        "closed",
        "enum",
        "enum-of-integers",
        "const",
        "any-of",
        "reference",
        "pattern",
        "limits",
        "nullable",
        "map-of-integers",
        "one-of",
        "all-of",
        "array",
    )
}
"""Forms as strict modes want them at the root."""
