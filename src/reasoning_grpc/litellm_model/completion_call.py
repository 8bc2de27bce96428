"""`CompletionCall`: one call of `litellm.acompletion`, in whichever way it goes to its provider."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from reasoning_grpc.domain import Deployment, Usage
from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.answers import AnswerReader
from reasoning_grpc.litellm_model.litellm_reader import LiteLLMAnswer
from reasoning_grpc.litellm_model.outgoing import OutgoingRequest
from reasoning_grpc.litellm_model.own_reader import read_deltas
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from reasoning_grpc.litellm_model.providers import OWN_CREDENTIALS, Way, choose_way
from reasoning_grpc.litellm_model.request import (
    STAY_WITH_CHAT,
    PreparedCall,
    WireCheck,
    build_arguments,
    build_own_members,
    choose_model,
    copy_arguments,
    find_correction,
    find_wire_rules,
)
from reasoning_grpc.litellm_model.transport.client_shim import ExchangeClient, Shape
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall

_STREAMED: Final[Mapping[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}}
"""The parameters that every call adds to its own."""


class CompletionCall(ProviderCall):
    """One call and its answer, which either we read or litellm reads."""

    def __init__(
        self,
        call: ModelCall,
        deployment: Deployment,
        exchange: Exchange,
        prepared: PreparedCall,
        headers: Mapping[str, str],
    ) -> None:
        """`headers` are those of the exchange; litellm's own connections send them too."""
        self._answer_reader = AnswerReader()
        super().__init__(call, deployment, exchange, self._answer_reader, prepared)
        self._requested: dict[str, Any] = {}
        self._headers = headers
        self._client: ExchangeClient | None = None
        self._litellm_answer: LiteLLMAnswer | None = None
        """None while nothing was sent, and where we read the answer ourselves."""
        self._opening_seconds = 0.0

    async def _open(self, prepared: PreparedCall) -> None:
        deployment = self._deployment
        self._requested = build_arguments(prepared.call, deployment)
        arguments: dict[str, Any] = {**copy_arguments(self._requested), **_build_address(deployment)}
        arguments |= {**choose_model(deployment), **STAY_WITH_CHAT}
        if deployment.provider != "azure" or deployment.api_key:
            self._client = self._create_client(prepared.call)
            arguments["client"] = self._client
        if choose_way(deployment.provider) is not Way.PLAIN:
            arguments["extra_headers"] = dict(self._headers)
        started = asyncio.get_running_loop().time()
        stream = await library.acompletion(**arguments, **copy_arguments(_STREAMED))
        self._opening_seconds = asyncio.get_running_loop().time() - started
        if self._used_as is not Shape.OPENAI:
            client = self._client
            self._litellm_answer = LiteLLMAnswer(stream, lambda: Observer() if client is None else client.observer)

    def deltas(self) -> AsyncGenerator[Delta, None]:
        """Returns the deltas of the answer; `reader` knows finish reason and usage when they end."""
        if self._litellm_answer is None:
            return read_deltas(self._exchange, self.reader)
        return self._litellm_answer.deltas(self._answer_reader)

    def read_usage_so_far(self, estimated_input_tokens: int) -> Usage | None:
        """Returns what the provider has counted so far; None where it has counted nothing."""
        if self._litellm_answer is not None:
            self._litellm_answer.record_counts(self._answer_reader)
        return super().read_usage_so_far(estimated_input_tokens)

    @property
    def is_reached(self) -> bool:
        """Whether the upstream may have received the request."""
        return self._exchange.is_sent or (self._used_as is None and self._litellm_answer is not None)

    @property
    def is_unsent(self) -> bool:
        """Whether it is certain that nobody has tried to send the request."""
        is_ours = self._client is not None and choose_way(self._deployment.provider) is not Way.FOREIGN
        return is_ours and self._used_as is None

    @property
    def waited_seconds(self) -> float:
        """Time spent waiting for the upstream, and for litellm too, where the connection is litellm's."""
        if self._used_as is not None or self._litellm_answer is None:
            return self._exchange.waited_seconds
        return self._opening_seconds + self._litellm_answer.waited_seconds

    async def aclose(self) -> None:
        """Stops litellm's reading, if it reads."""
        if self._litellm_answer is not None:
            await self._litellm_answer.aclose()

    @property
    def _used_as(self) -> Shape | None:
        return None if self._client is None else self._client.used_as

    def _create_client(self, call: ModelCall) -> ExchangeClient:
        deployment = self._deployment
        client_class: type[ExchangeClient] = library.make_client_class(
            ExchangeClient, for_azure=deployment.provider == "azure"
        )
        own, rules = build_own_members(call, deployment), find_wire_rules(deployment.provider)
        requested = {**self._requested, **_STREAMED}
        check = None if rules is None else WireCheck(requested, own, rules, model=deployment.name)
        outgoing = OutgoingRequest(deployment, own, check, find_correction(call, deployment))
        return client_class(self._exchange, outgoing)


def _build_address(deployment: Deployment) -> dict[str, Any]:
    """Returns the arguments that tell litellm where to send a call, and with which key."""
    address: dict[str, Any] = dict(deployment.litellm_params)
    if deployment.api_base:
        address["api_base"] = deployment.api_base
    if deployment.api_key:
        address["api_key"] = deployment.api_key.reveal()
    elif deployment.provider not in OWN_CREDENTIALS:
        address["api_key"] = "not-here"  # without a key, litellm would take any that it finds in the environment
    return address
