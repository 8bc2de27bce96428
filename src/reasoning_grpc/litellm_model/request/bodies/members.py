"""`join_members`: puts members into a body."""

from collections.abc import Mapping
from typing import Any


def join_members(body: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body with these members; where both have an object of one name, the members of both are in it."""
    joined = dict(body)
    for name, value in members.items():
        both_are_objects = isinstance(value, dict) and isinstance(joined.get(name), dict)
        joined[name] = joined[name] | value if both_are_objects else value
    return joined
