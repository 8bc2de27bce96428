"""Reads a schema of Google's dialect, a subset of OpenAPI 3.0, as JSON Schema."""

from typing import Any, Final

from tests.support.wire_meaning.meaning import Json, UnreadableBody

_SCHEMA: Final = ("items", "additionalProperties")
_SCHEMAS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED: Final = ("properties", "$defs", "defs")
_OF_JSON_SCHEMA: Final = frozenset(
    {"type", "format", "title", "description", "default", "enum", "required", "minimum", "maximum", "pattern"}
    | {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties", "$ref", "const"}
    | {"exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems"}
)
"""Keywords that mean what they mean in JSON Schema, if the server takes them."""
_NUMBERS: Final = {"integer": int, "number": float}


def read_openapi_schema(schema: Any) -> Any:
    """Returns the JSON Schema of the same meaning. Raises UnreadableBody for keywords that Google does not have."""
    if isinstance(schema, bool):
        raise UnreadableBody("a boolean in the place of a schema")
    read: Json = {}
    rest = dict(schema)
    is_nullable = rest.pop("nullable", False)
    rest.pop("propertyOrdering", None)
    if "example" in rest:
        read["examples"] = [rest.pop("example")]
    for keyword, value in rest.items():
        if keyword in _SCHEMA:
            read[keyword] = value if isinstance(value, bool) else read_openapi_schema(value)
        elif keyword in _SCHEMAS:
            read[keyword] = [read_openapi_schema(each) for each in value]
        elif keyword in _NAMED:
            read[keyword] = {name: read_openapi_schema(each) for name, each in value.items()}
        elif keyword in _OF_JSON_SCHEMA:
            read[keyword] = value
        else:
            raise UnreadableBody(f"the keyword {keyword} in a schema of Google's dialect")
    if isinstance(read.get("type"), str):
        read["type"] = read["type"].lower()
    if (number := _NUMBERS.get(str(read.get("type")))) and "enum" in read:
        # Members of an enum are written as strings, of whatever type.
        read["enum"] = [number(each) if isinstance(each, str) else each for each in read["enum"]]
    if not is_nullable:
        return read
    return {"anyOf": [read, {"type": "null"}]}
