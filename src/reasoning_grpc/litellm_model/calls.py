"""`create_call`: creates the `ProviderCall` for a call, by the API through which it goes."""

from collections.abc import Mapping
from typing import Final

from reasoning_grpc.domain import Deployment, Wire
from reasoning_grpc.litellm_model.answers import GeminiReader, MessagesReader
from reasoning_grpc.litellm_model.chat_call import ChatCall
from reasoning_grpc.litellm_model.completion_call import CompletionCall
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from reasoning_grpc.litellm_model.providers import SPEAKS_OPENAI
from reasoning_grpc.litellm_model.request import prepare_call
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.responses_call import ResponsesCall
from reasoning_grpc.litellm_model.translated_call import CreateReader, TranslatedCall
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall

READERS: Final[Mapping[str, CreateReader]] = {
    "anthropic": MessagesReader,
    "gemini": lambda **_: GeminiReader(),  # none of its models writes its answer as the arguments of a tool call
}
"""The readers of the protocols to which litellm translates our requests, by provider."""


def create_call(
    call: ModelCall, deployment: Deployment, exchange: Exchange, headers: Mapping[str, str], mapper: RequestMapper
) -> ProviderCall:
    """Returns the call that is to be opened; `headers` are those of the exchange."""
    prepared = prepare_call(call, deployment)
    if prepared.wire is Wire.RESPONSES:
        return ResponsesCall(call, deployment, exchange, prepared)
    if deployment.provider in SPEAKS_OPENAI and (deployment.provider != "azure" or deployment.api_key):
        return ChatCall(call, deployment, exchange, prepared, mapper)
    if create_reader := READERS.get(deployment.provider):
        return TranslatedCall(call, deployment, exchange, prepared, mapper, create_reader)
    return CompletionCall(call, deployment, exchange, prepared, headers)
