"""Prepares the agent's tools for the tool calls of providers.

Several providers refuse a schema that is more at its top level than a plain object, such as one with `anyOf`. There the
alternatives are joined to one object, which takes all that the schema takes and more. The toolbox checks the arguments
of each call against the whole schema, and the description of the tool says what is missing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

from reasoning_grpc.domain import Tool, ToolInfo

Schema = Mapping[str, Any]
_BEYOND_PLAIN_OBJECTS: Final = frozenset(
    {"$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "enum", "const", "dependentSchemas"}
    | {"dependentRequired", "dependencies", "patternProperties", "propertyNames", "minProperties", "maxProperties"}
    | {"unevaluatedProperties"}
)
"""Keywords that some providers refuse, or do not get, at the top level of a tool's schema."""
_MAX_DEPTH: Final = 16
_MAX_SCHEMAS: Final = 1000
"""The most schemas that are read for one tool: references may lead to one schema many times."""
_MAX_RULE_CHARACTERS: Final = 1000
_RULE: Final = "The arguments must also be valid by this JSON Schema:"


@dataclass(frozen=True, slots=True)
class _Members:
    """The members that an object may have, and those that it must have."""

    properties: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


def prepare_native_tools(tools: Iterable[ToolInfo]) -> tuple[Tool, ...]:
    """Returns the tools with schemas that are plain objects at their top level."""
    return tuple(map(_prepare, tools))


def _prepare(tool: ToolInfo) -> Tool:
    schema, rule = _flatten(tool.parameters_schema or "{}")
    return Tool(tool.name, f"{tool.description}\n{rule}".strip(), schema, is_checked=True)


@lru_cache(maxsize=1024)
def _flatten(text: str) -> tuple[str, str]:
    """Returns the schema as a plain object, and a sentence with the rules that it lacks."""
    schema = json.loads(text)
    lost = {keyword: value for keyword, value in schema.items() if keyword in _BEYOND_PLAIN_OBJECTS}
    if not lost:
        return text, ""
    members = _Reader(schema).read(schema)
    own = {keyword: value for keyword, value in schema.items() if keyword not in lost}
    is_closed = schema.get("additionalProperties") is False
    properties = schema.get("properties", {}) if is_closed else members.properties
    flat = {**own, "type": "object", "properties": properties}
    flat |= {"required": sorted(members.required)} if members.required else {}
    lost.pop("$ref", None)  # the definition to which it leads has been read
    rule = f"{_RULE} {json.dumps(lost)}" if lost else ""
    return json.dumps(_drop_dead_references(flat, flat)), rule if len(rule) <= _MAX_RULE_CHARACTERS else ""


class _Reader:
    """Reads the members that a schema gives an object, in all its alternatives."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = _MAX_SCHEMAS

    def read(self, schema: Any, depth: int = 0) -> _Members:
        """Returns the members of what the schema takes. What is nested too deep, or is no schema, has none."""
        self._left -= 1
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self._left < 0:
            return _Members()
        members = _Members(_read_object(schema, "properties"), _read_names(schema))
        for also in self._read_conditions(schema, depth + 1):
            members = _require_both(members, also)
        return members

    def _read_conditions(self, schema: Schema, depth: int) -> Iterator[_Members]:
        """Yields the members by keywords that apply further schemas to the same object."""
        if isinstance(schema.get("$ref"), str):
            yield self.read(_resolve(self._root, schema["$ref"]), depth)
        for each in _read_list(schema, "allOf"):
            yield self.read(each, depth)
        for keyword in ("anyOf", "oneOf"):
            alternatives = [self.read(each, depth) for each in _read_list(schema, keyword) if each is not False]
            if alternatives:
                yield _allow_either(alternatives)
        optional = [schema[keyword] for keyword in ("if", "then", "else") if keyword in schema]
        optional += _read_object(schema, "dependentSchemas").values()
        for each in optional:
            yield _Members(self.read(each, depth).properties)


def _require_both(first: _Members, second: _Members) -> _Members:
    """Joins members that both hold. Of two schemas for one property the first is kept, unless it says nothing."""
    said = {name: each for name, each in first.properties.items() if each not in ({}, True)}
    return _Members({**first.properties, **second.properties, **said}, first.required | second.required)


def _allow_either(alternatives: list[_Members]) -> _Members:
    """Joins members of which one alternative holds."""
    properties: dict[str, list[Any]] = {}
    for each in alternatives:
        for name, schema in each.properties.items():
            known = properties.setdefault(name, [])
            if schema not in known:
                known.append(schema)
    joined = {name: each[0] if len(each) == 1 else {"anyOf": each} for name, each in properties.items()}
    return _Members(joined, frozenset.intersection(*(each.required for each in alternatives)))


def _resolve(root: Any, reference: str) -> Any:
    """Returns the part of the schema to which a reference within it leads; None when there is none."""
    start, *names = unquote(reference).split("/")
    place = root if start == "#" else None
    for name in (each.replace("~1", "/").replace("~0", "~") for each in names):
        match place:
            case dict():
                place = place.get(name)
            case list() if name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            case _:
                return None
    return place


def _drop_dead_references(value: Any, root: Schema) -> Any:
    """Replaces references to parts that are gone by a schema that takes everything."""
    match value:
        case {"$ref": str(reference)} if reference.startswith("#") and _resolve(root, reference) is None:
            return {}
        case dict():
            return {name: _drop_dead_references(each, root) for name, each in value.items()}
        case list():
            return [_drop_dead_references(each, root) for each in value]
        case _:
            return value


def _read_object(schema: Schema, keyword: str) -> Mapping[str, Any]:
    value = schema.get(keyword)
    return value if isinstance(value, dict) else {}


def _read_list(schema: Schema, keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def _read_names(schema: Schema) -> frozenset[str]:
    return frozenset(name for name in _read_list(schema, "required") if isinstance(name, str))
