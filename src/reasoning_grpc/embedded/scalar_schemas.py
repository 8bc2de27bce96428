"""Checks the schemas of strings and numbers: whether llama.cpp holds answers to them."""

import math
from collections.abc import Iterator
from typing import Any, Final

from reasoning_grpc.embedded.patterns import InvalidPattern, PatternNotHeld, check_pattern
from reasoning_grpc.embedded.schema_problems import Schema, SchemaProblem

_HELD_FORMAT: Final = "uuid"
"""llama.cpp also knows dates and times, but takes days that no month has."""
_MAX_BOUND: Final = 10**14
"""llama.cpp writes integers of up to 16 digits."""
_MAX_COUNT: Final = 1000
"""llama.cpp takes counts above 2000 for no limit, or refuses them."""
_BOUNDS: Final = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))


def check_string(schema: Schema, place: str) -> Iterator[SchemaProblem]:
    """Yields the problems of a schema of strings."""
    lengths = [keyword for keyword in ("minLength", "maxLength") if keyword in schema]
    yield from check_counts(schema, place, "minLength", "maxLength")
    if "pattern" in schema:
        yield from _check_pattern(schema["pattern"], place)
        for keyword in ("format", *lengths):
            if keyword in schema:
                yield SchemaProblem(place, keyword, "With a pattern, the model cannot be held to it.")
    elif "format" in schema:
        yield from _check_format(schema["format"], place)
        for keyword in lengths:
            yield SchemaProblem(place, keyword, "With a format, the model cannot be held to it.")
    elif is_count(schema.get("minLength")) and schema["minLength"] > 1:
        # An escaped character of two parts, such as \ud83d\ude00, counts twice for llama.cpp, and once in the answer.
        yield SchemaProblem(place, "minLength", "The model is held to 0 or 1 alone; a pattern can say more.")


def _check_pattern(pattern: Any, place: str) -> Iterator[SchemaProblem]:
    if not isinstance(pattern, str):
        yield SchemaProblem(place, "pattern", "It must be a string.", is_unusable=True)
        return
    try:
        check_pattern(pattern)
    except PatternNotHeld as problem:
        yield SchemaProblem(place, "pattern", str(problem), is_unusable=isinstance(problem, InvalidPattern))


def _check_format(name: Any, place: str) -> Iterator[SchemaProblem]:
    if not isinstance(name, str):
        yield SchemaProblem(place, "format", "It must be a string.", is_unusable=True)
    elif name != _HELD_FORMAT:
        yield SchemaProblem(place, "format", f"The model is held to {_HELD_FORMAT} alone.")


def check_integer(schema: Schema, place: str) -> Iterator[SchemaProblem]:
    """Yields the problems of a schema of integers."""
    limits: list[int | None] = []
    for inclusive, exclusive in _BOUNDS:
        if inclusive in schema and exclusive in schema:
            yield SchemaProblem(place, exclusive, f"With {inclusive}, the model cannot be held to it.")
        keyword = inclusive if inclusive in schema else exclusive
        value = schema.get(keyword)
        if keyword in schema and not is_number(value):
            yield SchemaProblem(place, keyword, "It must be a number.", is_unusable=True)
            return
        if value is not None and abs(value) > _MAX_BOUND:
            yield SchemaProblem(place, keyword, "The model is held to limits between -10^14 and 10^14 alone.")
            return
        limits.append(None if value is None else _find_limit(value, keyword))
    least, most = limits
    if least is not None and most is not None and least > most:
        yield SchemaProblem(place, "maximum", "No integer is within the limits.")
    if most is None and least is not None and _has_inner_zero(least):
        yield SchemaProblem(place, "minimum", "The model is held to this value only if there is a maximum too.")
    if least is None and most is not None and most < 0:
        yield SchemaProblem(place, "maximum", "The model is held to a negative value only if there is a minimum too.")


def _find_limit(value: float, keyword: str) -> int:
    """Returns the last integer that a bound allows."""
    match keyword:
        case "minimum":
            return math.ceil(value)
        case "exclusiveMinimum":
            return math.floor(value) + 1
        case "maximum":
            return math.floor(value)
        case _:
            return math.ceil(value) - 1


def _has_inner_zero(least: int) -> bool:
    """Whether llama.cpp misreads the lower bound: it reads the digits behind a digit as a number of their own."""
    return least >= 100 and "0" in str(least)[1:-1]


def check_counts(schema: Schema, place: str, least: str, most: str) -> Iterator[SchemaProblem]:
    """Yields the problems of a pair of keywords that count."""
    for keyword in (least, most):
        if keyword in schema and not is_count(schema[keyword]):
            yield SchemaProblem(place, keyword, "It must be an integer from 0 on.", is_unusable=True)
            return
        if schema.get(keyword, 0) > _MAX_COUNT:
            problem = f"The model is held to counts up to {_MAX_COUNT} alone."
            yield SchemaProblem(place, keyword, problem, is_unusable=keyword == least)
            return
    if most in schema and schema.get(least, 0) > schema[most]:
        yield SchemaProblem(place, most, f"It is less than {least}.")


def is_count(value: Any) -> bool:
    """Whether a value is an integer from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value: Any) -> bool:
    """Whether a value is a number; in Python booleans are numbers too."""
    return isinstance(value, int | float) and not isinstance(value, bool)
