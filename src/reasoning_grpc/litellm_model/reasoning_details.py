"""Reads and writes `reasoning_details`, in which OpenRouter has the reasoning of all providers behind it.

OpenRouter wants signed and encrypted details back unchanged. A detail has more members than our parts of reasoning,
such as its format and its id. So the signature of a part holds all of them but the words, and encrypted reasoning all.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from reasoning_grpc.domain.events import ReasoningDelta
from reasoning_grpc.litellm_model.lenient import Json, decode_object, read_objects, read_text

_ENCRYPTED: Final = "reasoning.encrypted"
_TEXT: Final = "reasoning.text"
_MEMBERS: Final = ("type", "id", "format", "index", "signature", "data")
_PLAIN_FORMAT: Final = "anthropic-claude-v1"
"""The format of a signature that is none of ours: OpenRouter takes it for a detail without a format."""


def read_details(delta: Mapping[str, Any]) -> list[ReasoningDelta]:
    """Converts the details of one delta: words with their signature, and what is encrypted."""
    details = read_objects(delta.get("reasoning_details"))
    words = "".join(read_text(detail.get("text")) or read_text(detail.get("summary")) for detail in details)
    signature = "".join(_encode(detail) for detail in details if read_text(detail.get("signature")))
    deltas = [ReasoningDelta(words, signature=signature)] if words or signature else []
    return deltas + [
        ReasoningDelta(redacted=_encode(detail).encode())
        for detail in details
        if detail.get("type") == _ENCRYPTED and read_text(detail.get("data"))
    ]


def write_detail(block: Mapping[str, Any]) -> Json:
    """Converts a block of signed or encrypted reasoning back to the detail that it was."""
    if block["type"] == "redacted_thinking":
        return _decode(block["data"]) or {"type": _ENCRYPTED, "data": block["data"], "format": _PLAIN_FORMAT}
    words, signature = block["thinking"], block["signature"]
    detail = _decode(signature) or {"type": _TEXT, "signature": signature, "format": _PLAIN_FORMAT}
    return {**detail, "text": words}


def _encode(detail: Json) -> str:
    return msgspec.json.encode(_select(detail)).decode()


def _select(detail: Json) -> Json:
    return {name: detail[name] for name in _MEMBERS if isinstance(detail.get(name), str | int)}


def _decode(opaque: str) -> Json:
    """Returns the detail that an opaque value holds; empty where the value did not come from here."""
    detail = decode_object(opaque)
    return _select(detail) if "type" in detail else {}
