"""`CompletionCall`: one call of `litellm.acompletion`, whose answer litellm reads."""

from collections.abc import Awaitable, Mapping
from typing import Any

from reasoning_grpc.domain import Deployment, Usage, read_clock
from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.addresses import build_litellm_address
from reasoning_grpc.litellm_model.answers import AnswerReader
from reasoning_grpc.litellm_model.litellm_reader import LiteLLMAnswer
from reasoning_grpc.litellm_model.outgoing import OutgoingRequest
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from reasoning_grpc.litellm_model.providers import Way, choose_way
from reasoning_grpc.litellm_model.request import (
    STAY_WITH_CHAT,
    STREAMED,
    PreparedCall,
    build_arguments,
    build_own_members,
    choose_model,
    copy_arguments,
    find_correction,
)
from reasoning_grpc.litellm_model.transport.client_shim import ExchangeClient
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall


class CompletionCall(ProviderCall):
    """One call and its answer. Our connections carry it where litellm takes our client."""

    wire = "litellm"

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
        self._headers = headers
        self._client: ExchangeClient | None = None
        """None where litellm uses a client of its own for certain."""
        self._litellm_answer: LiteLLMAnswer | None = None
        """None while nothing was sent."""
        self._opening_seconds = 0.0

    async def _open(self, prepared: PreparedCall) -> None:
        deployment, call = self._deployment, prepared.choose_call(self._call)
        arguments: dict[str, Any] = copy_arguments({**build_arguments(call, deployment), **STREAMED})
        arguments |= {**build_litellm_address(deployment), **choose_model(deployment), **STAY_WITH_CHAT}
        if deployment.provider != "azure":
            arguments["client"] = self._client = self._create_client(call)
        if choose_way(deployment.provider) is not Way.PLAIN:
            arguments["extra_headers"] = dict(self._headers)
        started = read_clock()
        stream = await library.leave_thread_first(library.acompletion(**arguments), self._stop_sending)
        self._opening_seconds = read_clock() - started
        client = self._client
        self._litellm_answer = LiteLLMAnswer(stream, lambda: Observer() if client is None else client.observer)

    def _stop_sending(self) -> bool:
        """Lets nothing be sent from now on, if nothing was; returns whether that is so."""
        if not self._is_ours or self._uses_exchange:
            return False
        self._exchange.close()
        return True

    def next_deltas(self) -> Awaitable[list[Delta] | None]:
        """See `ProviderCall.next_deltas`."""
        assert self._litellm_answer is not None  # `open` has returned
        return self._litellm_answer.next_deltas(self._answer_reader)

    def read_usage_so_far(self, estimated_input_tokens: int) -> Usage | None:
        """See `ProviderCall.read_usage_so_far`."""
        if self._litellm_answer is not None:
            self._litellm_answer.record_counts(self._answer_reader)
        return super().read_usage_so_far(estimated_input_tokens)

    @property
    def is_reached(self) -> bool:
        """See `ProviderCall.is_reached`."""
        return self._exchange.is_sent or (not self._uses_exchange and self._litellm_answer is not None)

    def may_be_sent(self) -> bool:
        """See `ProviderCall.may_be_sent`. litellm does not say what it does on connections of its own."""
        return self._exchange.is_sent or not self._is_ours

    @property
    def is_unsent(self) -> bool:
        """See `ProviderCall.is_unsent`."""
        return self._is_ours and not self._uses_exchange

    @property
    def waited_seconds(self) -> float:
        """See `ProviderCall.waited_seconds`."""
        if self._uses_exchange or self._litellm_answer is None:
            return self._exchange.waited_seconds
        return self._opening_seconds + self._litellm_answer.waited_seconds

    async def aclose(self) -> None:
        """Stops litellm's reading."""
        if self._litellm_answer is not None:
            await self._litellm_answer.aclose()

    @property
    def _is_ours(self) -> bool:
        """Whether the request goes over our connections, if it is sent at all."""
        return self._client is not None and choose_way(self._deployment.provider) is not Way.FOREIGN

    @property
    def _uses_exchange(self) -> bool:
        """Whether litellm has used our client."""
        return self._client is not None and self._client.is_used

    def _create_client(self, call: ModelCall) -> ExchangeClient:
        deployment = self._deployment
        client_class: type[ExchangeClient] = library.make_client_class(ExchangeClient, for_azure=False)
        own, correct = build_own_members(call, deployment), find_correction(call, deployment)
        return client_class(self._exchange, OutgoingRequest(deployment, own, correct))
