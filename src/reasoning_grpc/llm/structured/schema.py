"""`Schema`: the shape that an answer must have, and how an answer of this shape is parsed.

Shapes are small and strict, so that every provider takes them: strings, enums, booleans, arrays, and objects
that have exactly their members, all of them required.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
Shape = Mapping[str, Any]
"""The JSON schema of a value, built only by what follows."""

STRING: Final[Shape] = {"type": "string"}
BOOLEAN: Final[Shape] = {"type": "boolean"}
_TYPES: Final[Mapping[str, type[Any]]] = {"string": str, "boolean": bool, "array": list, "object": dict}


def one_of(values: Iterable[str]) -> Shape:
    """Returns the shape of one of these strings."""
    return {"type": "string", "enum": list(values)}


def array_of(item: Shape) -> Shape:
    """Returns the shape of any number of items of one shape."""
    return {"type": "array", "items": item}


def object_of(**members: Shape) -> Shape:
    """Returns the shape of an object with exactly these members, which a model writes in this order."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


@dataclass(frozen=True)  # with slots, `Schema[X](...)` would fail
class Schema(Generic[T]):
    """The shape that an answer must have, and how it is parsed."""

    name: str
    """Letters, digits, "_" and "-"; providers require a name."""
    shape: Shape
    """The shape of the whole answer: an object."""
    parse: Callable[[Any], T]
    """Converts an answer of this shape to its value. For an answer without sense it raises ValueError, whose text
    the repair shows the model: it is a text of ours, without any text of the answer."""

    @property
    def text(self) -> str:
        """The JSON schema as JSON text."""
        return json.dumps(self.shape)


def find_problem(value: Any, shape: Shape, place: str = "It") -> str:
    """Returns what is wrong with the value at this place, without any text of the value; empty if nothing is."""
    kind = shape["type"]
    if not isinstance(value, _TYPES[kind]):
        return f"{place} is no {kind}."
    if kind == "object":
        return _find_member_problem(value, shape["properties"], place)
    if kind == "array":
        problems = (find_problem(each, shape["items"], f"{place}[{index}]") for index, each in enumerate(value))
        return next(filter(None, problems), "")
    values = shape.get("enum")
    return "" if values is None or value in values else f"{place} is none of the values allowed."


def _find_member_problem(value: Mapping[str, object], members: Mapping[str, Shape], place: str) -> str:
    if missing := [name for name in members if name not in value]:
        return f"{place} has no {missing[0]}."
    if len(value) > len(members):
        return f"{place} has a member that is not allowed."
    problems = (find_problem(value[name], member, f"{place}.{name}") for name, member in members.items())
    return next(filter(None, problems), "")
