"""Reads a JSON Schema as alternatives.

References, `allOf`, `anyOf` and `oneOf` are gone afterwards, and so is `const`. This serves dialects that lack them.
"""

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any, Final
from urllib.parse import unquote

from reasoning_grpc.litellm_model.request.dialects.schemas.alternatives import (
    ANYTHING,
    KINDS,
    NOTES,
    Alternative,
    Alternatives,
    Place,
    Report,
    is_same,
    join,
)
from reasoning_grpc.litellm_model.request.dialects.schemas.limits import LIMITS, read_limits
from reasoning_grpc.litellm_model.request.dialects.schemas.rules import Unsayable, add_step, find_other_rules

_KEPT: Final = frozenset(
    {"$ref", "type", "enum", "const", "properties", "required", "additionalProperties", "items", "pattern"}
    | {"allOf", "anyOf", "oneOf", *LIMITS}
)
_MAX_ALTERNATIVES: Final = 64
_MAX_SCHEMAS: Final = 2000


class AlternativeReader:
    """Reads the alternatives of the schemas within one schema."""

    def __init__(self, root: Any, report: Report) -> None:
        """`report` is called with pointer and keyword of what cannot be read. It raises, or lets the rule go."""
        self._root = root
        self._report = report
        self._left = _MAX_SCHEMAS

    def read(self, places: tuple[Place, ...]) -> Alternatives:
        """Returns the alternatives of a value that fits all these schemas; none where nothing fits.

        Raises Unsayable.
        """
        found = ANYTHING
        for place in places:
            found = self._join(found, self._read_one(place), place)
        return found

    def _join(self, ones: Alternatives, others: Alternatives, place: Place) -> Alternatives:
        if ones is ANYTHING:
            return others
        if len(ones) * len(others) > _MAX_ALTERNATIVES:
            raise Unsayable(place.pointer, "anyOf")
        joined = (join(one, other, self._report) for one, other in product(ones, others))
        return tuple(each for each in joined if each is not None)

    def _read_one(self, place: Place) -> Alternatives:
        self._left -= 1
        if self._left < 0:
            raise Unsayable("", "$ref")
        schema, pointer, references = place
        if isinstance(schema, bool):
            return ANYTHING if schema else ()
        if not isinstance(schema, dict):
            raise Unsayable(pointer, "type")
        for keyword in find_other_rules(schema, _KEPT):
            if keyword != "multipleOf" or schema[keyword] != 1:  # `_read_kinds` reads multiples of 1
                self._report(pointer, keyword)
        found: Alternatives = (self._read_rules(place),)
        if "$ref" in schema:
            found = self._join(found, self._read_reference(place), place)
        for index, each in enumerate(_read_list(place, "allOf")):
            within = Place(each, f"{pointer}/allOf/{index}", references)
            found = self._join(found, self._read_one(within), within)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                found = self._join(found, self._read_branches(place, keyword), place)
        return found

    def _read_branches(self, place: Place, keyword: str) -> Alternatives:
        places = [
            Place(each, f"{place.pointer}/{keyword}/{index}", place.references)
            for index, each in enumerate(_read_list(place, keyword))
        ]
        branches = [self._read_one(each) for each in places]
        if keyword == "oneOf" and not all(self._exclude(*pair) for pair in combinations(branches, 2)):
            self._report(place.pointer, keyword)
        return tuple(alternative for branch in branches for alternative in branch)

    def _exclude(self, ones: Alternatives, others: Alternatives) -> bool:
        """Returns whether no value fits both; False where that is not certain."""
        return all(self._excludes(one, other) for one, other in product(ones, others))

    def _excludes(self, one: Alternative, other: Alternative, *, depth: int = 2) -> bool:
        try:
            if join(one, other, self._report) is None:
                return True
            shared = set(one.required) & set(other.required) & one.properties.keys() & other.properties.keys()
            return depth > 0 and any(
                self._excludes(mine, theirs, depth=depth - 1)
                for name in shared
                for mine, theirs in product(self.read(one.properties[name]), self.read(other.properties[name]))
            )
        except Unsayable:
            return False

    def _read_reference(self, place: Place) -> Alternatives:
        reference = place.schema["$ref"]
        if not isinstance(reference, str) or reference in place.references:
            self._report(place.pointer, "$ref")
            return ANYTHING
        start, *names = unquote(reference).split("/")
        target = self._root if start == "#" else None
        for name in (each.replace("~1", "/").replace("~0", "~") for each in names):
            target = _step(target, name)
        if target is None:
            self._report(place.pointer, "$ref")
            return ANYTHING
        return self._read_one(Place(target, reference.lstrip("#"), place.references | {reference}))

    def _read_rules(self, place: Place) -> Alternative:
        schema, pointer, references = place
        values = None if "enum" not in schema else tuple(_read_list(place, "enum"))
        if "const" in schema:
            kept = values is None or any(is_same(schema["const"], each) for each in values)
            values = (schema["const"],) if kept else ()
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        if not isinstance(properties, dict):
            raise Unsayable(pointer, "properties")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise Unsayable(pointer, "required")
        additional = schema.get("additionalProperties", True)
        if additional not in (True, False, {}):
            self._report(pointer, "additionalProperties")
        items = schema.get("items", True)
        if not isinstance(items, bool | dict):
            self._report(pointer, "items")
            items = True
        return Alternative(
            kinds=_read_kinds(place),
            values=values,
            properties={
                name: (Place(each, add_step(f"{pointer}/properties", name), references),)
                for name, each in properties.items()
            },
            required=tuple(required),
            allowed=frozenset(properties) if additional is False else None,
            items=() if items in (True, {}) else (Place(items, f"{pointer}/items", references),),
            limits=read_limits(schema, pointer),
            pattern=_read_text(place, "pattern"),
            notes={keyword: schema[keyword] for keyword in NOTES if keyword in schema},
            pointer=pointer,
        )


def _read_list(place: Place, keyword: str) -> list[Any]:
    value = place.schema.get(keyword, [])
    if not isinstance(value, list):
        raise Unsayable(place.pointer, keyword)
    return value


def _read_text(place: Place, keyword: str) -> str:
    value = place.schema.get(keyword, "")
    if not isinstance(value, str):
        raise Unsayable(place.pointer, keyword)
    return value


def _read_kinds(place: Place) -> frozenset[str] | None:
    """Returns the kinds of `type`; without it, the kind to which all rules of the schema belong."""
    schema = place.schema
    if "type" not in schema:
        return _infer_kinds(schema)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not all(isinstance(kind, str) and kind in KINDS for kind in kinds):
        raise Unsayable(place.pointer, "type")
    found = frozenset(kinds)
    if schema.get("multipleOf") == 1 and "number" in found:
        found = found - {"number"} | {"integer"}
    return found - {"integer"} if "number" in found else found


def _infer_kinds(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Authors who write `properties` without a type mean an object."""
    kinds = {LIMITS[keyword] for keyword in schema if keyword in LIMITS}
    kinds |= {"object"} if schema.keys() & {"properties", "additionalProperties"} else set()
    kinds |= {"array"} if "items" in schema else set()
    kinds |= {"string"} if "pattern" in schema else set()
    return frozenset(kinds) if len(kinds) == 1 else None


def _step(target: Any, name: str) -> Any:
    if isinstance(target, dict):
        return target.get(name)
    if isinstance(target, list) and name.isdecimal() and int(name) < len(target):
        return target[int(name)]
    return None
