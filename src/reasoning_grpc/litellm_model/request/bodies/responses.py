"""Writes the body of a request to OpenAI's Responses API.

The members are those of OpenAI's reference of `POST /responses`. The conversation is a list of items: messages,
reasoning, function calls and their outputs, in the order of the parts.
"""

import base64
import json
import mimetypes
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from reasoning_grpc.litellm_model.item_signatures import read_signature, restore_reasoning
from reasoning_grpc.llm import ModelCall

_ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"
_FIELDS: Final[Mapping[str, str]] = {
    "max_output_tokens": "sampling.max_output_tokens",
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "top_logprobs": "sampling.top_logprobs",
    "text": "response_format",
    "reasoning": "reasoning.effort",
    "user": "end_user",
    "include": "sampling.logprobs",
}
"""The request field from which a parameter comes; the others have one of the same name."""


def write_parameters(call: ModelCall, deployment: Deployment, *, reasons: bool) -> dict[str, Any]:
    """Returns the members of the body that litellm knows; `reasons` says whether the model is one that reasons."""
    sampling = call.sampling
    parameters = {
        "max_output_tokens": sampling.max_output_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_logprobs": sampling.top_logprobs,
        "tools": [_convert_tool(tool) for tool in call.tools] or None,
        "tool_choice": None if call.tool_choice is None else _convert_tool_choice(call.tool_choice),
        "parallel_tool_calls": call.parallel_tool_calls,
        "text": None if call.response_format is None else {"format": _convert_format(call.response_format)},
        "reasoning": _convert_reasoning(call),
        "user": call.end_user or None,
        "include": _list_included(call, reasons=reasons) or None,
        "store": deployment.store,
        "stream": True,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def find_lost_parameters(parameters: Mapping[str, Any], mapped: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the request fields of the parameters that litellm has left out or changed, because of the model."""
    lost = (name for name, value in parameters.items() if mapped.get(name) != value)
    return tuple(dict.fromkeys(_FIELDS.get(name, name) for name in lost))


def write_input(call: ModelCall, deployment: Deployment) -> list[dict[str, Any]]:
    """Returns the items of the conversation; the model's system prompt comes first where there is none."""
    items: list[dict[str, Any]] = []
    if deployment.system_prompt and not any(message.role is Role.SYSTEM for message in call.messages):
        items.append({"type": "message", "role": "system", "content": deployment.system_prompt})
    for message in call.messages:
        items += _convert_message(message)
    return items


def _list_included(call: ModelCall, *, reasons: bool) -> list[str]:
    logprobs = [_LOGPROBS] if call.sampling.logprobs or call.sampling.top_logprobs is not None else []
    return [_ENCRYPTED_REASONING, *logprobs] if reasons else logprobs


def _convert_reasoning(call: ModelCall) -> dict[str, Any] | None:
    members: dict[str, Any] = {}
    if call.reasoning.effort is not None:
        members["effort"] = call.reasoning.effort.value.lower()
    if call.include_reasoning:
        members["summary"] = "auto"
    return members or None


def _convert_tool(tool: Tool) -> dict[str, Any]:
    members: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        members["description"] = tool.description
    members["parameters"] = json.loads(tool.parameters_schema or '{"type": "object", "properties": {}}')
    members["strict"] = bool(tool.strict)  # in this API, a tool that does not say it is strict
    return members


def _convert_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    return choice.mode.value.lower() if choice.mode is not None else {"type": "function", "name": choice.tool}


def _convert_format(response_format: ResponseFormat) -> dict[str, Any]:
    kind = response_format.kind
    members: dict[str, Any] = {"type": kind.value.lower()}
    if kind is ResponseFormatKind.JSON_SCHEMA:
        members |= {"name": response_format.name, "schema": json.loads(response_format.schema)}
        if response_format.description:
            members["description"] = response_format.description
        if response_format.strict is not None:
            members["strict"] = response_format.strict
    return members


def _convert_message(message: Message) -> Iterator[dict[str, Any]]:
    match message.role:
        case Role.TOOL:
            yield from map(_convert_result, message.content)
        case Role.ASSISTANT:
            yield from _convert_answer(message)
        case role:
            content = [_convert_input(part) for part in message.content]
            yield {"type": "message", "role": role.value.lower(), "content": content}


def _convert_answer(message: Message) -> Iterator[dict[str, Any]]:
    """Yields the items of an earlier answer. Neighbouring texts are one message, until a signature ends it."""
    content: list[dict[str, Any]] = []
    for part in message.content:
        match part.content:
            case Text(text=text):
                content.append({"type": "output_text", "text": text})
            case Refusal(text=text):
                content.append({"type": "refusal", "refusal": text})
            case _:
                yield from _write_message(content, "")
                content = []
                yield _convert_item(part)
                continue
        if part.signature:
            yield from _write_message(content, part.signature)
            content = []
    yield from _write_message(content, "")


def _write_message(content: list[dict[str, Any]], signature: str) -> Iterator[dict[str, Any]]:
    if content:
        yield {"type": "message", "role": "assistant", "content": content, **read_signature(signature)}


def _convert_item(part: Part) -> dict[str, Any]:
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


def _convert_result(part: Part) -> dict[str, Any]:
    result = part.content
    assert isinstance(result, ToolResult)  # `rpc.convert` allows nothing else in a TOOL message
    output = f"Error: {result.content}" if result.is_error else result.content
    return {"type": "function_call_output", "call_id": result.call_id, "output": output}


def _convert_input(part: Part) -> dict[str, Any]:
    content = part.content
    if isinstance(content, Text):
        return {"type": "input_text", "text": content.text}
    assert isinstance(content, Media)
    location = content.uri or f"data:{content.mime_type};base64,{base64.b64encode(content.data).decode()}"
    if content.mime_type.startswith("image/"):
        return {"type": "input_image", "image_url": location}
    if content.uri:
        return {"type": "input_file", "file_url": location}
    name = content.filename or f"document{mimetypes.guess_extension(content.mime_type) or ''}"
    return {"type": "input_file", "filename": name, "file_data": location}
