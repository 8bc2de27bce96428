"""FakeUpstream: an HTTP server on 127.0.0.1:0 that speaks the OpenAI chat protocol, and misbehaves on request."""

from .changes import PATIENCE_SECONDS
from .scripting import Cut, Gate, Scripting
from .server import CapturedRequest, FakeUpstream, refusing_api_base
from .wire import (
    DEFAULT_ERROR,
    DEFAULT_PIECES,
    DEFAULT_USAGE,
    UPSTREAM_SECRET,
    Completion,
    FakeToolCall,
    chunk,
    event,
    numbered,
    usage_chunk,
)

__all__ = [
    "DEFAULT_ERROR",
    "DEFAULT_PIECES",
    "DEFAULT_USAGE",
    "PATIENCE_SECONDS",
    "UPSTREAM_SECRET",
    "CapturedRequest",
    "Completion",
    "Cut",
    "FakeToolCall",
    "FakeUpstream",
    "Gate",
    "Scripting",
    "chunk",
    "event",
    "numbered",
    "refusing_api_base",
    "usage_chunk",
]
