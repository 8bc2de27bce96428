"""`ForeignSchema`: the JSON Schema of an MCP server's tool, and the check of arguments and results against it.

The schema is not trusted, so the check fetches nothing and takes a bounded time, whatever the schema says: references
stay within the schema, the work is counted, and keywords whose check may never end are left to the MCP server.
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

_MAX_SCHEMA_CHARACTERS: Final = 100_000
_MAX_ARGUMENTS_CHARACTERS: Final = 200_000
_MAX_WORK: Final = 10_000_000
_MAX_LIST_MEMBERS: Final = 100
"""Lists are shortened for the check of the schema, because jsonschema compares each member with all others."""
_ENDLESS: Final = frozenset(
    {"pattern", "patternProperties", "uniqueItems", "unevaluatedProperties", "unevaluatedItems"}
)
"""Keywords whose check, by Python's `re` or by jsonschema, may never end."""
_LEADING_AWAY: Final = frozenset({"$schema", "$id", "id"})
"""Keywords that select other rules, or make references lead out of the schema."""
NAMED: Final = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose member names are chosen by the schema's author and are no keywords."""
DATA: Final = frozenset({"enum", "const", "default", "examples", "required"})
REFERENCES: Final = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_MAX_PROBLEMS: Final = 5
"""The number of problems that are described, and of missing members that a description names."""
_MAX_ERRORS: Final = 20
"""The number of errors of jsonschema that are read. It reports each missing member as an error of its own."""
_MAX_PLACE_CHARACTERS: Final = 100
_MAX_RULE_CHARACTERS: Final = 100


class UnusableSchema(Exception):
    """The schema cannot be used to check values; the message says why."""


class ForeignSchema:
    """The schema of a tool's arguments, which are a JSON object, or of its results."""

    def __init__(
        self, schema: Mapping[str, Any], *, max_work: int = _MAX_WORK, max_list_members: int = _MAX_LIST_MEMBERS
    ) -> None:
        """Takes up to a second for a long schema. Raises UnusableSchema.

        `max_work` limits one check: it is the number of keywords that are checked, multiplied by the characters of
        schema and value. Of each list in the schema, only the first `max_list_members` are checked.
        """
        try:
            self.text: Final = _serialize(schema)
            checked = _drop_unsafe(schema)
            kind = validator_for(schema, default=Draft202012Validator)
            kind.check_schema(_shorten_lists(checked, max_list_members))
        except UnusableSchema:
            raise
        except Exception as exc:  # a bad schema makes jsonschema raise errors of many kinds
            raise UnusableSchema("it is no JSON Schema") from exc
        self._max_work = max_work
        self._left = 0
        """The number of keywords that this check may still look at."""
        counted = {keyword: self._count(check) for keyword, check in kind.VALIDATORS.items()}
        counting = extend(kind, counted)  # type: ignore[no-untyped-call]
        self._validator: Final[Validator] = counting(checked, registry=Registry())

    def parse_arguments(self, text: str) -> dict[str, Any]:
        """Parses and checks the JSON text of arguments. Raises ArgumentsProblem."""
        if len(text) > _MAX_ARGUMENTS_CHARACTERS:
            raise ArgumentsProblem(f"they are longer than {_MAX_ARGUMENTS_CHARACTERS} characters")
        try:
            arguments = from_json(text or "{}", allow_inf_nan=False)
        except ValueError as exc:
            raise ArgumentsProblem(f"they are not JSON: {exc}") from None
        if not isinstance(arguments, dict):
            raise ArgumentsProblem("they are not a JSON object")
        if problem := self._find_problem(arguments, len(text)):
            raise ArgumentsProblem(problem)
        return arguments

    def find_problem(self, value: Any) -> str:
        """Says where a JSON value does not fit, without what it contains; returns an empty string when it fits."""
        return self._find_problem(value, len(json.dumps(value)))

    def _find_problem(self, value: Any, characters: int) -> str:
        """Says what does not fit in a value of this length; returns an empty string when everything fits."""
        self._left = self._max_work // (len(self.text) + characters)
        try:
            errors = islice(self._validator.iter_errors(value), _MAX_ERRORS)
            return "; ".join(islice(dict.fromkeys(map(_describe, errors)), _MAX_PROBLEMS))
        except Exception:  # a reference that leads nowhere or in a circle, or a number that is too large
            return ""  # then the MCP server checks its own schema

    def _count(self, check: Callable[..., Iterator[ValidationError] | None]) -> Callable[..., Any]:
        def counting_check(*arguments: Any) -> Iterator[ValidationError] | None:
            self._left -= 1
            if self._left < 0:
                raise _TooMuchWork
            return check(*arguments)

        return counting_check


class _TooMuchWork(Exception):
    """The check would exceed the limit of its work."""


def _serialize(schema: Mapping[str, Any]) -> str:
    """Writes the schema as models see it, without the address of its dialect, which costs tokens and says nothing.

    Raises ValueError for infinite numbers, because providers refuse a call that contains one; and UnusableSchema.
    """
    shown = {keyword: value for keyword, value in schema.items() if keyword != "$schema"}
    text = json.dumps(shown, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if len(text) > _MAX_SCHEMA_CHARACTERS:
        raise UnusableSchema(f"it is longer than {_MAX_SCHEMA_CHARACTERS} characters")
    return text


def _drop_unsafe(schema: Any) -> Any:
    """Returns the schema without the keywords whose check may never end or may leave the schema."""
    if isinstance(schema, list):
        return [_drop_unsafe(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = _ENDLESS | _LEADING_AWAY
    if "patternProperties" in schema:
        dropped |= {"additionalProperties"}  # its meaning depends on `patternProperties`
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in DATA:
            kept[keyword] = value
        elif keyword in NAMED and isinstance(value, dict):
            kept[keyword] = {name: _drop_unsafe(each) for name, each in value.items()}
        elif keyword not in dropped and not (keyword in REFERENCES and _leads_away(value)):
            kept[keyword] = _drop_unsafe(value)
    return kept


def _leads_away(reference: Any) -> bool:
    return not (isinstance(reference, str) and reference.startswith("#"))


def _shorten_lists(schema: Any, max_members: int) -> Any:
    """Returns the schema with at most `max_members` members in each list."""
    if isinstance(schema, list):
        return [_shorten_lists(each, max_members) for each in schema[:max_members]]
    if isinstance(schema, dict):
        return {keyword: _shorten_lists(value, max_members) for keyword, value in schema.items()}
    return schema


def _describe(error: ValidationError) -> str:
    """Says where a value does not fit and which rule it breaks, without what it contains there."""
    place = ".".join(map(str, error.absolute_path)) or "the whole"
    return f"{place[:_MAX_PLACE_CHARACTERS]}: {_rule(error)[:_MAX_RULE_CHARACTERS]}"


def _rule(error: ValidationError) -> str:
    keyword, allowed, value = str(error.validator), error.validator_value, error.instance
    if keyword == "required" and isinstance(allowed, list) and isinstance(value, dict):
        return f"it has no {', '.join(islice((name for name in allowed if name not in value), _MAX_PROBLEMS))}"
    if keyword == "additionalProperties":
        return "it has a member that is not allowed"
    rule = json.dumps(allowed) if isinstance(allowed, str | int | float | list) else ""
    return f"it does not fit {keyword} {rule}".rstrip()
