"""Schemas: what an answer must look like, as it goes out, as it is checked, and as it is read.

Small and strict, so that every provider takes them: objects whose every member is required
and that have no others, strings, enums, booleans and arrays.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
Shape = Mapping[str, Any]
"""The JSON schema of a value; made by what follows, and of nothing else."""

STRING: Final[Shape] = {"type": "string"}
BOOLEAN: Final[Shape] = {"type": "boolean"}


def one_of(values: Iterable[str]) -> Shape:
    """One of these strings."""
    return {"type": "string", "enum": list(values)}


def array_of(item: Shape) -> Shape:
    """Any number of items of one shape."""
    return {"type": "array", "items": item}


def object_of(**members: Shape) -> Shape:
    """An object with just these members, which a model writes in this order."""
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


@dataclass(frozen=True)  # with slots, `Schema[X](...)` fails
class Schema(Generic[T]):
    """What an answer must look like, and how it is read."""

    name: str
    """Letters, digits, "_" and "-": providers want one."""
    shape: Shape
    """Of the whole answer: an object."""
    read: Callable[[Any], T]
    """The value of an answer of this shape. For one that makes no sense it raises ValueError, with what the model is
    to be told: words of our own, and nothing of the answer."""

    @property
    def text(self) -> str:
        """The JSON schema."""
        return json.dumps(self.shape)


def problem_with(value: object, shape: Shape, place: str = "It") -> str:
    """What is wrong with the value at this place, in words that have nothing of it in them; empty if nothing is."""
    match shape, value:
        case {"enum": values}, str():
            return "" if value in values else f"{place} is none of the values allowed."
        case ({"type": "string"}, str()) | ({"type": "boolean"}, bool()):
            return ""
        case {"type": "array", "items": item}, list():
            problems = (problem_with(each, item, f"{place}[{index}]") for index, each in enumerate(value))
            return next(filter(None, problems), "")
        case {"type": "object", "properties": members}, dict():
            return _problem_of_members(value, members, place)
        case _:
            return f"{place} is no {shape['type']}."


def _problem_of_members(value: Mapping[str, object], members: Mapping[str, Shape], place: str) -> str:
    if missing := [name for name in members if name not in value]:
        return f"{place} has no {missing[0]}."
    if len(value) > len(members):
        return f"{place} has a member that is not allowed."
    problems = (problem_with(value[name], member, f"{place}.{name}") for name, member in members.items())
    return next(filter(None, problems), "")
