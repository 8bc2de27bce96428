"""Converts a conversation to messages of the OpenAI dialect, for one provider."""

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, Final

from reasoning_grpc.domain import Message, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolResult
from reasoning_grpc.litellm_model.providers import SDK_SHAPE, SPEAKS_OPENAI
from reasoning_grpc.litellm_model.request.content import convert_content, convert_part, mark_for_cache, simplify_content

_TAKE_TEXT_SIGNATURES: Final = frozenset({"gemini", "litellm_proxy", "vertex_ai", "vertex_ai_beta"})
"""Providers for which litellm has a place for the signature of a text."""
_MARK_CALLS: Final = frozenset({"bedrock", "litellm_proxy"})
"""Providers that have a place for the cache mark of a call."""


def convert_messages(messages: Iterable[Message], provider: str, *, system_prompt: str) -> list[dict[str, Any]]:
    """Converts the messages; `system_prompt` comes first where they have no system message of their own."""
    messages = tuple(messages)
    converted: list[dict[str, Any]] = []
    if system_prompt and not any(message.role is Role.SYSTEM for message in messages):
        converted.append({"role": "system", "content": system_prompt})
    for message in messages:
        role = message.role
        if role is Role.TOOL:
            converted += [_convert_tool_result(part, provider) for part in message.content]
            continue
        if role is Role.ASSISTANT:
            each = _convert_assistant(message, provider)
        else:
            each = {"role": role.lower(), "content": convert_content(message, provider)}
        if message.name:
            each["name"] = message.name
        converted.append(each)
    return converted


def _convert_tool_result(part: Part, provider: str) -> dict[str, Any]:
    result = part.content
    assert isinstance(result, ToolResult)  # `rpc.convert` allows nothing else in a TOOL message
    text = f"Error: {result.content}" if result.is_error else result.content
    return {"role": "tool", "tool_call_id": result.call_id, "content": text} | mark_for_cache(part, provider)


def _convert_assistant(message: Message, provider: str) -> dict[str, Any]:
    match message.content:
        case (Part(content=Text(text=text), signature="", cache=False),) if text:  # most messages
            return {"role": "assistant", "content": text}
    converted: dict[str, Any] = {"role": "assistant"}
    nonempty = (part for part in message.content if isinstance(part.content, Text) and part.content.text)
    texts = [convert_part(part, provider) for part in nonempty]
    refusals = [part.content.text for part in message.content if isinstance(part.content, Refusal)]
    calls = [_convert_tool_call(part, provider) for part in message.content if isinstance(part.content, ToolCall)]
    reasoning = [part for part in message.content if isinstance(part.content, Reasoning)]
    if refusals and provider not in SPEAKS_OPENAI:
        texts += [{"type": "text", "text": text} for text in refusals]  # other protocols have no field for a refusal
    elif refusals:
        converted["refusal"] = "".join(refusals)
    if texts:
        converted["content"] = simplify_content(texts)
    elif not calls:
        converted["content"] = ""  # servers require it, also beside nothing but a refusal or reasoning
    if calls:
        converted["tool_calls"] = calls
    return converted | _convert_reasoning(reasoning) | _convert_text_signature(message, provider)


def _convert_text_signature(message: Message, provider: str) -> dict[str, Any]:
    """Converts the first signature of a text, because litellm's dialect has a place for one in each message."""
    signatures = [part.signature for part in message.content if isinstance(part.content, Text) and part.signature]
    if not signatures or provider not in _TAKE_TEXT_SIGNATURES:
        return {}
    return {"provider_specific_fields": {"thought_signatures": signatures[:1]}}


def _convert_reasoning(parts: list[Part]) -> dict[str, Any]:
    """Converts the model's own reasoning to text, and to signed blocks where it was signed or withheld."""
    converted: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = []
    texts: list[str] = []
    for part in parts:
        assert isinstance(part.content, Reasoning)
        if part.content.redacted:
            blocks.append({"type": "redacted_thinking", "data": part.content.redacted.decode()})
            continue
        texts.append(part.content.text)
        if part.signature:
            blocks.append({"type": "thinking", "thinking": part.content.text, "signature": part.signature})
    if texts:
        converted["reasoning_content"] = "\n\n".join(texts)
    if blocks:
        converted["thinking_blocks"] = blocks
    return converted


def _convert_tool_call(part: Part, provider: str) -> dict[str, Any]:
    call = part.content
    assert isinstance(call, ToolCall)
    arguments = call.arguments if provider in SPEAKS_OPENAI else ensure_object(call.arguments)
    converted: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if provider in _MARK_CALLS:
        converted |= mark_for_cache(part, provider)
    if part.signature:
        # The places for Gemini's signature of a call, in Google's OpenAI dialect and in litellm's.
        if provider in SDK_SHAPE - {"litellm_proxy"}:
            converted["extra_content"] = {"google": {"thought_signature": part.signature}}
        else:
            converted["provider_specific_fields"] = {"thought_signature": part.signature}
    return converted


def read_arguments(text: str) -> dict[str, Any]:
    """Returns the arguments of a call as an object, because other protocols have no place for malformed text.

    Infinite numbers and halves of characters are malformed too: they cannot be sent as data.
    """
    try:
        arguments = json.loads(text, parse_constant=_refuse_constant, parse_float=_read_finite)
        if "\\u" in text:  # an escape may be half a character, which no encoder takes
            json.dumps(arguments, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) else {"malformed_arguments": text}


def ensure_object(arguments: str) -> str:
    """Returns arguments that are an object as they are, and others as an object that holds their text."""
    read = read_arguments(arguments)
    return json.dumps(read) if read.get("malformed_arguments") == arguments else arguments


def _read_finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
