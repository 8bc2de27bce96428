"""Results of tools, as text."""

import json
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

from reasoning_grpc.tools.errors import NoResult

NOTHING: Final = object()
"""The structured content of a result that has none. None is a value."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The result of a tool that ran."""

    text: str
    is_error: bool = False
    """Whether the tool reports that it failed; the text then says how."""
    structured: object = NOTHING
    """The structured content, a JSON value, which is also part of the text."""


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


def convert_content(blocks: list[dict[str, Any]], structured: object = NOTHING) -> str:
    """Converts the content of an MCP result to text.

    Structured content takes the place of the blocks that repeat it, or follows all blocks. It is written as JSON, but a
    text alone stays as it is, and so do blocks that are the structured content themselves.
    """
    texts: dict[int, str] = dict(enumerate(map(_convert_block, blocks)))
    if structured is NOTHING or (blocks and _holds(structured, blocks)):
        return "\n".join(texts.values())
    repeated = _find_repetition(structured, blocks)
    for index in repeated[1:]:
        del texts[index]
    if not (len(repeated) == 1 and _holds(structured, blocks[repeated[0]]["text"])):
        place = repeated[0] if repeated else len(blocks)
        texts[place] = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
    return "\n".join(texts.values())


def describe_unknown_block(block: Mapping[str, Any]) -> str:
    """Returns a note that names the type of a block that the protocol does not know, and the text of the block."""
    texts = {name: value for name, value in block.items() if isinstance(value, str)}
    facts = [_describe_resource({"mimeType": texts.get("type") or "something", **texts})]
    facts += [f"{_count_base64_bytes(texts['data'])} bytes"] if "data" in texts else []
    note = f"[{', '.join(facts)}]"
    return f"{note}\n{texts['text']}" if "text" in texts else note


def _holds(structured: object, value: object) -> bool:
    """Returns whether structured content is this value, alone or as the only member of an object.

    Where a tool returns a value that is no object, servers put the value into an object with one member.
    """
    return structured == value or (isinstance(structured, dict) and list(structured.values()) == [value])


def _find_repetition(structured: object, blocks: list[dict[str, Any]]) -> list[int]:
    """Returns the indexes of the blocks that repeat the structured content; none where no block does.

    Servers repeat it as JSON in a block. A value that is no object may stand alone in a block, and the items of a list
    in a block each.
    """
    texts = {index: block["text"] for index, block in enumerate(blocks) if isinstance(block.get("text"), str)}
    read = {index: (text, _parse_json(text)) for index, text in texts.items() if blocks[index].get("type") == "text"}
    values = [structured]
    if isinstance(structured, dict) and len(structured) == 1:
        values += structured.values()
    for value in values:
        for index, pair in read.items():
            if value in pair:
                return [index]
        if not (isinstance(value, list) and len(value) == len(read) > 0):
            continue
        if all(item in pair for item, pair in zip(value, read.values(), strict=True)):
            return list(read)
    return []


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
