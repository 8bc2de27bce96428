"""Writes the schema of a tool's arguments as the JSON Schema that `parametersJsonSchema` of Gemini takes."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reasoning_grpc.litellm_model.request.dialects.schemas.alternatives import Report
from reasoning_grpc.litellm_model.request.dialects.schemas.limits import read_limits, write_bounds
from reasoning_grpc.litellm_model.request.dialects.schemas.rules import Unsayable, add_step, find_other_rules

Schema = dict[str, Any]
KEYWORDS: Final = frozenset(
    {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"}
    | {"minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"}
    | {"required", "propertyOrdering"}
)
"""The keywords that are taken. Source: Google's reference of the API, `GenerationConfig.responseJsonSchema`."""
_NOTES: Final = frozenset({"default", "examples"})
"""Keywords that refuse nothing, so that it does not matter whether they are read."""
_EXCLUSIVE: Final = frozenset({"exclusiveMinimum", "exclusiveMaximum"})
_OLD_PLACE, _PLACE = "#/definitions/", "#/$defs/"


def write_json_schema(schema: Mapping[str, Any], report: Report) -> Schema:
    """Returns the schema in the keywords that are taken.

    `report` is called with pointer and keyword of each rule that cannot be said. It raises, or lets the rule go.
    Raises Unsayable for what is no schema.
    """
    try:
        return _write(schema, "", report)
    except RecursionError:
        raise Unsayable("", "properties") from None


def _write(schema: Any, pointer: str, report: Report) -> Schema:
    if schema is True:
        return {}
    if schema is False:
        report(pointer, "not")
        return {}
    if not isinstance(schema, dict):
        raise Unsayable(pointer, "type")
    for keyword in find_other_rules(schema, KEYWORDS | _EXCLUSIVE | {"const"}):
        report(pointer, keyword)
    written = dict(_write_members(schema, pointer, report)) | _write_limits(schema, pointer, report)
    if schema.get("nullable") is True and isinstance(written.get("type"), str):  # as OpenAPI writes it
        written["type"] = [written["type"], "null"]
    return _set_reference_apart(written, pointer, report) if "$ref" in written else written


def _set_reference_apart(written: Schema, pointer: str, report: Report) -> Schema:
    """Puts what stands beside a reference beside an `anyOf` with it, because a reference must stand alone."""
    others = {keyword: value for keyword, value in written.items() if not keyword.startswith("$")}
    reference = {keyword: value for keyword, value in written.items() if keyword.startswith("$")}
    if not others:
        return reference
    if "anyOf" in others:
        report(pointer, "$ref")
    return {**others, "anyOf": [reference]}


def _write_members(schema: Schema, pointer: str, report: Report) -> Iterator[tuple[str, Any]]:
    for keyword, value in schema.items():
        place = f"{pointer}/{keyword}"
        match keyword, value:
            case "const", _:
                yield "enum", [value]
            case "$ref", str() if value.startswith(_OLD_PLACE):
                yield keyword, _PLACE + value.removeprefix(_OLD_PLACE)
            case "$ref", _ if not isinstance(value, str) or not value.startswith("#"):
                report(pointer, keyword)
            case "properties" | "$defs" | "definitions", dict():
                name = "$defs" if keyword == "definitions" else keyword
                # A property that must not be given is left out: the model gives only those that it knows.
                kept = {each: within for each, within in value.items() if within is not False}
                yield name, {each: _write(within, add_step(place, each), report) for each, within in kept.items()}
            case "anyOf" | "oneOf" | "prefixItems", list():
                yield keyword, [_write(within, f"{place}/{index}", report) for index, within in enumerate(value)]
            case "additionalProperties", bool():
                yield keyword, value
            case "items", False:
                pass  # see `_write_limits`
            case "items" | "additionalProperties", _:
                yield keyword, _write(value, place, report)
            case "properties" | "$defs" | "definitions" | "anyOf" | "oneOf" | "prefixItems", _:
                raise Unsayable(pointer, keyword)
            case _ if keyword in KEYWORDS | _NOTES:
                yield keyword, value
            case _:
                pass  # it refuses nothing, or has been reported


def _write_limits(schema: Schema, pointer: str, report: Report) -> Schema:
    """Returns the limits that are written otherwise: those of numbers without exclusive ones, and of tuples."""
    limits: Schema = {}
    if exclusive := sorted(schema.keys() & _EXCLUSIVE):
        if schema.get("type") in {"integer", "number"}:
            limits |= write_bounds(read_limits(schema, pointer), schema["type"], pointer)
        else:
            report(pointer, exclusive[0])
    if schema.get("items") is False:
        length = len(schema.get("prefixItems", []))
        limits["maxItems"] = min(length, schema.get("maxItems", length))
    return limits
