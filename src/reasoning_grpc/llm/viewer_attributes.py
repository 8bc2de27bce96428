"""Converts a model call to attributes of OpenInference's conventions, beside those of `genai`."""

import json
from collections.abc import Mapping
from typing import Final

from reasoning_grpc.domain import Deployment, Message, Text, Usage
from reasoning_grpc.domain.events import ModelFinished
from reasoning_grpc.llm import genai
from reasoning_grpc.llm.genai import Attributes
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.telemetry import TOKEN_COUNTS, OpenInference, ViewerKind, cut_text

PROVIDERS: Final[Mapping[str, str]] = {
    "azure_ai": "azure",
    "bedrock": "aws",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "meta_llama": "meta",
    "mistral": "mistralai",
    "oci": "oracle",
    "ollama_chat": "ollama",
    "together_ai": "together",
    "vertex_ai": "google",
}
"""The conventions' names of providers for which litellm has another prefix."""


def build_request_attributes(call: ModelCall, deployment: Deployment) -> Attributes:
    """Returns what a call requests, without any text of its messages."""
    sampling = genai.build_sampling(call.sampling, deployment.sampling)
    parameters = {name.removeprefix("gen_ai.request."): value for name, value in sampling.items()}
    attributes: Attributes = {
        OpenInference.SPAN_KIND: ViewerKind.LLM,
        OpenInference.LLM_MODEL_NAME: genai.read_request_model(deployment),
        OpenInference.LLM_PROVIDER: PROVIDERS.get(deployment.provider, deployment.provider),
    }
    if parameters:
        attributes[OpenInference.LLM_INVOCATION_PARAMETERS] = json.dumps(parameters)
    return attributes


def build_finish_attributes(finished: ModelFinished) -> Attributes:
    """Returns how a call ended, in the provider's word, and what it used."""
    reason = finished.provider_finish_reason or finished.finish_reason.value.lower()
    return {OpenInference.LLM_FINISH_REASON: reason, **build_usage_attributes(finished.usage)}


def build_usage_attributes(usage: Usage) -> Attributes:
    """Returns the tokens of a call, as far as they are known."""
    counts = ((attribute, getattr(usage, name)) for name, attribute in TOKEN_COUNTS.items())
    return {attribute: count for attribute, count in counts if count is not None}


def build_content_attributes(call: ModelCall, answer: Message) -> Attributes:
    """Returns the text of the last message and of the answer; an answer of tool calls alone has none."""
    attributes: Attributes = {OpenInference.INPUT_VALUE: cut_text(_join_texts(call.messages[-1]))}
    if text := _join_texts(answer):
        attributes[OpenInference.OUTPUT_VALUE] = cut_text(text)
    return attributes


def _join_texts(message: Message) -> str:
    return "\n\n".join(part.content.text for part in message.content if isinstance(part.content, Text))
