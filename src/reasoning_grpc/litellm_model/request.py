"""Our ModelCall -> the arguments of `litellm.acompletion`, in the OpenAI dialect.

Only what a call sets is passed on; litellm then maps it for the provider.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningOptions,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from reasoning_grpc.litellm_model import providers
from reasoning_grpc.litellm_model.providers import OWN_WIRE, SIGNS_REQUESTS, SPEAKS_OPENAI, Way
from reasoning_grpc.llm.port import ModelCall

FIELD_OF_PARAMETER: Final[Mapping[str, str]] = {
    "messages": "messages",
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "top_k": "sampling.top_k",
    "max_tokens": "sampling.max_output_tokens",
    "max_completion_tokens": "sampling.max_output_tokens",
    "stop": "sampling.stop",
    "seed": "sampling.seed",
    "presence_penalty": "sampling.presence_penalty",
    "frequency_penalty": "sampling.frequency_penalty",
    "logit_bias": "sampling.logit_bias",
    "logprobs": "sampling.logprobs",
    "top_logprobs": "sampling.top_logprobs",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "response_format": "response_format",
    "reasoning_effort": "reasoning.effort",
    "thinking": "reasoning.budget_tokens",
    "user": "end_user",
}
"""Which request field a parameter of the OpenAI dialect comes from."""

_TAKE_TEXT_SIGNATURES: Final = frozenset({"gemini", "litellm_proxy", "vertex_ai", "vertex_ai_beta"})
_TAKE_CACHE_MARKS: Final = frozenset({"anthropic", "bedrock", "litellm_proxy", "openrouter"})
"""Providers that cache what is marked. For Gemini litellm would make a cache, by a request of its own."""
_JOIN_MESSAGES: Final = frozenset({"anthropic"})
"""Providers for which litellm makes one message of several of the assistant's in a row, each with its own reasoning."""
_NO_ARGUMENTS: Final = {"type": "object", "properties": {}}
_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}


def completion_arguments(call: ModelCall, deployment: Deployment) -> dict[str, Any]:
    """The arguments of `litellm.acompletion` that say what is asked: model, messages and parameters."""
    provider = deployment.provider
    arguments: dict[str, Any] = {
        "model": deployment.litellm_model,
        "messages": _wire_messages(call, deployment, provider),
        **_sampling_arguments(call.sampling, deployment.sampling),
        **_tool_arguments(call),
        **_reasoning_arguments(call.reasoning),
    }
    if call.response_format is not None:
        arguments["response_format"] = _wire_response_format(call.response_format)
    if call.end_user:
        arguments["user"] = call.end_user
    if let_through := _let_through(provider) & arguments.keys():
        arguments["allowed_openai_params"] = sorted(let_through)
    if provider in SIGNS_REQUESTS:
        arguments |= _options(call)
    elif call.provider_options and not merged_options(call, deployment):
        arguments["extra_body"] = _options(call)
    return arguments


def merged_options(call: ModelCall, deployment: Deployment) -> dict[str, Any]:
    """Options that go into the body after litellm made it: some of its translations send `extra_body` as it stands."""
    translated = providers.way(deployment.provider) is Way.PLAIN and deployment.provider not in SIGNS_REQUESTS
    return _options(call) if translated else {}


def _options(call: ModelCall) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in call.provider_options.items()}


def _sampling_arguments(asked: Sampling, defaults: Sampling) -> dict[str, Any]:
    def chosen(name: str) -> Any:
        value = getattr(asked, name)
        return getattr(defaults, name) if value is None else value

    values = {
        "temperature": chosen("temperature"),
        "top_p": chosen("top_p"),
        "top_k": chosen("top_k"),
        "max_tokens": chosen("max_output_tokens"),
        "stop": list(asked.stop or defaults.stop) or None,
        "seed": chosen("seed"),
        "presence_penalty": chosen("presence_penalty"),
        "frequency_penalty": chosen("frequency_penalty"),
        "logit_bias": {str(token): bias for token, bias in asked.logit_bias.items()} or None,
        "logprobs": asked.logprobs,
        "top_logprobs": asked.top_logprobs,
    }
    return {name: value for name, value in values.items() if value is not None}


def _tool_arguments(call: ModelCall) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if call.tools:
        arguments["tools"] = [_wire_tool(tool) for tool in call.tools]
    if call.tool_choice is not None:
        arguments["tool_choice"] = _wire_tool_choice(call.tool_choice)
    if call.parallel_tool_calls is not None:
        arguments["parallel_tool_calls"] = call.parallel_tool_calls
    return arguments


def _let_through(provider: str) -> frozenset[str]:
    """Parameters that litellm would drop or refuse, because it does not know the model."""
    if provider not in SPEAKS_OPENAI:
        return frozenset()
    return frozenset({"user", "reasoning_effort"} if provider == "custom_openai" else {"user"})


def _reasoning_arguments(reasoning: ReasoningOptions) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if reasoning.effort is not None:
        arguments["reasoning_effort"] = reasoning.effort.value.lower()
    if reasoning.budget_tokens is not None:
        arguments["thinking"] = {"type": "enabled", "budget_tokens": reasoning.budget_tokens}
    return arguments


def _wire_tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = json.loads(tool.parameters_schema) if tool.parameters_schema else _NO_ARGUMENTS
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _wire_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode is not None:
        return choice.mode.value.lower()
    return {"type": "function", "function": {"name": choice.tool}}


def _wire_response_format(response_format: ResponseFormat) -> dict[str, Any]:
    if response_format.kind is not ResponseFormatKind.JSON_SCHEMA:
        return {"type": response_format.kind.value.lower()}
    schema: dict[str, Any] = {"name": response_format.name, "schema": json.loads(response_format.schema)}
    if response_format.description:
        schema["description"] = response_format.description
    if response_format.strict is not None:
        schema["strict"] = response_format.strict
    return {"type": "json_schema", "json_schema": schema}


def _wire_messages(call: ModelCall, deployment: Deployment, provider: str) -> list[dict[str, Any]]:
    wire: list[dict[str, Any]] = []
    if deployment.system_prompt and not any(message.role is Role.SYSTEM for message in call.messages):
        wire.append({"role": "system", "content": deployment.system_prompt})
    for message in call.messages:
        match message.role:
            case Role.TOOL:
                wire += [_wire_tool_result(part, provider) for part in message.content]
            case Role.ASSISTANT:
                said = _apart(message) if provider in _JOIN_MESSAGES else (message,)
                wire += [_named(each, _wire_assistant(each, provider)) for each in said]
            case role:
                wire.append(_named(message, {"role": role.value.lower(), "content": _wire_content(message, provider)}))
    return wire


def _named(message: Message, wire: dict[str, Any]) -> dict[str, Any]:
    return wire | {"name": message.name} if message.name else wire


def _wire_tool_result(part: Part, provider: str) -> dict[str, Any]:
    result = part.content
    assert isinstance(result, ToolResult)  # `convert` lets nothing else into a TOOL message
    text = f"Error: {result.content}" if result.is_error else result.content
    return {"role": "tool", "tool_call_id": result.call_id, "content": text} | _cache_mark(part, provider)


def _wire_content(message: Message, provider: str) -> str | list[dict[str, Any]]:
    """A single plain text as a string, which every server takes; else a list of typed parts."""
    return _plain_or_parts([_wire_part(part, provider) for part in message.content])


def _plain_or_parts(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _wire_part(part: Part, provider: str) -> dict[str, Any]:
    content = part.content
    assert isinstance(content, Text | Media)
    wire: dict[str, Any] = {"type": "text", "text": content.text} if isinstance(content, Text) else _wire_media(content)
    return wire | _cache_mark(part, provider)


def _cache_mark(part: Part, provider: str) -> dict[str, Any]:
    """A server that only speaks the OpenAI dialect caches by itself, and may refuse the mark."""
    return {"cache_control": {"type": "ephemeral"}} if part.cache and provider in _TAKE_CACHE_MARKS else {}


def _wire_media(media: Media) -> dict[str, Any]:
    kind = media.mime_type.partition("/")[0]
    location = media.uri or f"data:{media.mime_type};base64,{base64.b64encode(media.data).decode()}"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": location}}
    if kind == "audio":
        audio_format = _AUDIO_FORMATS.get(media.mime_type, media.mime_type.partition("/")[2])
        return {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(media.data).decode(), "format": audio_format},
        }
    file = {"file_data": location} | ({"filename": media.filename} if media.filename else {})
    return {"type": "file", "file": file}


def _wire_assistant(message: Message, provider: str) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant"}
    said = (part for part in message.content if isinstance(part.content, Text) and part.content.text)
    texts = [_wire_part(part, provider) for part in said]
    refusals = [part.content.text for part in message.content if isinstance(part.content, Refusal)]
    calls = [_wire_tool_call(part, provider) for part in message.content if isinstance(part.content, ToolCall)]
    reasoning = [part for part in message.content if isinstance(part.content, Reasoning)]
    if refusals and provider not in SPEAKS_OPENAI:
        texts += [{"type": "text", "text": text} for text in refusals]  # said, where there is no word of its own for it
    elif refusals:
        wire["refusal"] = "".join(refusals)
    if texts:
        wire["content"] = _plain_or_parts(texts)
    elif not calls:
        wire["content"] = ""  # servers want it, also where only a refusal or reasoning was said
    if calls:
        wire["tool_calls"] = calls
    return wire | _wire_reasoning(reasoning) | _text_signature(message, provider)


def _apart(message: Message) -> Iterator[Message]:
    """The message in as many as reasoning begins in it anew: litellm puts them together again, in this order.

    Of one alone it would put all reasoning first; but a signature holds for the place where it was said.
    """
    parts = message.content
    anew = (at for at in range(1, len(parts)) if _is_reasoning(parts[at]) and not _is_reasoning(parts[at - 1]))
    for start, end in pairwise((0, *anew, len(parts))):
        yield replace(message, content=parts[start:end])


def _is_reasoning(part: Part) -> bool:
    return isinstance(part.content, Reasoning)


def _text_signature(message: Message, provider: str) -> dict[str, Any]:
    """The signature of a text: litellm's dialect has a place for one in a message."""
    signatures = [part.signature for part in message.content if isinstance(part.content, Text) and part.signature]
    if not signatures or provider not in _TAKE_TEXT_SIGNATURES:
        return {}
    return {"provider_specific_fields": {"thought_signatures": signatures[:1]}}


def _wire_reasoning(parts: list[Part]) -> dict[str, Any]:
    """The model's own reasoning, sent back: as text, and as signed blocks where it was signed or withheld."""
    wire: dict[str, Any] = {}
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
        wire["reasoning_content"] = "".join(texts)
    if blocks:
        wire["thinking_blocks"] = blocks
    return wire


def _wire_tool_call(part: Part, provider: str) -> dict[str, Any]:
    call = part.content
    assert isinstance(call, ToolCall)
    arguments = call.arguments if provider in SPEAKS_OPENAI else _object_text(call.arguments)
    wire: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if part.signature:
        # Where Gemini's signature of a call travels: in litellm's own dialect, and in Google's OpenAI one.
        if provider in OWN_WIRE - {"litellm_proxy"}:
            wire["extra_content"] = {"google": {"thought_signature": part.signature}}
        else:
            wire["provider_specific_fields"] = {"thought_signature": part.signature}
    return wire


def _object_text(arguments: str) -> str:
    """The arguments as an object, where the protocol has no place for a text that a model left malformed."""
    try:
        is_object = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        is_object = False
    return arguments if is_object else json.dumps({"malformed_arguments": arguments})
