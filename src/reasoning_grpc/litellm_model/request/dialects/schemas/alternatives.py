"""`Alternative`: a set of plain rules. A JSON Schema has one or several, and a value must keep the rules of one."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from reasoning_grpc.litellm_model.request.dialects.schemas.limits import join_limits

KINDS: Final = ("string", "integer", "number", "boolean", "object", "array", "null")
NOTES: Final = ("title", "description", "format", "default", "examples", "nullable")
"""Keywords that refuse no value, but tell the model something. `nullable` is OpenAPI's, and allows null."""
_OBJECT: Final = frozenset({"object"})
Report = Callable[[str, str], None]
"""Is called with pointer and keyword of a rule that cannot be kept. It raises Unsayable, or lets the rule go."""


class Place(NamedTuple):
    """A schema within a schema."""

    schema: Any
    pointer: str
    references: frozenset[str] = frozenset()
    """The references that have led here."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Rules that a value keeps, all of them."""

    kinds: frozenset[str] | None = None
    """None means that the schema says nothing about the kind of value."""
    values: tuple[Any, ...] | None = None
    """None means any value."""
    properties: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    """The schemas of each member, all of which hold."""
    required: tuple[str, ...] = ()
    allowed: frozenset[str] | None = None
    """The only members that an object may have; None for all."""
    items: tuple[Place, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    pattern: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
    pointer: str = ""
    """Where the rules stand, to name them."""


Alternatives = tuple[Alternative, ...]
ANYTHING: Final[Alternatives] = (Alternative(),)


def join(one: Alternative, other: Alternative, report: Report) -> Alternative | None:
    """Returns the rules of both; None where no value keeps both. `report` gets rules that cannot be joined."""
    kinds = _join_kinds(one.kinds, other.kinds)
    values = _join_values(one.values, other.values)
    if kinds == frozenset() or values == ():
        return None
    if one.pattern and other.pattern and one.pattern != other.pattern:
        report(other.pointer, "pattern")
    properties = {
        name: (*one.properties.get(name, ()), *other.properties.get(name, ()))
        for name in (*one.properties, *(each for each in other.properties if each not in one.properties))
    }
    allowed = one.allowed if other.allowed is None else other.allowed
    if one.allowed is not None and other.allowed is not None:
        allowed = one.allowed & other.allowed
    required = tuple(dict.fromkeys((*one.required, *other.required)))
    if kinds == _OBJECT and allowed is not None and not allowed.issuperset(required):
        return None
    return Alternative(
        kinds=kinds,
        values=values,
        properties=properties,
        required=required,
        allowed=allowed,
        items=one.items + other.items,
        limits=join_limits(one.limits, other.limits),
        pattern=one.pattern or other.pattern,
        notes=_join_notes(one.notes, other.notes),
        pointer=one.pointer,
    )


def list_kinds(alternative: Alternative) -> Iterator[tuple[str, Alternative]]:
    """Yields each kind of value that keeps the rules, with the rules for it."""
    if alternative.values is not None:
        for kind in KINDS:
            values = tuple(each for each in alternative.values if find_kind(each) == kind)
            kinds = alternative.kinds
            if values and (kinds is None or kind in kinds or (kind == "integer" and "number" in kinds)):
                yield kind, replace(alternative, values=values)
        return
    for kind in KINDS:
        if alternative.kinds is not None and kind in alternative.kinds:
            yield kind, alternative


def _join_kinds(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    joined = one & other
    if ("integer" in one and "number" in other) or ("number" in one and "integer" in other):
        joined |= {"integer"}
    return joined


def _join_values(one: tuple[Any, ...] | None, other: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(each for each in one if any(is_same(each, value) for value in other))


def _join_notes(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the notes of both. Two descriptions are both kept; of other notes the outer one is."""
    joined = {**other, **one}
    texts = dict.fromkeys((one.get("description"), other.get("description")))
    if len(descriptions := [each for each in texts if isinstance(each, str) and each]) > 1:
        joined["description"] = "\n".join(descriptions)
    return joined


def find_kind(value: Any) -> str:
    """Returns the kind of JSON data. A number without a fraction is an integer."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case list():
            return "array"
        case _:
            return "object"


def is_same(one: Any, other: Any) -> bool:
    """Compares JSON data; unlike in Python, true is not 1."""
    return find_kind(one) == find_kind(other) and bool(one == other)
