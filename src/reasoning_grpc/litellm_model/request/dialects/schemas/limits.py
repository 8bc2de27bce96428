"""Limits in a JSON Schema, of numbers and of lengths."""

from collections.abc import Mapping
from math import ceil, floor, inf, isinf, nextafter
from typing import Any, Final

from reasoning_grpc.litellm_model.request.dialects.schemas.rules import Unsayable

LIMITS: Final[Mapping[str, str]] = {
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "minLength": "string",
    "maxLength": "string",
    "minItems": "array",
    "maxItems": "array",
    "minProperties": "object",
    "maxProperties": "object",
}
"""The keywords, and the kind of value that each one limits."""
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})


def read_limits(schema: Mapping[str, Any], pointer: str) -> dict[str, Any]:
    """Returns the limits in a schema. Raises Unsayable for one that is no number."""
    limits = {}
    for keyword in LIMITS:
        if keyword not in schema:
            continue
        value = schema[keyword]
        if isinstance(value, bool) and keyword.startswith("exclusive"):  # older drafts write the limit beside it
            value = schema.get(keyword.removeprefix("exclusive").lower()) if value else None
            if value is None:
                continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unsayable(pointer, keyword)
        limits[keyword] = value
    return limits


def join_limits(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the limits that hold where both hold."""
    joined = dict(one)
    for keyword, limit in other.items():
        joined[keyword] = (min if keyword in _UPPER else max)(joined.get(keyword, limit), limit)
    return joined


def write_bounds(limits: Mapping[str, Any], kind: str, pointer: str) -> dict[str, Any]:
    """Returns the limits of an integer or a number without exclusive ones, with the same meaning.

    Numbers in JSON are read with double precision, so there is a next number above each limit. Raises Unsayable where
    it is infinite.
    """
    bounds = {keyword: limits[keyword] for keyword in ("minimum", "maximum") if keyword in limits}
    if "exclusiveMinimum" in limits:
        least = _step(limits["exclusiveMinimum"], inf, kind, pointer, "exclusiveMinimum")
        bounds["minimum"] = max(bounds.get("minimum", least), least)
    if "exclusiveMaximum" in limits:
        most = _step(limits["exclusiveMaximum"], -inf, kind, pointer, "exclusiveMaximum")
        bounds["maximum"] = min(bounds.get("maximum", most), most)
    return bounds


def _step(limit: float, towards: float, kind: str, pointer: str, keyword: str) -> float:
    """Returns the next integer or number beyond an exclusive limit."""
    if kind == "integer":
        return floor(limit) + 1 if towards > 0 else ceil(limit) - 1
    try:
        following = nextafter(limit, towards)
    except OverflowError:
        following = inf
    if isinf(following):
        raise Unsayable(pointer, keyword)
    return following
