"""Signatures of items of OpenAI's Responses API: the members that an item must have again when it is sent back.

A reasoning item has an id and its encrypted reasoning, and the message of a newer model a phase. Callers get them as
the signature of a part, and send it back with the part.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from reasoning_grpc.litellm_model.lenient import Json, decode_object, read_label, read_list

PART_BREAK: Final = "\n\n"
"""The text between two parts of reasoning."""
_ENCRYPTED: Final = "encrypted_content"
_OF_REASONING: Final = ("id", _ENCRYPTED)
_OF_MESSAGE: Final = ("phase",)
_PARTS: Final = "parts"
_SUMMARY: Final = "summary"
_CONTENT: Final = "content"
_TYPES: Final = {_SUMMARY: "summary_text", _CONTENT: "reasoning_text"}
"""The members of a reasoning item that hold its parts, with the type of each part."""


def sign_reasoning(item: Json, parts: Sequence[tuple[str, int]] = (), *, is_stored: bool = False) -> str:
    """Returns the signature of a reasoning item; empty where it has nothing that must come back.

    `parts` are the member and the length of each part of its text, in order; a lone part of a summary needs none. A
    provider finds an item by its id alone only where it `is_stored`.
    """
    members = _select(item, _OF_REASONING)
    has_content = any(member == _CONTENT for member, _ in parts)
    if not (_ENCRYPTED in members or has_content or is_stored):
        return ""
    if members and (len(parts) > 1 or has_content):
        members[_PARTS] = [list(part) for part in parts]
    return _encode(members)


def sign_message(item: Json) -> str:
    """Returns the signature of a message; empty where it has nothing that must come back."""
    return _encode(_select(item, _OF_MESSAGE))


def read_signature(signature: str) -> dict[str, str]:
    """Returns the members that a signature holds; empty for a signature that no item had."""
    members = decode_object(signature)
    known = (*_OF_REASONING, *_OF_MESSAGE)
    return {name: value for name, value in members.items() if name in known and isinstance(value, str)}


def restore_reasoning(text: str, signature: str) -> Json:
    """Returns the reasoning item that had this text and this signature. A text that was changed is one summary."""
    parts = list(_split(text, read_list(decode_object(signature).get(_PARTS))))
    if PART_BREAK.join(part for _, part in parts) != text:
        parts = [(_SUMMARY, text)] if text else []
    written = {member: [_write_part(member, part) for each, part in parts if each == member] for member in _TYPES}
    content = {_CONTENT: written[_CONTENT]} if written[_CONTENT] else {}
    return {"type": "reasoning", _SUMMARY: written[_SUMMARY], **content, **read_signature(signature)}


def _split(text: str, parts: list[Any]) -> Iterator[tuple[str, str]]:
    start = 0
    for part in parts:
        member, length, *_ = (*read_list(part), None, None)
        end = start + max(0, read_label(length) or 0)
        if member in _TYPES:
            yield str(member), text[start:end]
        start = end + len(PART_BREAK)


def _write_part(member: str, text: str) -> Json:
    return {"type": _TYPES[member], "text": text}


def _select(item: Json, names: tuple[str, ...]) -> Json:
    return {name: value for name in names if isinstance(value := item.get(name), str) and value}


def _encode(members: Json) -> str:
    return msgspec.json.encode(members).decode() if members else ""
