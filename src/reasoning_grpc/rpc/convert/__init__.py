"""Conversion between proto messages and our own types: pure functions, which validate requests."""

from reasoning_grpc.rpc.convert.checks import Caps
from reasoning_grpc.rpc.convert.events import stream_response
from reasoning_grpc.rpc.convert.models import list_models_request, list_models_response
from reasoning_grpc.rpc.convert.requests import classify_request, completion_request, stream_request
from reasoning_grpc.rpc.convert.responses import classify_response, complete_response, interruption
from reasoning_grpc.rpc.convert.routing import route_decision

__all__ = [
    "Caps",
    "classify_request",
    "classify_response",
    "complete_response",
    "completion_request",
    "interruption",
    "list_models_request",
    "list_models_response",
    "route_decision",
    "stream_request",
    "stream_response",
]
