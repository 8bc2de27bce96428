"""`ForeignSchema`: the JSON Schema of a tool that is not ours, and the check of arguments against it.

It comes from elsewhere, so the check neither fetches anything nor takes long, whatever the schema says: references
stay within it and are counted, and what Python can be made to take for ever for is left to the MCP server to check.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend, validator_for
from pydantic_core import from_json
from referencing import Registry

from reasoning_grpc.tools.errors import ArgumentsProblem

_LONGEST_SCHEMA: Final = 100_000
_LONGEST_ARGUMENTS: Final = 200_000
_MOST_REFERENCES: Final = 2000
"""Followed in one check."""
_SKIPPED: Final = frozenset({"pattern", "patternProperties", "uniqueItems"})
"""Keywords for which Python's `re` or its comparisons can take for ever."""
_NEED_PATTERNS: Final = frozenset({"additionalProperties", "unevaluatedProperties"})
"""Keywords that say nothing sound where patternProperties is skipped."""
_NAMED: Final = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose members have names of their own, not keywords."""
_DATA: Final = frozenset({"enum", "const", "default", "examples", "required"})
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_TOLD_PROBLEMS: Final = 5
_LONGEST_PROBLEM: Final = 200


class UnusableSchema(Exception):
    """A schema that arguments cannot be checked against."""


class ForeignSchema:
    """The schema of an object."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises UnusableSchema."""
        try:
            self.text: Final = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
            if len(self.text) > _LONGEST_SCHEMA:
                raise UnusableSchema(f"it is longer than {_LONGEST_SCHEMA} characters")
            checked = _without_endless(schema)
            kind = validator_for(checked, default=Draft202012Validator)
            kind.check_schema(checked)
        except UnusableSchema:
            raise
        except Exception as exc:  # what a schema can do to jsonschema has no end
            raise UnusableSchema("it is no JSON Schema") from exc
        self._references = 0
        followed: dict[str, Any] = {
            keyword: self._counted(follow) for keyword in _REFERENCES if (follow := kind.VALIDATORS.get(keyword))
        }
        counting = extend(kind, followed)  # type: ignore[no-untyped-call]
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
        if problem := self._problem(arguments):
            raise ArgumentsProblem(problem)
        return arguments

    def _problem(self, arguments: dict[str, Any]) -> str:
        """What does not fit; empty when all does."""
        self._references = 0
        try:
            found = []
            for error in self._validator.iter_errors(arguments):
                found.append(_told(error))
                if len(found) == _TOLD_PROBLEMS:
                    break
            return "; ".join(found)
        except Exception:  # a reference that leads away or in circles, a number that has no room
            return ""  # the MCP server is the one that knows its schema

    def _counted(self, follow: Callable[..., Iterator[ValidationError]]) -> Callable[..., Iterator[ValidationError]]:
        def counted(*arguments: Any) -> Iterator[ValidationError]:
            self._references += 1
            if self._references > _MOST_REFERENCES:
                raise _TooManyReferences
            yield from follow(*arguments) or ()

        return counted


class _TooManyReferences(Exception):
    """A schema refers to itself more often than it can be followed."""


def _without_endless(schema: Any) -> Any:
    """The schema without the keywords that can take for ever."""
    if isinstance(schema, list):
        return [_without_endless(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = _SKIPPED | (_NEED_PATTERNS if "patternProperties" in schema else frozenset())
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _DATA:
            kept[keyword] = value
        elif keyword in _NAMED and isinstance(value, dict):
            kept[keyword] = {name: _without_endless(each) for name, each in value.items()}
        elif keyword not in dropped:
            kept[keyword] = _without_endless(value)
    return kept


def _told(error: ValidationError) -> str:
    """Where an argument does not fit, and how; nothing of its value."""
    place = ".".join(map(str, error.absolute_path)) or "the whole"
    keyword, allowed, value = str(error.validator), error.validator_value, error.instance
    if keyword == "required" and isinstance(allowed, list) and isinstance(value, dict):
        return f"{place}: it has no {next((name for name in allowed if name not in value), '')}"
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        return f"{place}: it has a member that is not allowed"
    rule = json.dumps(allowed) if isinstance(allowed, str | int | float | list) else ""
    return f"{place}: it does not fit {keyword} {rule}".rstrip()[:_LONGEST_PROBLEM]
