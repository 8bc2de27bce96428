"""Opaque values of answers without the marks that the server adds to them."""

import re
from typing import Final

from reasoning_grpc.v1.messages_pb2 import Message

_MARKED: Final = re.compile(r"rg1-[\w-]{8}\.(.*)", re.ASCII | re.DOTALL)


def remove_mark(value: str) -> str:
    """Returns the provider's own value; an empty one has no mark. Fails for another value without a mark."""
    if not value:
        return ""
    marked = _MARKED.fullmatch(value)
    assert marked is not None, f"{value!r} has no mark"
    return marked[1]


def remove_marks(message: Message) -> Message:
    """Returns a copy of a message with the provider's own values."""
    bare = Message()
    bare.CopyFrom(message)
    for part in bare.content:
        part.signature = remove_mark(part.signature)
        if part.reasoning.redacted:
            part.reasoning.redacted = remove_mark(part.reasoning.redacted.decode()).encode()
    return bare
