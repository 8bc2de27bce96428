"""`BodyPlan`: how litellm writes the parameters of calls of one model, so that the next call does without litellm.

litellm decides how a parameter is called and whether the model takes it. That depends on the names and on some values
of the parameters, and not on the conversation. So it is found out once, and holds for all calls with the same shape.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_COUNTS: Final = frozenset({"max_tokens", "max_completion_tokens", "seed", "random_seed", "user"})
"""Parameters whose value decides nothing but what they say themselves."""


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """The members of a body that are always alike, and the wire's names of the parameters."""

    fixed: Mapping[str, Any]
    names: Mapping[str, str]
    """The name on the wire of each parameter that is sent."""

    def write(self, requested: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the body of a call whose parameters have the shape of the plan."""
        return {**self.fixed, **{wire_name: requested[name] for name, wire_name in self.names.items()}}


def describe_shape(requested: Mapping[str, Any]) -> tuple[object, ...]:
    """Returns all that may decide how litellm writes these parameters: equal shapes have one plan."""
    return tuple([(name, _describe(name, value)) for name, value in requested.items()])


def _describe(name: str, value: Any) -> object:
    if name in _COUNTS:
        return None
    if isinstance(value, list):
        if name == "messages":
            return describe_messages(value)
        if name == "tools":
            return frozenset(tuple(tool["function"]) for tool in value)
        return len(value)
    return _describe_object(value) if isinstance(value, dict) else value


def describe_messages(messages: list[dict[str, Any]]) -> Hashable:
    """Returns what may decide of a conversation: the kinds of messages and of content in it."""
    return frozenset(map(_describe_message, messages))


def _describe_message(message: Mapping[str, Any]) -> tuple[object, ...]:
    content = message.get("content")
    kinds = frozenset(part["type"] for part in content) if isinstance(content, list) else type(content)
    return (message["role"], kinds, *message)


def _describe_object(value: Mapping[str, Any]) -> tuple[object, ...]:
    """Returns the members of an object with their values, but for what stands deeper in it."""
    members = ((name, tuple(each) if isinstance(each, dict) else repr(each)) for name, each in value.items())
    return tuple(members)
