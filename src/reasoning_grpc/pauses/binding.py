"""`Binding`: what a state belongs to, so that it goes on with nothing else."""

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from reasoning_grpc.domain import CompletionRequest, Message

_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")


class Binding(Struct, frozen=True):
    """Digests of the parts of a request that the request which continues it must repeat."""

    messages: bytes
    tools: bytes
    agent: bytes


def bind(request: CompletionRequest, messages: tuple[Message, ...]) -> Binding:
    """Returns the digests of a request with these messages."""
    return Binding(
        messages=_compute_digest(messages),
        tools=_compute_digest((request.tools, request.tool_choice, request.parallel_tool_calls)),
        agent=_compute_digest(request.agent),
    )


def _compute_digest(value: Any) -> bytes:
    return hashlib.sha256(_ENCODER.encode(value)).digest()
