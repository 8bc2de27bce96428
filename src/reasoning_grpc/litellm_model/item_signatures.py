"""Signatures of items of OpenAI's Responses API: the members that an item must have again when it is sent back.

A reasoning item has an id and its encrypted reasoning, and the message of a newer model a phase. Callers get them as
the signature of a part, and send it back with the part.
"""

from typing import Any, Final

import msgspec

from reasoning_grpc.litellm_model.lenient import Json

_OF_REASONING: Final = ("id", "encrypted_content")
_OF_MESSAGE: Final = ("phase",)


def sign_reasoning(item: Json) -> str:
    """Returns the signature of a reasoning item; empty where it has nothing that must come back."""
    return _encode(item, _OF_REASONING)


def sign_message(item: Json) -> str:
    """Returns the signature of a message; empty where it has nothing that must come back."""
    return _encode(item, _OF_MESSAGE)


def read_signature(signature: str) -> dict[str, str]:
    """Returns the members that a signature holds; empty for a signature that no item had."""
    try:
        members: Any = msgspec.json.decode(signature)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}
    if not isinstance(members, dict):
        return {}
    known = (*_OF_REASONING, *_OF_MESSAGE)
    return {name: value for name, value in members.items() if name in known and isinstance(value, str)}


def _encode(item: Json, names: tuple[str, ...]) -> str:
    members = {name: value for name in names if isinstance(value := item.get(name), str) and value}
    return msgspec.json.encode(members).decode() if members else ""
