"""`ResponsesCall`: one call of OpenAI's Responses API, over our connections and with our reader."""

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from reasoning_grpc.domain import Deployment
from reasoning_grpc.domain.errors import UpstreamCredentialsRejected
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.addresses import build_responses_address, read_deployment_name
from reasoning_grpc.litellm_model.answers import ResponsesReader
from reasoning_grpc.litellm_model.own_call import OwnCall
from reasoning_grpc.litellm_model.request import PreparedCall, write_responses_body
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.llm import ModelCall

logger = logging.getLogger("reasoning_grpc.litellm")


class ResponsesCall(OwnCall):
    """One call and its answer. litellm decides which parameters the model takes; we write the body."""

    wire = "responses"

    def __init__(self, call: ModelCall, deployment: Deployment, exchange: Exchange, prepared: PreparedCall) -> None:
        super().__init__(call, deployment, exchange, ResponsesReader(is_stored=deployment.store), prepared)

    async def _open(self, prepared: PreparedCall) -> None:
        deployment = self._deployment
        call = prepared.choose_call(self._call)
        body = write_responses_body(call, deployment, read_deployment_name(deployment))
        url, headers = build_responses_address(deployment)
        if deployment.provider == "azure" and not deployment.api_key:
            headers = await _fetch_azure_credentials(deployment)
        await self._send(url, msgspec.json.encode(body), headers)


async def _fetch_azure_credentials(deployment: Deployment) -> Mapping[str, str]:
    """Returns the header with the credentials of this machine. Raises UpstreamCredentialsRejected without any."""
    try:
        headers = await asyncio.to_thread(library.fetch_azure_credentials, deployment.litellm_params)
    except Exception as exc:
        # Each kind of credential has exceptions of its own, from packages that may be missing.
        logger.warning("no credentials for Azure", extra={"model": deployment.name, "error": type(exc).__name__})
        raise UpstreamCredentialsRejected(model=deployment.name, is_upstream_reached=False) from exc
    if not headers:
        raise UpstreamCredentialsRejected(model=deployment.name, is_upstream_reached=False)
    return headers
