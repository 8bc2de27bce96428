"""Results of tools, as text."""

import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
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
    """Converts the content of an MCP result: joins its blocks, and adds structured content that they do not contain."""
    texts = [_convert_block(block) for block in blocks]
    if structured is not None and not _is_said(structured, blocks):
        texts.append(json.dumps(structured, ensure_ascii=False, separators=(",", ":")))
    return "\n".join(texts)


def describe_unknown_block(block: Mapping[str, Any]) -> str:
    """Returns a note that names the type of a block that the protocol does not know, and the text of the block."""
    texts = {name: value for name, value in block.items() if isinstance(value, str)}
    facts = [_describe_resource({"mimeType": texts.get("type") or "something", **texts})]
    facts += [f"{_count_base64_bytes(texts['data'])} bytes"] if "data" in texts else []
    note = f"[{', '.join(facts)}]"
    return f"{note}\n{texts['text']}" if "text" in texts else note


def _is_said(structured: object, blocks: list[dict[str, Any]]) -> bool:
    """Returns whether the blocks contain the structured content.

    Servers repeat it as JSON in a block. Where a tool returns a value that is no object, they put this value into an
    object with one member, and write the value alone into a block, or each item of a list into a block of its own.
    """
    values = [structured]
    if isinstance(structured, dict) and len(structured) == 1:
        values += structured.values()
    texts = [block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)]
    said = [(text, _parse_json(text)) for text in texts]
    for value in values:
        if any(value in pair for pair in said):
            return True
        if blocks and value == blocks:
            return True
        if isinstance(value, list) and len(value) == len(said) > 0:
            return all(item in pair for item, pair in zip(value, said, strict=True))
    return False


def _parse_json(text: str) -> object:
    """Returns the value of a JSON text, and the text itself where it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _convert_block(block: dict[str, Any]) -> str:
    """Returns the text of a block, or a note that describes a block that is not text."""
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image" | "audio", "data": str(data)}:
            return f"[{block.get('mimeType') or block['type']}, {_count_base64_bytes(data)} bytes]"
        case {"type": "resource", "resource": {"text": str(text)} as resource}:
            return f"[{_describe_resource(resource)}]\n{text}"
        case {"type": "resource", "resource": {"blob": str(blob)} as resource}:
            size = f"{_count_base64_bytes(blob)} bytes"
            return f"[{_describe_resource({'mimeType': 'binary', **resource})}, {size}]"
        case {"type": "resource_link", "uri": str()}:
            return f"[{_describe_resource(block)}]"
        case _:
            return f"[{block.get('type', 'something')}]"


def _describe_resource(resource: Mapping[str, Any]) -> str:
    """Returns all that a server says about a resource."""
    facts = [resource.get("mimeType") or "resource", resource.get("uri")]
    facts += [f"{key}: {resource[key]}" for key in ("name", "title", "description") if resource.get(key)]
    facts += [f"{resource['size']} bytes"] if "size" in resource else []
    return ", ".join(filter(None, facts))


def _count_base64_bytes(text: str) -> int:
    """Returns how many bytes a Base64 text encodes."""
    return len(text.rstrip("=")) * 3 // 4


def _replace_surrogates(text: str) -> str:
    """Replaces lone surrogates, which UTF-8 cannot encode, by question marks."""
    return text.encode("utf-8", "replace").decode()
