"""Writes the schema of a tool's arguments in the words of Gemini's function declarations.

A declaration has two places for a schema. `parameters` takes a part of OpenAPI's words. All models know it, so it is
used wherever it can say what the schema says. `parametersJsonSchema` takes a part of JSON Schema, with words for maps,
for any value, for enums of numbers, for tuples and for recursion: see `json_schemas`. What neither of them can
say is refused, because Google would leave it out.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from reasoning_grpc.domain import ResponseFormat, Tool
from reasoning_grpc.litellm_model.request.dialects.google.json_schemas import write_json_schema
from reasoning_grpc.litellm_model.request.dialects.schemas.alternatives import (
    Alternative,
    Place,
    Report,
    list_kinds,
)
from reasoning_grpc.litellm_model.request.dialects.schemas.limits import LIMITS, write_bounds
from reasoning_grpc.litellm_model.request.dialects.schemas.reader import AlternativeReader
from reasoning_grpc.litellm_model.request.dialects.schemas.rules import Unsayable

Schema = dict[str, Any]
_MAX_CACHED_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """The members of a function declaration that hold the schema, and what they do not say."""

    members: Schema
    unsaid: tuple[tuple[str, str], ...] = ()
    """The JSON pointer of a schema and a keyword in it, for each rule that was let go."""


def declare_parameters(tool: Tool) -> Declaration:
    """Returns the schema of a tool. Raises Unsayable, but not for a tool whose calls the server checks.

    The members may be shared, so they must not be changed.
    """
    return (write_loosely if tool.is_checked else write_parameters)(tool.parameters_schema)


def write_parameters(text: str) -> Declaration:
    """Returns the schema as members of a declaration. Raises Unsayable for what Gemini has no words for.

    The members may be shared, so they must not be changed.
    """
    return _write_cached(text) if len(text) <= _MAX_CACHED_CHARACTERS else _write(text)


def write_loosely(text: str) -> Declaration:
    """Returns the schema without the rules that cannot be said. It takes all that the schema takes, and more.

    The members may be shared, so they must not be changed.
    """
    return _write_loosely_cached(text) if len(text) <= _MAX_CACHED_CHARACTERS else _write_loosely(text)


def write_answer_schema(response_format: ResponseFormat, *, as_json_schema: bool) -> Schema:
    """Returns the schema of an answer in the words that the model takes: in those of JSON Schema, or of `parameters`.

    A schema that is not strict keeps the rules for which JSON Schema has no words here: Google leaves them out. Raises
    Unsayable.
    """
    description = {"description": response_format.description} if response_format.description else {}
    schema: Schema = description | json.loads(response_format.schema)
    if not as_json_schema:
        return _Writer(schema, _refuse).write_any()
    try:
        return write_json_schema(schema, _refuse)
    except Unsayable:
        if response_format.strict:
            raise
        return schema


@lru_cache(maxsize=256)
def _write_cached(text: str) -> Declaration:
    return _write(text)


@lru_cache(maxsize=256)
def _write_loosely_cached(text: str) -> Declaration:
    return _write_loosely(text)


def _write_loosely(text: str) -> Declaration:
    try:
        return write_parameters(text)
    except Unsayable:
        pass
    schema, unsaid = _read_object(text), list[tuple[str, str]]()
    for name, write in (("parameters", _write_openapi), ("parametersJsonSchema", write_json_schema)):
        try:
            return Declaration({name: write(schema, lambda *rule: unsaid.append(rule))}, tuple(unsaid))
        except Unsayable:
            unsaid.clear()
    return Declaration({"parameters": {"type": "object"}}, (("", "properties"),))


def _write(text: str) -> Declaration:
    schema = _read_object(text)
    try:
        return Declaration({"parameters": _write_openapi(schema, _refuse)})
    except Unsayable as first:
        try:
            return Declaration({"parametersJsonSchema": write_json_schema(schema, _refuse)})
        except Unsayable as second:
            raise second from first


def _write_openapi(schema: Schema, report: Report) -> Schema:
    try:
        return _Writer(schema, report).write_root()
    except RecursionError:
        raise Unsayable("", "properties") from None


def _read_object(text: str) -> Schema:
    schema: Schema = json.loads(text or "{}")
    return {**schema, "type": "object"}


def _refuse(pointer: str, keyword: str) -> None:
    raise Unsayable(pointer, keyword)


class _Writer:
    """Writes one schema in the words of `parameters`."""

    def __init__(self, root: Schema, report: Report) -> None:
        self._root = root
        self._reader = AlternativeReader(root, report)

    def write_root(self) -> Schema:
        """Returns the whole schema, which must be one object. Raises Unsayable."""
        alternatives = self._reader.read((Place(self._root, ""),))
        if len(alternatives) != 1 or alternatives[0].values is not None:
            keyword = next((each for each in ("anyOf", "oneOf", "enum", "const") if each in self._root), "allOf")
            raise Unsayable("", keyword)
        written = self._write_object(alternatives[0])
        if written is None:
            raise Unsayable("", "required")
        return written | _write_notes(alternatives[0])

    def write_any(self) -> Schema:
        """Returns the whole schema, whatever values it takes. Raises Unsayable."""
        written = self._write((Place(self._root, ""),))
        if written is None:
            raise Unsayable("", "not")
        return written

    def _write(self, places: tuple[Place, ...]) -> Schema | None:
        """Returns a schema that says what all these schemas say; None where no value fits them."""
        branches: list[Schema] = []
        is_nullable = False
        for alternative in self._reader.read(places):
            if alternative.kinds is None and alternative.values is None:
                raise Unsayable(alternative.pointer, "type")
            for kind, rules in list_kinds(alternative):
                is_nullable = is_nullable or kind == "null"
                branches += [each for each in self._write_kind(kind, rules) if each not in branches]
        if not branches and is_nullable:
            raise Unsayable(places[0].pointer, "type")
        if is_nullable:
            branches = [{**each, "nullable": True} for each in branches]
        if len(branches) > 1:
            return {"anyOf": branches}  # Google takes nothing beside it, so each branch has the description
        return branches[0] if branches else None

    def _write_kind(self, kind: str, rules: Alternative) -> Iterator[Schema]:
        notes = _write_notes(rules)
        match kind:
            case "string":
                for written in _write_string(rules):
                    yield written | notes
            case "boolean" if rules.values is None or len(set(rules.values)) > 1:
                yield {"type": "boolean"} | notes
            case "null":
                return
            case _ if rules.values is not None:
                raise Unsayable(rules.pointer, "enum")
            case "integer" | "number":
                yield {"type": kind} | write_bounds(rules.limits, kind, rules.pointer) | notes
            case "array":
                yield self._write_array(rules) | notes
            case _:
                written_object = self._write_object(rules)
                if written_object is not None:
                    yield written_object | notes

    def _write_array(self, rules: Alternative) -> Schema:
        items = self._write(rules.items) if rules.items else None
        if items is None:
            raise Unsayable(rules.pointer, "items")
        return {"type": "array", "items": items} | _select_limits(rules, "array")

    def _write_object(self, rules: Alternative) -> Schema | None:
        properties: Schema = {}
        for name, places in rules.properties.items():
            is_forbidden = rules.allowed is not None and name not in rules.allowed
            written = None if is_forbidden else self._write(places)
            if written is not None:
                properties[name] = written
            elif name in rules.required:
                return None
            elif not is_forbidden and all(place.schema is not False for place in places):
                raise Unsayable(places[0].pointer, "not")  # nothing fits it, and there is no word for that
        if not properties.keys() >= set(rules.required):
            raise Unsayable(rules.pointer, "required")  # Google takes only names of properties
        schema: Schema = {"type": "object"} | ({"properties": properties} if properties else {})
        return schema | ({"required": list(rules.required)} if rules.required else {}) | _select_limits(rules, "object")


def _write_notes(rules: Alternative) -> Schema:
    notes = {
        name: note
        for name, note in rules.notes.items()
        if name == "default" or isinstance(note, str) or (name == "nullable" and note is True)
    }
    examples = rules.notes.get("examples")
    return notes | ({"example": examples[0]} if isinstance(examples, list) and examples else {})


def _write_string(rules: Alternative) -> Iterator[Schema]:
    limits = _select_limits(rules, "string") | ({"pattern": rules.pattern} if rules.pattern else {})
    if rules.values is None:
        yield {"type": "string"} | limits
        return
    if values := [each for each in rules.values if each]:
        yield {"type": "string", "enum": values} | limits
    if "" in rules.values and not limits.get("minLength"):
        yield {"type": "string", **limits, "maxLength": 0}  # an enum must not have an empty text


def _select_limits(rules: Alternative, kind: str) -> Schema:
    return {keyword: limit for keyword, limit in rules.limits.items() if LIMITS[keyword] == kind}
