"""Results of tools, as text."""

import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from reasoning_grpc.tools.errors import NoResult


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The result of a tool that ran."""

    text: str
    is_error: bool = False
    """Whether the tool reports that it failed; the text then says how."""


def convert_result(value: object) -> str:
    """Converts the result of a Python function: text stays as it is, all else becomes compact JSON. Raises NoResult."""
    match value:
        case str():
            return value
        case bytes() | bytearray() | memoryview():
            return f"[binary, {memoryview(value).nbytes} bytes]"
        case Iterator() | AsyncIterator() | Awaitable():  # it may never end, or belong to another event loop
            raise NoResult("The tool gave a result that is neither text nor JSON.")
    try:
        return to_json(value, bytes_mode="base64", inf_nan_mode="strings").decode()
    except (PydanticSerializationError, ValueError, RecursionError) as exc:
        raise NoResult("The tool gave a result that is neither text nor JSON.") from exc


def cut(text: str, max_characters: int) -> tuple[str, bool]:
    """Returns the text, valid as UTF-8 and cut if it is longer than the limit, and whether it was cut."""
    if len(text) <= max_characters:
        return _replace_surrogates(text), False
    return f"{_replace_surrogates(text[:max_characters])}... [cut: {len(text):,} characters in all]", True


def convert_content(blocks: list[dict[str, Any]], structured: object) -> str:
    """Converts the content of an MCP result: joins its blocks, or writes the structured content if no block is text."""
    texts = [block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)]
    if not texts and structured is not None:
        return json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    return "\n".join(_convert_block(block) for block in blocks)


def _convert_block(block: dict[str, Any]) -> str:
    """Returns the text of a block, or the type and size of a block that is not text."""
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image" | "audio", "data": str(data)}:
            return f"[{block.get('mimeType') or block['type']}, {_count_base64_bytes(data)} bytes]"
        case {"type": "resource", "resource": {"text": str(text)}}:
            return text
        case {"type": "resource", "resource": {"blob": str(blob), **resource}}:
            return f"[{resource.get('mimeType') or 'binary'}, {_count_base64_bytes(blob)} bytes]"
        case {"type": "resource_link", "uri": str(uri)}:
            return f"[{block.get('mimeType') or 'resource'}, {uri}]"
        case _:
            return f"[{block.get('type', 'something')}]"


def _count_base64_bytes(text: str) -> int:
    """Returns how many bytes a Base64 text encodes."""
    return len(text.rstrip("=")) * 3 // 4


def _replace_surrogates(text: str) -> str:
    """Replaces lone surrogates, which UTF-8 cannot encode, by question marks."""
    return text.encode("utf-8", "replace").decode()
