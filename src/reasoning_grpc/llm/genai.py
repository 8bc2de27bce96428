"""Converts a model call to attributes of OpenTelemetry's semantic conventions for generative AI."""

import json
from collections.abc import Iterable, Mapping
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
    ToolCall,
    ToolResult,
    Usage,
)
from reasoning_grpc.domain.events import ModelFinished
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.telemetry import PREFIX, SERVER_ADDRESS, SERVER_PORT

OPERATION: Final = "chat"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
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
_SAMPLING: Final[Mapping[str, str]] = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "seed": "gen_ai.request.seed",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
}
"""The attribute of each parameter. Stop sequences have one, too, but are left out: they are text of the caller's."""

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
        **_build_sampling(call.sampling, deployment.sampling),
        **build_address_attributes(deployment.api_base),
    }


def build_address_attributes(url: str) -> Attributes:
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
    counts = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    known: Attributes = {name: count for name, count in counts.items() if count is not None}
    return known | {PREFIX + "usage_source": usage.source.value}


def format_input_messages(messages: Iterable[Message]) -> str:
    """Returns the conversation as the JSON text that the conventions require."""
    return json.dumps([_convert_message(message) for message in messages], ensure_ascii=False)


def format_output_messages(message: Message, finish_reason: str) -> str:
    """Returns the answer as the JSON text that the conventions require; a cut answer has an empty finish reason."""
    return json.dumps([_convert_message(message) | {"finish_reason": finish_reason}], ensure_ascii=False)


def _build_output_type(call: ModelCall) -> Attributes:
    if call.response_format is None:
        return {}
    return {"gen_ai.output.type": "text" if call.response_format.kind is ResponseFormatKind.TEXT else "json"}


def _build_sampling(requested: Sampling, defaults: Sampling) -> Attributes:
    effective: Attributes = {}
    for name, attribute in _SAMPLING.items():
        value = getattr(requested, name)
        value = getattr(defaults, name) if value is None else value
        if value is not None:
            effective[attribute] = value
    return effective


def _convert_message(message: Message) -> dict[str, Any]:
    return {"role": message.role.value.lower(), "parts": [_convert_part(part.content) for part in message.content]}


def _convert_part(content: PartContent) -> dict[str, Any]:
    match content:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "content": text}
        case Reasoning(text=text):
            return {"type": "reasoning", "content": text}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}
        case ToolResult(call_id=call_id, content=result):
            return {"type": "tool_call_response", "id": call_id, "response": result}
        case Media(mime_type=mime_type, uri=uri):
            # Only a reference, never the bytes: a single image would be too large for an export.
            modality = mime_type.partition("/")[0]
            return {"type": "uri", "modality": modality, "mime_type": mime_type, "uri": uri}
