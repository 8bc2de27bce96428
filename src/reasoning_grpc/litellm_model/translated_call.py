"""`TranslatedCall`: one call in a provider's own protocol, over our connections and with our reader."""

from typing import Final, Protocol

from yarl import URL

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model.answers import AnswerRecord
from reasoning_grpc.litellm_model.own_call import OwnCall
from reasoning_grpc.litellm_model.request import PreparedCall
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall

WIRES: Final = {"anthropic": "messages", "gemini": "generate_content"}
"""The APIs of the providers that have a reader of their own."""


class CreateReader(Protocol):
    """Creates the reader of one answer in the provider's protocol."""

    def __call__(self, *, answers_by_tool: bool) -> AnswerRecord:
        """`answers_by_tool` says whether the model writes its answer as the arguments of a tool call."""
        ...


class TranslatedCall(OwnCall):
    """One call and its answer. litellm translates the request; we send it, and read the answer."""

    def __init__(
        self,
        call: ModelCall,
        deployment: Deployment,
        exchange: Exchange,
        prepared: PreparedCall,
        mapper: RequestMapper,
        create_reader: CreateReader,
    ) -> None:
        super().__init__(call, deployment, exchange, create_reader(answers_by_tool=False), prepared)
        self.wire = WIRES[deployment.provider]
        self._mapper = mapper
        self._create_reader = create_reader

    async def _open(self, prepared: PreparedCall) -> None:
        request = await self._mapper.map_call(prepared.choose_call(self._call), self._deployment)
        if request.answers_by_tool:
            self.reader = self._create_reader(answers_by_tool=True)
        # The URL is sent as litellm has encoded it.
        await self._send(URL(request.url, encoded=True), request.body, request.headers)
