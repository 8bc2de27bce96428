"""`LiteLLMModel`: a `LanguageModel` through `litellm.acompletion`, whichever way it goes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from reasoning_grpc.connections import ConnectionPool
from reasoning_grpc.errors import ReasoningError, UpstreamError, UpstreamParameterUnsupported
from reasoning_grpc.events import Delta, ModelEvent, ModelFinished
from reasoning_grpc.litellm_model import failures, library, providers
from reasoning_grpc.litellm_model.answers import AnswerReader
from reasoning_grpc.litellm_model.clients import ExchangeClient, Shape
from reasoning_grpc.litellm_model.own_wire import own_deltas
from reasoning_grpc.litellm_model.plain import PlainAnswer
from reasoning_grpc.litellm_model.providers import OWN_CREDENTIALS, Way
from reasoning_grpc.litellm_model.refusals import refused_fields
from reasoning_grpc.litellm_model.request import completion_arguments, merged_options
from reasoning_grpc.litellm_model.wire import Exchange, Wire, WireLimits
from reasoning_grpc.litellm_model.witness import Witness
from reasoning_grpc.model import ModelCall, estimated_prompt_tokens
from reasoning_grpc.tracing import trace_headers
from reasoning_grpc.types import CallContext, Caller, Deployment, Message, ModelInfo, Part, Role, Text

__all__ = ["LiteLLMModel", "ModelDirectory"]

_OPENAI_API_BASE: Final = "https://api.openai.com/v1"


class ModelDirectory(Protocol):
    """What the adapter needs of the model table."""

    def deployment(self, model: str, caller: Caller) -> Deployment:
        """How to reach a model now, for this caller. Raises ModelNotFound, ModelsNotListed, UpstreamRestarting."""
        ...

    def describe(self, model: str) -> ModelInfo:
        """What is known of a model. Raises ModelNotFound."""
        ...


class LiteLLMModel:
    """Calls models through litellm: it maps the request, our own connections carry it where it lets us."""

    def __init__(self, directory: ModelDirectory, limits: WireLimits) -> None:
        self._directory = directory
        self._wire = Wire(limits)

    async def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`. One attempt, without timers of ours but the connect timeout."""
        deployment = self._directory.deployment(call.model, context.caller)
        headers = _headers(deployment, context)
        exchange = self._wire.exchange(headers)
        answer = _Answer(call, deployment, exchange, headers)
        try:
            await answer.open()
            async with aclosing(answer.deltas()) as deltas:
                async for delta in deltas:
                    yield delta
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as exc:
            error = failures.upstream_error(exc, deployment, reached=answer.reached)
            if error is None:
                raise
            raise _with_usage(error, answer.reader, call) from exc
        finally:
            exchange.close()  # here, not at collection time, so that the upstream stops billing
            await answer.aclose()
        reader = answer.reader
        if reader.finish_reason is None:
            cut = failures.truncated_stream if reader.saw_anything else failures.empty_response
            raise _with_usage(cut(deployment), reader, call)
        yield ModelFinished(
            model=call.model,
            finish_reason=reader.finish_reason,
            provider_finish_reason=reader.provider_finish_reason,
            usage=reader.usage(estimated_prompt_tokens(call)),
            upstream_seconds=answer.waited_seconds,
        )

    @property
    def pool(self) -> ConnectionPool:
        """Our connections to upstreams; litellm's own, where it has to use them, are not among them."""
        return self._wire.pool

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        return self._directory.describe(model)

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`: an estimate, from the length of the texts."""
        return estimated_prompt_tokens(call)

    async def warm_up(self) -> None:
        """Imports litellm and runs one call dry: litellm's first one blocks the loop for a third of a second."""
        await library.load()
        nowhere = Deployment(name="warm-up", litellm_model="openai/warm-up", api_base="http://127.0.0.1:0/v1")
        call = ModelCall(model=nowhere.name, messages=(Message(Role.USER, (Part(Text("warm up")),)),))
        await _Answer(call, nowhere, self._wire.dry_exchange(), {}).open()

    async def aclose(self) -> None:
        """See `LanguageModel.aclose`."""
        await self._wire.aclose()


class _Answer:
    """One call and its answer, read by us or by litellm."""

    def __init__(self, call: ModelCall, deployment: Deployment, exchange: Exchange, headers: Mapping[str, str]) -> None:
        """`headers` are those of the exchange, for litellm's own connections too."""
        self._call = call
        self._headers = headers
        self._deployment = deployment
        self._exchange = exchange
        self._client: ExchangeClient | None = None
        self._plain: PlainAnswer | None = None
        self._opening_seconds = 0.0
        self.reader = AnswerReader()

    async def open(self) -> None:
        """Sends the request; returns when the answer begins. Raises litellm's exceptions, and ours in their chain."""
        deployment = self._deployment
        if violations := refused_fields(self._call, deployment):
            raise UpstreamParameterUnsupported(model=deployment.name, reached=False, violations=violations)
        arguments = completion_arguments(self._call, deployment) | _address(deployment)
        if deployment.provider != "azure" or deployment.api_key:
            self._client = self._new_client()
            arguments["client"] = self._client
        if providers.way(deployment.provider) is not Way.PLAIN:
            arguments["extra_headers"] = dict(self._headers)
        started = asyncio.get_running_loop().time()
        stream = await library.acompletion(**arguments, stream=True, stream_options={"include_usage": True})
        self._opening_seconds = asyncio.get_running_loop().time() - started
        if self._used_as is not Shape.OPENAI:
            client = self._client
            self._plain = PlainAnswer(stream, lambda: Witness() if client is None else client.witness)

    def deltas(self) -> AsyncGenerator[Delta, None]:
        """The answer's deltas; the reader knows finish reason and usage when they end."""
        return own_deltas(self._exchange, self.reader) if self._plain is None else self._plain.deltas(self.reader)

    @property
    def reached(self) -> bool:
        """Whether the upstream may have got the request."""
        return self._exchange.sent or (self._used_as is None and self._plain is not None)

    @property
    def waited_seconds(self) -> float:
        """Time spent waiting for the upstream; for litellm too, where the connection is its own."""
        if self._used_as is not None or self._plain is None:
            return self._exchange.waited_seconds
        return self._opening_seconds + self._plain.waited_seconds

    async def aclose(self) -> None:
        """Stops litellm's reading, if it reads."""
        if self._plain is not None:
            await self._plain.aclose()

    @property
    def _used_as(self) -> Shape | None:
        return None if self._client is None else self._client.used_as

    def _new_client(self) -> ExchangeClient:
        make: type[ExchangeClient] = library.client_class(
            ExchangeClient, for_azure=self._deployment.provider == "azure"
        )
        address = partial(_openai_address, self._deployment)
        return make(self._exchange, address, merged_options(self._call, self._deployment))


def _headers(deployment: Deployment, context: CallContext) -> dict[str, str]:
    return {
        "X-Client-Request-Id": context.request_id,  # what OpenAI calls the client's own id; others ignore it
        **trace_headers(context.trace),
        **deployment.headers,
    }


def _address(deployment: Deployment) -> dict[str, Any]:
    """Where litellm sends a call, and the key that goes there."""
    address: dict[str, Any] = dict(deployment.litellm_params)
    if deployment.api_base:
        address["api_base"] = deployment.api_base
    if deployment.api_key:
        address["api_key"] = deployment.api_key.reveal()
    elif deployment.provider not in OWN_CREDENTIALS:
        address["api_key"] = "not-here"  # without one, litellm would take one that nobody named from the environment
    return address


def _openai_address(deployment: Deployment, query: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The URL and the headers of a call in the OpenAI protocol; the query is what litellm wants in it."""
    api_base, key = deployment.api_base, deployment.api_key.reveal()
    api_base = (api_base or library.default_api_base(deployment.litellm_model) or _OPENAI_API_BASE).rstrip("/")
    if deployment.provider == "azure" and not api_base.endswith("/v1"):
        api_base = f"{api_base}/openai/deployments/{quote(deployment.litellm_model.partition('/')[2], safe='')}"
        return f"{api_base}/chat/completions?{urlencode(query)}", {"api-key": key}
    return f"{api_base}/chat/completions", {"Authorization": f"Bearer {key}"} if key else {}


def _with_usage(error: ReasoningError, reader: AnswerReader, call: ModelCall) -> ReasoningError:
    """The same error; it says what the attempt used, where that is known."""
    if isinstance(error, UpstreamError) and reader.has_usage:
        error.usage = reader.usage(estimated_prompt_tokens(call))
    return error
