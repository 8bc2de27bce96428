"""Makes requests that the server must refuse, and the violations that it must report."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.v1 import completion_pb2, messages_pb2

SERVICE: Final = "/reasoning_grpc.v1.ReasoningService/"
NAME: Final = "It must be 1 to 64 of letters, digits, underscore and dash."
NOT_KNOWN: Final = "It is not a known value."
UNKNOWN: Final[Any] = 99
"""A number that is no value of any enum."""


ExpectRefusal = Callable[[completion_pb2.CompleteRequest], Awaitable[CallFailed]]
"""Sends a request that every method must refuse alike, and returns the failure."""


def raw_method(kind: Any, method: str = "Complete") -> Any:
    """Creates a method that sends bytes unchanged."""
    return kind(SERVICE + method)


def violations(*pairs: tuple[str, str]) -> tuple[FieldViolation, ...]:
    """Creates violations from pairs of a field and its description."""
    return tuple(FieldViolation(*pair) for pair in pairs)


def with_message(role: Any, *parts: messages_pb2.Part, name: str = "") -> dict[str, Any]:
    """Returns the fields of a request with this one message."""
    return {"messages": [messages_pb2.Message(role=role, content=parts, name=name)]}


def with_user_part(**part: Any) -> dict[str, Any]:
    """Returns the fields of a request with this one part of the user."""
    return with_message(messages_pb2.ROLE_USER, messages_pb2.Part(**part))


def with_assistant_part(**part: Any) -> dict[str, Any]:
    """Returns the fields of a request with this one part of the assistant."""
    return with_message(messages_pb2.ROLE_ASSISTANT, messages_pb2.Part(**part))


def with_media(**media: Any) -> dict[str, Any]:
    """Returns the fields of a request with this one media part."""
    return with_user_part(media=messages_pb2.Media(**media))


def with_sampling(**sampling: Any) -> dict[str, Any]:
    """Returns the sampling field of a request."""
    return {"sampling": completion_pb2.Sampling(**sampling)}


def with_tools(*tools: completion_pb2.Tool, **fields: Any) -> dict[str, Any]:
    """Returns the fields of a request with these tools."""
    return {"tools": tools, **fields}


def with_schema(**schema: Any) -> dict[str, Any]:
    """Returns the field of a request that requires JSON of a schema."""
    return {"response_format": completion_pb2.ResponseFormat(json_schema=completion_pb2.JsonSchemaFormat(**schema))}


def a_tool(name: str = "f", schema: str = "") -> completion_pb2.Tool:
    """Creates a tool."""
    return completion_pb2.Tool(name=name, parameters_schema=schema)


def nest_objects(depth: int, inside: str = "") -> str:
    """Returns JSON text of objects that are nested this many levels deep."""
    return '{"a":' * depth + (inside or "1") + "}" * depth
