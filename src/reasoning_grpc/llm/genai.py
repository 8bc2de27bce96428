"""Converts a model call to attributes of OpenTelemetry's semantic conventions for generative AI."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.util.types import AttributeValue

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    PartContent,
    Reasoning,
    Refusal,
    ResponseFormatKind,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from reasoning_grpc.domain.events import ModelFinished
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.telemetry import PREFIX, SERVER_ADDRESS, SERVER_PORT, TextBudget

OPERATION: Final = "chat"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""The conventions' names of providers for which litellm has another prefix."""
SAMPLING: Final[Mapping[str, str]] = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
}
"""The attribute of each parameter. Stop sequences have one, too, but are left out: they are text of the caller's."""

_NO_SAMPLING: Final = Sampling()

Attributes = dict[str, AttributeValue]


def read_request_model(deployment: Deployment) -> str:
    """Returns the upstream's own name of the model."""
    return deployment.litellm_model.partition("/")[2]


def build_request_attributes(call: ModelCall, deployment: Deployment) -> Attributes:
    """Returns what a call requests, and from which upstream, without any text of its messages."""
    return {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": PROVIDERS.get(deployment.provider, deployment.provider),
        "gen_ai.request.model": read_request_model(deployment),
        "gen_ai.request.stream": True,
        PREFIX + "model": call.model,
        **_build_output_type(call),
        **build_sampling(call.sampling, deployment.sampling),
        **build_address_attributes(deployment.api_base),
    }


@lru_cache(1024)
def build_address_attributes(url: str) -> Mapping[str, AttributeValue]:
    """Returns the host and port of a URL; empty where it has no host."""
    parts = urlsplit(url)
    if not parts.hostname:
        return {}
    return {SERVER_ADDRESS: parts.hostname, SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80)}


def build_finish_attributes(finished: ModelFinished) -> Attributes:
    """Returns how a call ended, in the provider's word, and what it used."""
    return {
        "gen_ai.response.finish_reasons": (finished.provider_finish_reason or finished.finish_reason.value.lower(),),
        **build_usage_attributes(finished.usage),
    }


def build_usage_attributes(usage: Usage) -> Attributes:
    """Returns the tokens of a call, as far as they are known."""
    attributes: Attributes = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        PREFIX + "usage_source": usage.source.value,
    }
    if usage.cached_input_tokens is not None:
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_input_tokens
    if usage.cache_write_tokens is not None:
        attributes["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens
    if usage.reasoning_tokens is not None:
        attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    return attributes


def build_content_attributes(call: ModelCall, answer: Message, finish_reason: str) -> Attributes:
    """Returns the conversation, its tools and the answer; an answer that was cut has an empty finish reason.

    Each is the JSON text that the conventions require. It holds whole JSON also where a text had to be cut.
    """
    messages, unexported = _select_messages(call.messages)
    output = _convert_message(answer, TextBudget()) | {"finish_reason": finish_reason}
    attributes: Attributes = {INPUT_MESSAGES: _format(messages), OUTPUT_MESSAGES: _format([output])}
    if unexported:
        attributes[PREFIX + "unexported_messages"] = unexported
    if call.tools:
        attributes[TOOL_DEFINITIONS] = _format(_convert_tools(call.tools))
    return attributes


def _select_messages(messages: Sequence[Message]) -> tuple[list[dict[str, Any]], int]:
    """Returns the last messages, as many as the budget allows, and the number of earlier ones."""
    budget, selected = TextBudget(), list[dict[str, Any]]()
    for message in reversed(messages):
        if not budget.remaining:
            break
        selected.append(_convert_message(message, budget))
    return selected[::-1], len(messages) - len(selected)


def _convert_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Returns the definitions of tools; those of which the budget would cut the schema have none."""
    budget, definitions = TextBudget(), list[dict[str, Any]]()
    for tool in tools:
        if not budget.remaining:
            break
        definition = {"type": "function", "name": tool.name, "description": budget.take(tool.description)}
        if tool.parameters_schema and len(tool.parameters_schema) <= budget.remaining:
            definition["parameters"] = json.loads(budget.take(tool.parameters_schema))
        definitions.append(definition)
    return definitions


def _format(value: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _build_output_type(call: ModelCall) -> Attributes:
    if call.response_format is None:
        return {}
    return {"gen_ai.output.type": "text" if call.response_format.kind is ResponseFormatKind.TEXT else "json"}


def build_sampling(requested: Sampling, defaults: Sampling) -> Attributes:
    """Returns the parameters of a call, those of the request before the defaults of its model."""
    effective: Attributes = {}
    if requested == _NO_SAMPLING and defaults == _NO_SAMPLING:
        return effective
    for name, attribute in SAMPLING.items():
        value = getattr(requested, name)
        value = getattr(defaults, name) if value is None else value
        if value is not None:
            effective[attribute] = value
    return effective


def _convert_message(message: Message, budget: TextBudget) -> dict[str, Any]:
    parts = [_convert_part(part.content, budget) for part in message.content]
    return {"role": message.role.value.lower(), "parts": parts}


def _convert_part(content: PartContent, budget: TextBudget) -> dict[str, Any]:
    match content:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "content": budget.take(text)}
        case Reasoning(text=text):
            return {"type": "reasoning", "content": budget.take(text)}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": budget.take(arguments)}
        case ToolResult(call_id=call_id, content=result):
            return {"type": "tool_call_response", "id": call_id, "response": budget.take(result)}
        case Media(mime_type=mime_type, uri=uri):
            # Only a reference, never the bytes: a single image would be too large for an export.
            modality = mime_type.partition("/")[0]
            return {"type": "uri", "modality": modality, "mime_type": mime_type, "uri": budget.take(uri)}
