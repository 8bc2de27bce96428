"""`OutputSchema`: the JSON Schema of an MCP tool's structured results, and the check of results against it."""

from collections.abc import Iterator
from typing import Any, Final

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import UnknownDialect, specification_with

from reasoning_grpc.tools.foreign_schema import DATA, NAMED, REFERENCES, ForeignSchema, UnusableSchema
from reasoning_grpc.tools.results import NOTHING

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The dialect of a schema that names none."""
_MISSING: Final = "the whole: it is missing"


class OutputSchema:
    """The schema of a tool's structured results, which may be JSON values of every type."""

    def __init__(self, schema: Any) -> None:
        """Takes up to a second for a long schema. Raises UnusableSchema."""
        if not isinstance(schema, dict):
            raise UnusableSchema("it is no JSON Schema")
        self._schema: Final = ForeignSchema(schema)
        try:
            dialect = specification_with(str(schema.get("$schema", _DIALECT)))
        except UnknownDialect:
            raise UnusableSchema("its dialect is not known") from None
        resolver = Registry[Any]().resolver_with_root(dialect.create_resource(schema))
        for reference in _find_references(schema):
            if not reference.startswith("#"):
                raise UnusableSchema("a reference leads out of it")
            try:
                resolver.lookup(reference)
            except Unresolvable:
                raise UnusableSchema("a reference leads nowhere") from None

    def find_problem(self, structured: object) -> str:
        """Says where structured content does not fit, without its values; returns an empty string when it fits."""
        return _MISSING if structured is NOTHING else self._schema.find_problem(structured)


def _find_references(schema: Any) -> Iterator[str]:
    """Yields the references in a schema, but not those in its data."""
    if isinstance(schema, list):
        for each in schema:
            yield from _find_references(each)
    elif isinstance(schema, dict):
        for keyword, value in schema.items():
            if keyword in REFERENCES:
                yield str(value)
            elif keyword in NAMED and isinstance(value, dict):
                yield from _find_references(list(value.values()))
            elif keyword not in DATA:
                yield from _find_references(value)
