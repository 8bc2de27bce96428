"""Fields of requests that choose their routing, for tests."""

from typing import Any, Final

from reasoning_grpc.v1 import completion_pb2, routing_pb2

PASSTHROUGH: Final = routing_pb2.ROUTING_MODE_PASSTHROUGH
REASONING: Final = routing_pb2.ROUTING_MODE_REASONING
ORCHESTRATION: Final = routing_pb2.ROUTING_MODE_ORCHESTRATION
AUTO: Final = routing_pb2.ROUTING_MODE_AUTO

TOOLS: Final[dict[str, Any]] = {"tools": [completion_pb2.Tool(name="f")]}
JSON_OBJECT: Final[dict[str, Any]] = {
    "response_format": completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat())
}


def mode_field(value: Any) -> dict[str, Any]:
    """Builds the field of a request for a mode."""
    return {"routing": routing_pb2.RoutingOptions(mode=value)}


def route_field(name: str, **fields: Any) -> dict[str, Any]:
    """Builds the field of a request for a route."""
    return {"routing": routing_pb2.RoutingOptions(route=name, **fields)}
