"""The request that would leave for a call, without a server and without a network."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yarl import URL

from reasoning_grpc.domain import Deployment, Message, Part, Role, Secret, Text
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.calls import create_call
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.exchange import DryExchange, TransportLimits
from reasoning_grpc.llm import ModelCall


@dataclass(frozen=True, slots=True)
class UnsentRequest:
    """A request that was not sent."""

    url: str
    body: dict[str, Any]
    headers: dict[str, str]
    """The headers of this request, without those that every request of a call carries."""


class RecordingExchange(DryExchange):
    """An exchange that keeps the request in place of sending it."""

    request: UnsentRequest | None = None

    async def send(self, url: str | URL, body: bytes, headers: Mapping[str, str]) -> None:
        """Keeps the request."""
        await super().send(url, body, headers)
        self.request = UnsentRequest(str(url), json.loads(body), dict(headers))


def a_deployment(litellm_model: str, **fields: Any) -> Deployment:
    """Builds a deployment whose address nobody listens at."""
    return Deployment(
        **{
            "name": "fake",
            "litellm_model": litellm_model,
            "api_base": "http://127.0.0.1:9/v1",
            "api_key": Secret("key"),
            **fields,
        }
    )


def a_model_call(*messages: Message, **fields: Any) -> ModelCall:
    """Builds a call, whose message is "hi" if none is given."""
    return ModelCall(model="fake", messages=messages or (Message(Role.USER, (Part(Text("hi")),)),), **fields)


async def build_request(deployment: Deployment, call: ModelCall) -> UnsentRequest:
    """Returns the request that would leave. Raises what the call raises before it is sent."""
    await library.load()
    exchange = RecordingExchange(ConnectionPool(limit=1), TransportLimits(), {})
    answer = create_call(call, deployment, exchange, {}, RequestMapper())
    try:
        await answer.open()
        if exchange.request is None:  # litellm sends some requests when it is first read
            while await answer.next_deltas() is not None:
                pass
    except Exception:
        if exchange.request is None:
            raise
        # The answer is no JSON, because nobody wrote it.
    finally:
        await answer.aclose()
    assert exchange.request is not None
    return exchange.request
