"""Chooses the observer of an answer by the path that the request was sent to."""

from collections.abc import Mapping
from typing import Final

from reasoning_grpc.litellm_model.protocols.anthropic import AnthropicObserver
from reasoning_grpc.litellm_model.protocols.bedrock import ConverseObserver
from reasoning_grpc.litellm_model.protocols.bedrock_invoke import InvokeObserver
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.protocols.ollama import OllamaObserver
from reasoning_grpc.litellm_model.protocols.openai import OpenAIObserver

_BY_PATH: Final[Mapping[str, type[Observer]]] = {
    "/chat/completions": OpenAIObserver,
    "/messages": AnthropicObserver,
    "/converse": ConverseObserver,
    "/converse-stream": ConverseObserver,
    "/invoke-with-response-stream": InvokeObserver,
    "/api/chat": OllamaObserver,
    "/api/generate": OllamaObserver,
}
"""The observers by the end of the path."""


def choose_observer(path: str) -> Observer:
    """Returns a new observer for the answer to a POST to this path of a URL."""
    return next((observer for end, observer in _BY_PATH.items() if path.endswith(end)), Observer)()
