"""The JSON schema of an answer, as Anthropic's structured outputs take it.

Source: Anthropic's documentation of structured outputs, "JSON Schema limitations". Constraints that the provider does
not enforce are described to the model, as Anthropic's own SDK does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reasoning_grpc.litellm_model.request.dialects.schemas.rules import add_step

Schema = Mapping[str, Any]

_NOT_ENFORCED: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"}
    | {"maxItems", "contains", "minContains", "maxContains", "prefixItems", "additionalItems"}
    | {"minProperties", "maxProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies"}
    | {"if", "then", "else", "not"}
)
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_HARD_PATTERN: Final = re.compile(r"\(\?[=!<]|\\[bB1-9]")
"""Lookarounds, word boundaries and backreferences, which the provider's patterns do not have."""
_LOCAL_REFERENCE: Final = re.compile(r"#/(?:\$defs|definitions)/[^/]+")
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "deprecated", "allOf"})


def find_schema_problem(schema: Schema) -> str:
    """Returns the place in a schema for which the provider cannot write answers, and why; empty if there is none."""
    problems = (f"{place}: {problem}" for place, each in _walk_places(schema, "#") for problem in _find_problems(each))
    return next(problems, "") or find_recursion(schema)


def list_described(schema: Schema) -> list[str]:
    """Returns the keywords of a schema that the provider does not enforce."""
    found = {keyword for each in _walk(schema) for keyword, value in each.items() if _is_only_described(keyword, value)}
    return sorted(found | {"oneOf" for each in _walk(schema) if "oneOf" in each})


def write_output_schema(schema: Any) -> Any:
    """Returns the schema as the provider takes it: objects closed, and what it does not enforce in descriptions."""
    if not isinstance(schema, Mapping):
        return schema
    written: dict[str, Any] = {}
    notes: list[str] = []
    for keyword, value in schema.items():
        if _is_only_described(keyword, value):
            notes.append(f"{keyword}: {json.dumps(value)}")
        elif keyword in {"properties", "$defs", "definitions"} and isinstance(value, Mapping):
            written[keyword] = {name: write_output_schema(each) for name, each in value.items()}
        elif keyword in {"anyOf", "oneOf"} and isinstance(value, list):
            written["anyOf"] = [write_output_schema(each) for each in value]
        elif keyword == "allOf" and isinstance(value, list):
            written = write_output_schema(value[0]) | written
        else:
            written[keyword] = write_output_schema(value) if keyword == "items" else value
    if notes:
        written["description"] = " ".join(filter(None, (written.get("description"), f"({'; '.join(notes)})")))
    if _is_object(written):
        written["additionalProperties"] = False
    return written


def _find_problems(schema: Schema) -> Iterator[str]:
    """Yields why the provider does not take a schema, apart from the schemas within it."""
    if _is_object(schema) and _may_hold_more(schema):
        yield (
            "The model writes only objects whose properties are all listed. "
            "List them, or make additionalProperties false."
        )
    if "anyOf" in schema and "oneOf" in schema:
        yield "The model does not take anyOf and oneOf in one schema."
    if "allOf" in schema and (len(_list_schemas(schema, "allOf")) != 1 or schema.keys() - _ANNOTATIONS):
        yield "The model takes allOf only around a single schema."
    values = [*_list_schemas(schema, "enum"), schema.get("const")]
    if any(isinstance(value, Mapping | list) for value in values):
        yield "The model takes only plain values in enum and const."
    if "$ref" in schema and not _LOCAL_REFERENCE.fullmatch(str(schema["$ref"])):
        yield "The model takes only references to $defs."


def _may_hold_more(schema: Schema) -> bool:
    """Whether an object may have properties that are not listed, and is meant to have them."""
    if "additionalProperties" in schema or "unevaluatedProperties" in schema:
        closed = schema.get("additionalProperties", schema.get("unevaluatedProperties")) is False
        return not closed or "patternProperties" in schema
    return "patternProperties" in schema or not schema.get("properties")


def find_recursion(schema: Schema) -> str:
    """Returns the problem of a schema that refers to itself; empty if it does not."""
    left = {
        f"#/{keyword}/{name}": {str(each["$ref"]) for each in _walk(value) if "$ref" in each}
        for keyword in ("$defs", "definitions")
        for name, value in _get_named(schema, keyword).items()
    }
    while left:
        ended = [name for name, references in left.items() if not references & left.keys()]
        if not ended:
            return "The model does not take schemas that refer to themselves."
        for name in ended:
            del left[name]
    return ""


def _walk(schema: Any) -> Iterator[Schema]:
    """Yields a schema and the schemas within it that the provider enforces."""
    return (each for _, each in _walk_places(schema, "#"))


def _walk_places(schema: Any, place: str) -> Iterator[tuple[str, Schema]]:
    """Yields a schema and the schemas within it that the provider enforces, each behind its JSON pointer."""
    if not isinstance(schema, Mapping):
        return
    yield place, schema
    for keyword in ("properties", "$defs", "definitions"):
        for name, each in _get_named(schema, keyword).items():
            yield from _walk_places(each, add_step(f"{place}/{keyword}", name))
    for keyword in ("anyOf", "oneOf", "allOf"):
        for index, each in enumerate(_list_schemas(schema, keyword)):
            yield from _walk_places(each, f"{place}/{keyword}/{index}")
    yield from _walk_places(schema.get("items"), f"{place}/items")


def _get_named(schema: Schema, keyword: str) -> Schema:
    value = schema.get(keyword)
    return value if isinstance(value, Mapping) else {}


def _list_schemas(schema: Schema, keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def _is_object(schema: Schema) -> bool:
    kind = schema.get("type", "object" if "properties" in schema else None)
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_only_described(keyword: str, value: Any) -> bool:
    match keyword:
        case "minItems":
            return value not in (0, 1)
        case "uniqueItems" | "unevaluatedItems":
            return value is not False
        case "items":
            return isinstance(value, list)
        case "format":
            return value not in _FORMATS
        case "pattern":
            return bool(_HARD_PATTERN.search(str(value)))
        case _:
            return keyword in _NOT_ENFORCED
