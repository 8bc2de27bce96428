"""`ChatCall`: one call of a provider of the OpenAI protocol, over our connections and with our reader."""

from collections.abc import AsyncGenerator

import msgspec

from reasoning_grpc.domain import Deployment
from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.answers import AnswerReader, JsonToolReader
from reasoning_grpc.litellm_model.own_reader import read_deltas
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from reasoning_grpc.litellm_model.request import PreparedCall
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall


class ChatCall(ProviderCall):
    """One call and its answer. litellm decides what leaves; we send it, and read the answer."""

    def __init__(
        self,
        call: ModelCall,
        deployment: Deployment,
        exchange: Exchange,
        prepared: PreparedCall,
        mapper: RequestMapper,
    ) -> None:
        super().__init__(call, deployment, exchange, AnswerReader(), prepared)
        self._mapper = mapper
        self._is_sending = False

    async def _open(self, prepared: PreparedCall) -> None:
        request = await self._mapper.map_call(prepared.call, self._deployment)
        if request.answers_by_tool:
            self.reader = JsonToolReader()
        self._is_sending = True
        await self._exchange.send(request.url, msgspec.json.encode(request.body), request.headers)

    def deltas(self) -> AsyncGenerator[Delta, None]:
        """See `ProviderCall.deltas`."""
        return read_deltas(self._exchange, self.reader)

    @property
    def is_unsent(self) -> bool:
        """See `ProviderCall.is_unsent`."""
        return not self._is_sending
