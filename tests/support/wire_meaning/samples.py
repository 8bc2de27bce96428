"""Makes sample values of a JSON schema: some that it takes, and close ones that it refuses."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable

_SAMPLES: Final = 400
_EACH: Final = 12
_DEPTH: Final = 5
_PLAIN: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    7,
    1.5,
    100,
    "",
    "a",
    "C",
    "city",
    "abc-12",
    "2026-11-29",
    [],
    [1],
    ["a"],
    ["a", "a"],
    {},
    {"a": 1},
    {"x": "y"},
)


def list_samples(schema: Any) -> list[Any]:
    """Returns values that tell a schema from those that resemble it."""
    return [*_PLAIN, *islice(_list_values(schema, schema, _DEPTH), _SAMPLES)]


def _list_values(schema: Any, root: Any, depth: int) -> Iterator[Any]:
    if not isinstance(schema, dict) or depth == 0:
        yield from _PLAIN[:_EACH]
        return
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].split("/")[1:]:
            target = target[step]
        yield from _list_values(target, root, depth - 1)
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(keyword, ()):
            yield from islice(_list_values(branch, root, depth), _EACH * 4)
    if isinstance(all_of := schema.get("allOf"), list):
        yield from _join_objects([list(islice(_list_values(each, root, depth - 1), _EACH)) for each in all_of])
    yield from schema.get("enum", ())
    if "const" in schema:
        yield schema["const"]
    yield from schema.get("examples", ())
    for keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"):
        if keyword in schema:
            limit = schema[keyword]
            yield from (limit, limit - 1, limit + 1, limit + 0.5, limit * 2, -limit)
    for keyword in ("minLength", "maxLength"):
        if keyword in schema:
            yield from ("a" * max(0, schema[keyword] + change) for change in (-1, 0, 1))
    if "properties" in schema or "additionalProperties" in schema or schema.get("type") == "object":
        yield from _list_objects(schema, root, depth)
    if "items" in schema or "prefixItems" in schema or schema.get("type") == "array":
        yield from _list_arrays(schema, root, depth)


def _list_objects(schema: Any, root: Any, depth: int) -> Iterator[Any]:
    properties = schema.get("properties", {})
    values = {name: _list_best(each, root, depth - 1) for name, each in properties.items()}
    whole = {name: each[0] for name, each in values.items()}
    required = {name: whole.get(name, "a") for name in schema.get("required", ())}
    yield from (whole, required, {}, whole | {"zz": 1}, required | {"zz": "a"}, required | {"zz": {}})
    for name in whole:
        yield {each: value for each, value in whole.items() if each != name}
    for name, each in values.items():
        yield from ({**whole, name: value} for value in each)
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        yield from ({**whole, "zz": value} for value in _list_best(additional, root, depth - 1))


def _list_arrays(schema: Any, root: Any, depth: int) -> Iterator[Any]:
    items = _list_best(schema.get("items", {}), root, depth - 1)
    yield from ([each] for each in items)
    yield from (items[:count] for count in range(4))
    yield [items[0], items[0]]
    if "prefixItems" in schema:
        yield [_list_best(each, root, depth - 1)[0] for each in schema["prefixItems"]]


def _list_best(schema: Any, root: Any, depth: int) -> list[Any]:
    """Returns values of a schema that stands in another one: first one that it takes, then others, plain ones too."""
    values = [*islice(_list_values(schema, root, depth), _EACH), *_PLAIN]
    holder = (
        {**schema, "$defs": root.get("$defs", {}), "definitions": root.get("definitions", {})}
        if (isinstance(schema, dict) and isinstance(root, dict))
        else schema
    )
    validator = Draft202012Validator(holder)
    try:
        valid = next((each for each in values if validator.is_valid(each)), None)
    except Unresolvable:
        valid = None
    return [valid, *values]


def _join_objects(lists: list[list[Any]]) -> Iterator[Any]:
    """Yields objects that have the members of one object of each list."""
    joined: dict[str, Any] = {}
    for values in lists:
        joined |= next((each for each in values if isinstance(each, dict)), {})
    yield joined
    for name in joined:
        yield {each: value for each, value in joined.items() if each != name}
