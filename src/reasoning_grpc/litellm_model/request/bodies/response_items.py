"""Writes a conversation as the items of OpenAI's Responses API.

The items are messages, reasoning, function calls and their outputs, in the order of the parts.
"""

import base64
import mimetypes
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from reasoning_grpc.domain import Media, Message, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolResult
from reasoning_grpc.litellm_model.item_signatures import read_signature, restore_reasoning

Json = dict[str, Any]

_WriteTexts = Callable[[list[Json], str], list[Json]]
"""Writes the texts of an answer, which may be none, with the signature of the last one."""

_MARK: Final = {"prompt_cache_breakpoint": {"mode": "explicit"}}
"""Asks OpenAI to cache the prompt up to the end of a part."""


def write_items(
    messages: Iterable[Message], *, system_prompt: str, takes_cache_marks: bool, takes_output_parts: bool
) -> list[Json]:
    """Returns the items of a conversation; the system prompt comes first where there is no other.

    `takes_output_parts` says whether an earlier answer may have parts without the labels that its server gave them.
    """
    messages = tuple(messages)
    items: list[Json] = []
    if system_prompt and not any(message.role is Role.SYSTEM for message in messages):
        items.append(_write_message("system", [{"type": "input_text", "text": system_prompt}]))
    for message in messages:
        if message.role is Role.ASSISTANT:
            items += _convert_answer(message, _write_parts if takes_output_parts else _write_strings)
        else:
            items += _convert_message(message, takes_cache_marks=takes_cache_marks)
    return items


def _convert_message(message: Message, *, takes_cache_marks: bool) -> Iterator[Json]:
    match message.role:
        case Role.TOOL:
            for part in message.content:
                yield _convert_result(part, _MARK if takes_cache_marks and part.cache else {})
        case role:
            content = [
                _convert_input(part) | (_MARK if takes_cache_marks and part.cache else {}) for part in message.content
            ]
            yield _write_message(role.value.lower(), content)


def _convert_answer(message: Message, write: _WriteTexts) -> list[Json]:
    """Returns the items of an earlier answer. Neighbouring texts are one message, until a signature ends it."""
    items: list[Json] = []
    content: list[Json] = []
    for part in message.content:
        match part.content:
            case Text(text=text):
                content += [{"type": "output_text", "text": text}] if text else []
            case Refusal(text=text):
                content.append({"type": "refusal", "refusal": text})
            case _:
                items += [*write(content, ""), _convert_item(part)]
                content = []
                continue
        if part.signature:
            items += write(content, part.signature)
            content = []
    items += write(content, "")
    return items or [_write_message("assistant", "")]  # an answer without anything is still an answer


def _write_parts(content: list[Json], signature: str) -> list[Json]:
    return [_write_message("assistant", content) | read_signature(signature)] if content else []


def _write_strings(content: list[Json], signature: str) -> list[Json]:
    """Writes each text as a message of its own. Servers that check requests by OpenAI's types take only this form."""
    items = [_write_message("assistant", part.get("text") or part["refusal"]) for part in content]
    return [*items[:-1], items[-1] | read_signature(signature)] if items else []


def _write_message(role: str, content: str | list[Json]) -> Json:
    return {"type": "message", "role": role, "content": content}


def _convert_item(part: Part) -> Json:
    content = part.content
    if isinstance(content, ToolCall):
        return {
            "type": "function_call",
            "call_id": content.id,
            "name": content.name,
            "arguments": content.arguments,
        }
    assert isinstance(content, Reasoning)
    return restore_reasoning(content.text, part.signature)


def _convert_result(part: Part, mark: Json) -> Json:
    result = part.content
    assert isinstance(result, ToolResult)  # `rpc.convert` allows nothing else in a TOOL message
    output = f"Error: {result.content}" if result.is_error else result.content
    marked = [{"type": "input_text", "text": output} | mark]
    return {"type": "function_call_output", "call_id": result.call_id, "output": marked if mark else output}


def _convert_input(part: Part) -> Json:
    content = part.content
    if isinstance(content, Text):
        return {"type": "input_text", "text": content.text}
    assert isinstance(content, Media)
    location = content.uri or f"data:{content.mime_type};base64,{base64.b64encode(content.data).decode()}"
    if content.mime_type.startswith("image/"):
        return {"type": "input_image", "image_url": location, "detail": "auto"}
    if content.uri:
        return {"type": "input_file", "file_url": location}
    name = content.filename or f"document{mimetypes.guess_extension(content.mime_type) or ''}"
    return {"type": "input_file", "filename": name, "file_data": location}
