"""Finds out whether no value fits two schemas of a `oneOf`, because llama.cpp treats it as `anyOf`."""

from itertools import combinations, islice
from typing import Any, Final

from reasoning_grpc.embedded.references import References
from reasoning_grpc.embedded.schema_problems import Schema

_MAX_STEPS: Final = 20
_MAX_ALTERNATIVES: Final = 30
_MAX_PROPERTIES: Final = 20
_MAX_VALUES: Final = 100
"""The limits of what is compared: the schema is the caller's, and each pair of its parts costs time."""


def are_disjoint(alternatives: list[Any], references: References) -> bool:
    """Whether it is plain that no value fits two of the schemas.

    It is plain where their types differ, where their lists of values do, or where both are objects and require a
    property whose values differ.
    """
    schemas = [_follow(each, references) for each in alternatives]
    if len(schemas) > _MAX_ALTERNATIVES or not all(isinstance(each, dict) for each in schemas):
        return False
    return all(_differ(first, second, references) for first, second in combinations(schemas, 2))


def _follow(schema: Any, references: References) -> Any:
    """Returns the schema to which references lead."""
    for _ in range(_MAX_STEPS):
        if not isinstance(schema, dict) or "$ref" not in schema:
            return schema
        schema = references.resolve(schema["$ref"])
    return None


def _differ(first: Schema, second: Schema, references: References) -> bool:
    return (
        _list_types(first).isdisjoint(_list_types(second))
        or _have_different_values(first, second)
        or _have_different_property(first, second, references)
    )


def _list_types(schema: Schema) -> set[str]:
    """Returns the types of values that a schema may take; all where it does not say."""
    kinds = schema.get("type", ["object", "array", "string", "number", "boolean", "null"])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return {"number" if kind == "integer" else kind for kind in _select_names(kinds)}


def _list_values(schema: Schema) -> list[Any] | None:
    """Returns the values that a schema lists; None where it lists none."""
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else None


def _have_different_values(first: Schema, second: Schema) -> bool:
    values, others = _list_values(first), _list_values(second)
    if values is None or others is None or max(len(values), len(others)) > _MAX_VALUES:
        return False
    # In Python 1, 1.0 and True are equal. In JSON the first two are, so they must not count as different.
    return not any(value in others for value in values)


def _have_different_property(first: Schema, second: Schema, references: References) -> bool:
    names = _list_required(first) & _list_required(second)
    for name in islice(sorted(names), _MAX_PROPERTIES):
        one, other = (_follow(each["properties"][name], references) for each in (first, second))
        if isinstance(one, dict) and isinstance(other, dict) and _have_different_values(one, other):
            return True
    return False


def _list_required(schema: Schema) -> set[str]:
    """Returns the properties that a schema of objects requires."""
    properties, required = schema.get("properties"), schema.get("required")
    if schema.get("type") != "object" or not isinstance(properties, dict) or not isinstance(required, list):
        return set()
    return set(_select_names(required)) & properties.keys()


def _select_names(names: Any) -> list[str]:
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
