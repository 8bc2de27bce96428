"""proto <-> our types: pure functions, validation on the way in."""

from reasoning_grpc.rpc.convert.requests import (
    Caps,
    classify_request,
    completion_request,
    list_models_request,
    stream_request,
)
from reasoning_grpc.rpc.convert.responses import (
    classify_response,
    complete_response,
    interruption,
    list_models_response,
    route_decision,
    stream_response,
)

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
