"""`ChatCall`: one call of a provider of the OpenAI protocol, over our connections and with our reader."""

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model.answers import AnswerReader, JsonToolReader
from reasoning_grpc.litellm_model.own_call import OwnCall
from reasoning_grpc.litellm_model.request import PreparedCall
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall


class ChatCall(OwnCall):
    """One call and its answer. litellm decides what leaves; we send it, and read the answer."""

    wire = "chat"

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

    async def _open(self, prepared: PreparedCall) -> None:
        request = await self._mapper.map_call(prepared.choose_call(self._call), self._deployment)
        if request.answers_by_tool:
            self.reader = JsonToolReader()
        await self._send(request.url, request.body, request.headers)
