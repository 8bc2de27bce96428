"""Prepares the schema of a tool's arguments for the dialect of a provider.

Schemas come from callers and MCP servers, and providers take less than JSON Schema allows. What is written differently
here has the same meaning: the arguments of a tool are an object, `true` is `{}`, and an array without `items` may hold
anything. Each preparation returns a new schema, because litellm edits the schemas that it gets.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Schema = dict[str, Any]
_Preparation = Callable[[Schema], Schema]
"""Prepares one schema; the schemas within it are prepared already."""

_ONE: Final = frozenset(
    {"items", "additionalItems", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
"""Keywords whose value is a schema."""
_SEVERAL: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems", "items"})
"""Keywords whose value is a list of schemas."""
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose value has schemas by names."""
_MAY_BE_BOOLEAN: Final = frozenset({"additionalProperties", "unevaluatedProperties", "unevaluatedItems"})
"""Keywords for which providers expect a boolean."""
_NEVER: Final[Schema] = {"not": {}}


def prepare_parameters(schema: Mapping[str, Any], provider: str) -> Schema:
    """Returns the schema of a tool's arguments as the provider takes it."""
    prepared = _prepare({**schema, "type": "object"}, _OF_PROVIDER.get(provider, _OF_ALL))
    if not isinstance(prepared.get("properties"), dict):
        prepared["properties"] = {}
    return prepared


def _prepare(schema: Mapping[str, Any], preparations: tuple[_Preparation, ...]) -> Schema:
    prepared = dict(_prepare_members(schema, preparations))
    for preparation in preparations:
        prepared = preparation(prepared)
    return prepared


def _prepare_members(schema: Mapping[str, Any], preparations: tuple[_Preparation, ...]) -> Iterator[tuple[str, Any]]:
    """Yields the members of a schema, with the schemas in them prepared."""
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, dict):
            yield keyword, {name: _prepare_any(each, preparations) for name, each in value.items()}
        elif keyword in _SEVERAL and isinstance(value, list):
            yield keyword, [_prepare_any(each, preparations) for each in value]
        elif keyword in _ONE and not (keyword in _MAY_BE_BOOLEAN and isinstance(value, bool)):
            yield keyword, _prepare_any(value, preparations)
        else:
            yield keyword, _copy(value)


def _prepare_any(value: Any, preparations: tuple[_Preparation, ...]) -> Any:
    """Prepares what stands in the place of a schema; what is no schema is for the provider to refuse."""
    if isinstance(value, bool):
        return {} if value else _copy(_NEVER)
    return _prepare(value, preparations) if isinstance(value, dict) else _copy(value)


def _copy(value: Any) -> Any:
    """Copies JSON data."""
    match value:
        case dict():
            return {name: _copy(each) for name, each in value.items()}
        case list():
            return [_copy(each) for each in value]
        case _:
            return value


def _add_items(schema: Schema) -> Schema:
    """Gives an array without `items` an empty schema for them: OpenAI and Gemini refuse the tool without it."""
    kind = schema.get("type")
    is_array = kind == "array" or (isinstance(kind, list) and "array" in kind)
    return schema if not is_array or "items" in schema else {**schema, "items": {}}


def _drop_forbidden_properties(schema: Schema) -> Schema:
    """Leaves out properties that must not be given, because Gemini's dialect has no word for `not`."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    return {**schema, "properties": {name: each for name, each in properties.items() if each != _NEVER}}


def _separate_null(schema: Schema) -> Schema:
    """Writes null, as a value, as a type: litellm leaves it out of every list on the way to Bedrock."""
    if "const" in schema and schema["const"] is None:
        schema = {**schema, "enum": [None]}
        del schema["const"]
    values = schema.get("enum")
    if not isinstance(values, list) or None not in values:
        return schema
    rest = {keyword: each for keyword, each in schema.items() if keyword != "enum"}
    others = [value for value in values if value is not None]
    choice = [{"enum": others}, {"type": "null"}] if others else [{"type": "null"}]
    return (
        {**rest, "allOf": [*rest.get("allOf", ()), {"anyOf": choice}]} if "anyOf" in rest else {**rest, "anyOf": choice}
    )


_OF_ALL: Final[tuple[_Preparation, ...]] = (_add_items,)
_OF_GEMINI: Final[tuple[_Preparation, ...]] = (_add_items, _drop_forbidden_properties)
_OF_PROVIDER: Final[Mapping[str, tuple[_Preparation, ...]]] = {
    "bedrock": (_add_items, _separate_null),
    "vertex_ai": _OF_GEMINI,
    "vertex_ai_beta": _OF_GEMINI,
}
"""The preparations for each provider; `_OF_ALL` for those that are not listed."""
