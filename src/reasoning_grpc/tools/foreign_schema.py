"""`ForeignSchema`: the JSON Schema of a tool that is not ours, and the check of arguments against it.

It comes from elsewhere, so the check neither fetches anything nor takes long, whatever the schema says: references
stay within it, the work is counted, and what can be made to take for ever is left to the MCP server to check.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from pydantic_core import from_json
from referencing import Registry

from reasoning_grpc.tools.errors import ArgumentsProblem

_LONGEST_SCHEMA: Final = 100_000
_LONGEST_ARGUMENTS: Final = 200_000
_MOST_WORK: Final = 10_000_000
"""Of one check: the characters of schema and arguments, once for each keyword that is looked at."""
_MOST_OF_A_LIST: Final = 100
"""As many members of each list in a schema are checked to be sound; jsonschema compares each with all others."""
_ENDLESS: Final = frozenset(
    {"pattern", "patternProperties", "uniqueItems", "unevaluatedProperties", "unevaluatedItems"}
)
"""Keywords for which Python's `re`, or jsonschema, can take for ever."""
_LEADING_AWAY: Final = frozenset({"$schema", "$id", "id"})
"""Keywords that take a check to other rules, or references out of the schema."""
_NAMED: Final = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose members have names of their own, not keywords."""
_DATA: Final = frozenset({"enum", "const", "default", "examples", "required"})
_REFERENCES: Final = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_TOLD_PROBLEMS: Final = 5
_LONGEST_PLACE: Final = 100
_LONGEST_RULE: Final = 100


class UnusableSchema(Exception):
    """A schema that arguments cannot be checked against."""


class ForeignSchema:
    """The schema of an object."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Takes up to a second for a long one. Raises UnusableSchema."""
        try:
            self.text: Final = _text_of(schema)
            checked = _without_endless(schema)
            kind = validator_for(schema, default=Draft202012Validator)
            kind.check_schema(_with_short_lists(checked))
        except UnusableSchema:
            raise
        except Exception as exc:  # what a schema can do to jsonschema has no end
            raise UnusableSchema("it is no JSON Schema") from exc
        self._left = 0
        """Keywords that may still be looked at in this check."""
        counted = {keyword: self._counted(check) for keyword, check in kind.VALIDATORS.items()}
        counting = extend(kind, counted)  # type: ignore[no-untyped-call]
        self._validator: Final[Validator] = counting(checked, registry=Registry())

    def arguments(self, text: str) -> dict[str, Any]:
        """The arguments that a JSON text holds. Raises ArgumentsProblem."""
        if len(text) > _LONGEST_ARGUMENTS:
            raise ArgumentsProblem(f"they are longer than {_LONGEST_ARGUMENTS} characters")
        try:
            arguments = from_json(text or "{}", allow_inf_nan=False)
        except ValueError as exc:
            raise ArgumentsProblem(f"they are no JSON: {exc}") from None
        if not isinstance(arguments, dict):
            raise ArgumentsProblem("they are no JSON object")
        self._left = _MOST_WORK // (len(self.text) + len(text))
        if problem := self._problem(arguments):
            raise ArgumentsProblem(problem)
        return arguments

    def _problem(self, arguments: dict[str, Any]) -> str:
        """What does not fit; empty when all does."""
        try:
            return "; ".join(map(_told, islice(self._validator.iter_errors(arguments), _TOLD_PROBLEMS)))
        except Exception:  # a reference that leads away or in circles, a number that has no room
            return ""  # the MCP server is the one that knows its schema

    def _counted(self, check: Callable[..., Iterator[ValidationError] | None]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Iterator[ValidationError] | None:
            self._left -= 1
            if self._left < 0:
                raise _TooMuchWork
            return check(*arguments)

        return counted


class _TooMuchWork(Exception):
    """A schema cannot be checked against within bounds."""


def _text_of(schema: Mapping[str, Any]) -> str:
    """The schema as it is offered. Raises ValueError for infinite numbers, with which providers refuse a whole call."""
    text = json.dumps(schema, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(text) > _LONGEST_SCHEMA:
        raise UnusableSchema(f"it is longer than {_LONGEST_SCHEMA} characters")
    return text


def _without_endless(schema: Any) -> Any:
    """The schema without the keywords that can take for ever, or lead out of it."""
    if isinstance(schema, list):
        return [_without_endless(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = _ENDLESS | _LEADING_AWAY
    if "patternProperties" in schema:
        dropped |= {"additionalProperties"}  # which says nothing sound without them
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _DATA:
            kept[keyword] = value
        elif keyword in _NAMED and isinstance(value, dict):
            kept[keyword] = {name: _without_endless(each) for name, each in value.items()}
        elif keyword not in dropped and not (keyword in _REFERENCES and _leads_away(value)):
            kept[keyword] = _without_endless(value)
    return kept


def _leads_away(reference: Any) -> bool:
    return not (isinstance(reference, str) and reference.startswith("#"))


def _with_short_lists(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_short_lists(each) for each in schema[:_MOST_OF_A_LIST]]
    if isinstance(schema, dict):
        return {keyword: _with_short_lists(value) for keyword, value in schema.items()}
    return schema


def _told(error: ValidationError) -> str:
    """Where an argument does not fit, and how; nothing of its value."""
    place = ".".join(map(str, error.absolute_path)) or "the whole"
    return f"{place[:_LONGEST_PLACE]}: {_rule(error)[:_LONGEST_RULE]}"


def _rule(error: ValidationError) -> str:
    keyword, allowed, value = str(error.validator), error.validator_value, error.instance
    if keyword == "required" and isinstance(allowed, list) and isinstance(value, dict):
        return f"it has no {next((name for name in allowed if name not in value), '')}"
    if keyword == "additionalProperties":
        return "it has a member that is not allowed"
    rule = json.dumps(allowed) if isinstance(allowed, str | int | float | list) else ""
    return f"it does not fit {keyword} {rule}".rstrip()
