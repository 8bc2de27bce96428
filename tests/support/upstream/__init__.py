"""FakeUpstream: an HTTP server on 127.0.0.1:0 that speaks the protocols of providers, and misbehaves on request.

answers.py     what it is told to answer, in terms of no protocol
dialect.py     what a protocol must be able to write; openai.py, responses.py, anthropic.py ... write it
listing.py     the lists of models that a LiteLLM proxy serves
scripting.py   one-line scripts: answers, failures, cuts, gates
server.py      FakeUpstream: takes requests, plays scripts, notices who hangs up
"""

from .answers import (
    DEFAULT_ERROR,
    DEFAULT_PIECES,
    DEFAULT_USAGE,
    UPSTREAM_SECRET,
    Completion,
    FakeToolCall,
    numbered,
)
from .changes import PATIENCE_SECONDS
from .openai import chunk, usage_chunk
from .scripting import Cut, Gate, Scripting
from .server import DIALECTS, CapturedRequest, FakeUpstream, Standing, refusing_api_base

__all__ = [
    "DEFAULT_ERROR",
    "DEFAULT_PIECES",
    "DEFAULT_USAGE",
    "DIALECTS",
    "PATIENCE_SECONDS",
    "UPSTREAM_SECRET",
    "CapturedRequest",
    "Completion",
    "Cut",
    "FakeToolCall",
    "FakeUpstream",
    "Gate",
    "Scripting",
    "Standing",
    "chunk",
    "numbered",
    "refusing_api_base",
    "usage_chunk",
]
