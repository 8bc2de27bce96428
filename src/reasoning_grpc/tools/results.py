"""What a tool gave, as text."""

import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from reasoning_grpc.tools.errors import NoResult


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool that ran has given."""

    text: str
    is_error: bool = False
    """Whether the tool says of itself that it failed; the text then says how."""


def text_of(value: object) -> str:
    """A result of a Python function: text as it is, all else as compact JSON. Raises NoResult."""
    match value:
        case str():
            return value
        case bytes() | bytearray() | memoryview():
            return f"[binary, {memoryview(value).nbytes} bytes]"
        case Iterator() | AsyncIterator() | Awaitable():  # may have no end, or be for another event loop
            raise NoResult("The tool gave a result that is neither text nor JSON.")
    try:
        return to_json(value, bytes_mode="base64", inf_nan_mode="strings").decode()
    except (PydanticSerializationError, ValueError, RecursionError) as exc:
        raise NoResult("The tool gave a result that is neither text nor JSON.") from exc


def cut(text: str, most_characters: int) -> tuple[str, bool]:
    """The text as a message may hold it, cut where it is too long; and whether it was."""
    if len(text) <= most_characters:
        return _sendable(text), False
    return f"{_sendable(text[:most_characters])}... [cut: {len(text):,} characters in all]", True


def text_of_content(blocks: list[dict[str, Any]], structured: object) -> str:
    """The content of an MCP result: texts joined, the structured content where there is none."""
    texts = [block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)]
    if not texts and structured is not None:
        return json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    return "\n".join(_block_text(block) for block in blocks)


def _block_text(block: dict[str, Any]) -> str:
    """One block: what is no text is named, with its size."""
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image" | "audio", "data": str(data)}:
            return f"[{block.get('mimeType') or block['type']}, {_base64_bytes(data)} bytes]"
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource", "resource": {"blob": str(blob), **resource}}:
            return f"[{resource.get('mimeType') or 'binary'}, {_base64_bytes(blob)} bytes]"
        case {"type": "resource_link", "uri": str(uri)}:
            return f"[{block.get('mimeType') or 'resource'}, {uri}]"
        case _:
            return f"[{block.get('type', 'something')}]"


def _base64_bytes(text: str) -> int:
    """How many bytes a text in Base64 stands for."""
    return len(text.rstrip("=")) * 3 // 4


def _sendable(text: str) -> str:
    """The text without halves of characters, which UTF-8 cannot hold."""
    return text.encode("utf-8", "replace").decode()
