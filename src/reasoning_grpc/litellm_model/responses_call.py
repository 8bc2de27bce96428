"""`ResponsesCall`: one call of OpenAI's Responses API, over our connections and with our reader."""

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec

from reasoning_grpc.domain import Capability, Deployment, Wire
from reasoning_grpc.domain.errors import FieldViolation, UpstreamParameterUnsupported
from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.answers import ResponsesReader
from reasoning_grpc.litellm_model.outgoing import build_address, read_deployment_name
from reasoning_grpc.litellm_model.own_reader import read_deltas
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from reasoning_grpc.litellm_model.request import (
    PreparedCall,
    copy_arguments,
    find_facts,
    find_lost_parameters,
    join_members,
    write_input,
    write_parameters,
)
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall

_AZURE_API_VERSION: Final = "preview"
"""The version that an address of Azure's needs which does not end with /v1, where the entry names none."""


class ResponsesCall(ProviderCall):
    """One call and its answer. litellm decides which parameters the model takes; we write the body."""

    def __init__(self, call: ModelCall, deployment: Deployment, exchange: Exchange) -> None:
        super().__init__(call, deployment, exchange, ResponsesReader())
        self._is_sending = False

    async def _open(self, prepared: PreparedCall) -> None:
        deployment = self._deployment
        body = _write_body(prepared.call, deployment)
        query = {"api-version": deployment.litellm_params.get("api_version", _AZURE_API_VERSION)}
        url, headers = build_address(deployment, query, Wire.RESPONSES)
        self._is_sending = True
        await self._exchange.send(url, msgspec.json.encode(body), headers)

    def deltas(self) -> AsyncGenerator[Delta, None]:
        """See `ProviderCall.deltas`."""
        return read_deltas(self._exchange, self.reader)

    @property
    def is_unsent(self) -> bool:
        """See `ProviderCall.is_unsent`."""
        return not self._is_sending


def _write_body(call: ModelCall, deployment: Deployment) -> dict[str, Any]:
    """Returns the body of the request. Raises litellm's exceptions, and UpstreamParameterUnsupported."""
    reasons = Capability.REASONING in find_facts(deployment).capabilities or call.reasoning.effort is not None
    parameters = write_parameters(call, deployment, reasons=reasons)
    name = deployment.deciding_model.partition("/")[2]
    mapped = library.map_responses_parameters(deployment.provider, name, copy_arguments(parameters))
    if fields := find_lost_parameters(parameters, mapped):
        violations = tuple(FieldViolation(field, "The model does not take it.") for field in fields)
        raise UpstreamParameterUnsupported(model=deployment.name, is_upstream_reached=False, violations=violations)
    options = {name: msgspec.json.decode(value) for name, value in call.provider_options.items()}
    body = {"model": read_deployment_name(deployment), "input": write_input(call, deployment), **parameters}
    return join_members(body, options)
