"""`find_schema_problems`: the parts of a JSON schema to which the embedded model's answers are not held.

llama.cpp converts a schema to a grammar, and leaves out what it cannot convert. This module reads a schema in the order
in which llama.cpp does (`common_chat_schema` of xllamacpp 2026.10), and reports each keyword that is then lost. What is
not in its tables is not held.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reasoning_grpc.embedded.alternatives import are_disjoint
from reasoning_grpc.embedded.references import References
from reasoning_grpc.embedded.scalar_schemas import check_counts, check_integer, check_string, is_count
from reasoning_grpc.embedded.schema_problems import NO_SCHEMA, NOT_CHECKED, Schema, SchemaProblem, extend_place

_ANNOTATIONS: Final = frozenset(
    {"$schema", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated"}
    | {"readOnly", "writeOnly", "discriminator"}
)
"""Keywords that say nothing about the values."""
_OBJECTS: Final = frozenset({"object"})
_ARRAYS: Final = frozenset({"array"})
_STRINGS: Final = frozenset({"string"})
_NUMBERS: Final = frozenset({"number", "integer"})
_TYPES_OF_KEYWORD: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("properties", "required", "additionalProperties", "patternProperties", "propertyNames"), _OBJECTS),
    **dict.fromkeys(("minProperties", "maxProperties", "dependentRequired", "dependentSchemas"), _OBJECTS),
    **dict.fromkeys(("dependencies", "unevaluatedProperties"), _OBJECTS),
    **dict.fromkeys(("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"), _ARRAYS),
    **dict.fromkeys(("contains", "minContains", "maxContains", "unevaluatedItems"), _ARRAYS),
    **dict.fromkeys(("pattern", "format", "minLength", "maxLength"), _STRINGS),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _NUMBERS),
}
"""The types of values about which a keyword says something. Of other values it says nothing, so it is held."""
_HELD: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"pattern", "format", "minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""The keywords to which a value of a type is held, some of them only with certain values."""
_MAX_EXACT: Final = 2**53
"""llama.cpp writes larger numbers of an `enum` as floating-point numbers."""
_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "string": str,
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}


def find_schema_problems(text: str) -> Iterator[SchemaProblem]:
    """Yields the problems of a schema, which is given as JSON text."""
    yield from _SchemaReader(json.loads(text)).check_all()


class _SchemaReader:
    """Reads one schema, and each definition in it once."""

    def __init__(self, root: Any) -> None:
        self._references = References(root)
        self._waiting: deque[tuple[Any, str]] = deque([(root, "#")])
        """The schemas to check, with their places: the whole one, and those to which references lead."""

    def check_all(self) -> Iterator[SchemaProblem]:
        """Yields the problems of the whole schema."""
        while self._waiting:
            yield from self.check(*self._waiting.popleft())

    def check(self, schema: Any, place: str) -> Iterator[SchemaProblem]:
        """Yields the problems of the schema at a place, and of those within it."""
        if not isinstance(schema, dict):
            yield SchemaProblem(place, "", NO_SCHEMA, is_unusable=True)
        elif "$ref" in schema:
            yield from _check_siblings(schema, place, "$ref")
            yield from self._check_reference(schema["$ref"], place)
        elif "oneOf" in schema or "anyOf" in schema:
            keyword = "oneOf" if "oneOf" in schema else "anyOf"
            yield from _check_siblings(schema, place, keyword)
            yield from self._check_alternatives(schema[keyword], place, keyword)
        elif isinstance(schema.get("type"), list):
            if not schema["type"]:
                yield SchemaProblem(place, "type", "It has no types.", is_unusable=True)
            problems = [problem for kind in schema["type"] for problem in self._check_typed(schema, kind, place)]
            yield from dict.fromkeys(problems)  # a keyword may be a problem for each of the types
        else:
            yield from self._check_typed(schema, schema.get("type"), place)

    def _check_reference(self, reference: Any, place: str) -> Iterator[SchemaProblem]:
        if problem := self._references.find_problem(reference):
            yield SchemaProblem(place, "$ref", problem, is_unusable=True)
        elif not self._references.is_known(reference):
            if problem := self._references.add(reference):
                yield SchemaProblem(place, "$ref", problem)
            self._waiting.append((self._references.resolve(reference), reference))

    def _check_alternatives(self, alternatives: Any, place: str, keyword: str) -> Iterator[SchemaProblem]:
        if not isinstance(alternatives, list) or not alternatives:
            yield SchemaProblem(place, keyword, "It must be a list of schemas that is not empty.", is_unusable=True)
            return
        for index, each in enumerate(alternatives):
            yield from self.check(each, extend_place(place, keyword, index))
        if keyword == "oneOf" and not are_disjoint(alternatives, self._references):
            yield SchemaProblem(place, keyword, "A value may fit several of its schemas; anyOf is held.")

    def _check_typed(self, schema: Schema, kind: Any, place: str) -> Iterator[SchemaProblem]:
        """Yields the problems of a schema for values of one type; without a type, that of which its keywords speak."""
        if kind is not None and (not isinstance(kind, str) or kind not in _HELD):
            yield SchemaProblem(place, "type", "There is no such type.", is_unusable=True)
            return
        if "const" in schema or "enum" in schema:
            yield from _check_values(schema, place)
            return
        kind = kind or _imply_type(schema)
        for keyword in _list_keywords(schema, "type"):
            kinds = _TYPES_OF_KEYWORD.get(keyword, _HELD.keys())
            if (kind is None or kind in kinds) and keyword not in _HELD.get(kind or "", ()):
                yield SchemaProblem(place, keyword, _explain(keyword, kind))
        match kind:
            case "object":
                yield from self._check_object(schema, place)
            case "array":
                yield from self._check_array(schema, place)
            case "string":
                yield from check_string(schema, place)
            case "integer":
                yield from check_integer(schema, place)

    def _check_object(self, schema: Schema, place: str) -> Iterator[SchemaProblem]:
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties", False)
        if not isinstance(properties, dict):
            yield SchemaProblem(place, "properties", "It must be an object.", is_unusable=True)
            return
        for name, each in properties.items():
            yield from self.check(each, extend_place(place, "properties", name))
        if not isinstance(additional, bool | dict):
            yield SchemaProblem(place, "additionalProperties", NO_SCHEMA, is_unusable=True)
        elif additional is not False and properties:
            # An additional name may be one of the properties in other letters, such as "\u0061" for "a".
            yield SchemaProblem(place, "additionalProperties", "Beside properties, only false is held.")
        if isinstance(additional, dict):
            yield from self.check(additional, extend_place(place, "additionalProperties"))
        required = schema.get("required", [])
        if not isinstance(required, list) or any(
            not isinstance(name, str) or name not in properties for name in required
        ):
            yield SchemaProblem(place, "required", "The model is held to names of its properties alone.")

    def _check_array(self, schema: Schema, place: str) -> Iterator[SchemaProblem]:
        yield from check_counts(schema, place, "minItems", "maxItems")
        if "items" in schema:
            yield from self._check_items(schema, place)
        elif "prefixItems" in schema:
            yield from self._check_prefix(schema, place)

    def _check_items(self, schema: Schema, place: str) -> Iterator[SchemaProblem]:
        if isinstance(schema["items"], list):
            yield SchemaProblem(place, "items", "The model is held to one schema alone; prefixItems takes a list.")
        else:
            yield from self.check(schema["items"], extend_place(place, "items"))
        if "prefixItems" in schema:
            yield SchemaProblem(place, "prefixItems", "With items, the model cannot be held to it.")

    def _check_prefix(self, schema: Schema, place: str) -> Iterator[SchemaProblem]:
        """Yields the problems of a schema that lists its items: the model always writes all of them, and no more."""
        items = schema["prefixItems"]
        if not isinstance(items, list):
            yield SchemaProblem(place, "prefixItems", "It must be a list of schemas.")
            return
        for index, each in enumerate(items):
            yield from self.check(each, extend_place(place, "prefixItems", index))
        least, most = schema.get("minItems", 0), schema.get("maxItems", len(items))
        for keyword, is_met in (("minItems", least), least <= len(items)), (("maxItems", most), most >= len(items)):
            if is_count(keyword[1]) and not is_met:
                yield SchemaProblem(place, keyword[0], "The model always writes as many items as prefixItems has.")


def _list_keywords(schema: Schema, *without: str) -> list[str]:
    """Returns the keywords of a schema that say something about values, without the given ones."""
    return [keyword for keyword in schema if keyword not in _ANNOTATIONS and keyword not in without]


def _check_siblings(schema: Schema, place: str, keyword: str) -> Iterator[SchemaProblem]:
    """Yields the keywords that stand beside one that takes their effect away."""
    for sibling in _list_keywords(schema, keyword):
        yield SchemaProblem(place, sibling, f"Beside {keyword}, the model cannot be held to it.")


def _check_values(schema: Schema, place: str) -> Iterator[SchemaProblem]:
    """Yields the problems of a schema that lists its values."""
    keyword = "const" if "const" in schema else "enum"
    values = [schema["const"]] if keyword == "const" else schema["enum"]
    if not isinstance(values, list) or not values:
        yield SchemaProblem(place, keyword, "It must be a list of values that is not empty.", is_unusable=True)
        return
    for sibling in _list_keywords(schema, keyword, "type"):
        yield SchemaProblem(place, sibling, f"Beside {keyword}, the model cannot be held to it.")
    kinds = schema.get("type", list(_HELD))
    kinds = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)]
    if not all(any(_has_type(value, kind) for kind in kinds) for value in values):
        yield SchemaProblem(place, keyword, "It has a value of another type.")
    if not all(map(_is_exact, values)):
        yield SchemaProblem(place, keyword, "It has a number that the model cannot write exactly.")


def _has_type(value: Any, kind: str) -> bool:
    if kind in {"number", "integer"}:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (kind == "number" or value == int(value))
    return isinstance(value, _PYTHON_TYPES.get(kind, type(...)))


def _is_exact(value: Any) -> bool:
    """Whether llama.cpp writes all numbers in a value as they are."""
    match value:
        case dict():
            return all(map(_is_exact, value.values()))
        case list():
            return all(map(_is_exact, value))
        case int() | float():
            return abs(value) <= _MAX_EXACT
        case _:
            return True


def _imply_type(schema: Schema) -> str | None:
    """Returns the type that llama.cpp infers from the keywords of a schema without a type."""
    if "properties" in schema or schema.get("additionalProperties", True) is not True:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "string" if "pattern" in schema or "format" in schema else None


def _explain(keyword: str, kind: str | None) -> str:
    if kind is None and keyword in _TYPES_OF_KEYWORD:
        return "Without a type, the model cannot be held to it."
    return f"A {kind} cannot be held to it." if kind == "number" else NOT_CHECKED
