"""`LiteLLMModel`: a `LanguageModel` that calls models through `litellm.acompletion`."""

import asyncio
import copy
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import Protocol, Self

from reasoning_grpc.domain import (
    CallContext,
    Deployment,
    EffectiveSetting,
    Message,
    ModelInfo,
    Part,
    Role,
    Secret,
    Text,
    UsageMeter,
)
from reasoning_grpc.domain.errors import (
    ReasoningError,
    UpstreamEmptyResponse,
    UpstreamError,
    UpstreamParameterUnsupported,
    UpstreamRejectedRequest,
    UpstreamStreamTruncated,
)
from reasoning_grpc.domain.events import ModelEvent, ModelFinished
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.answers import AnswerRecord
from reasoning_grpc.litellm_model.calls import create_call
from reasoning_grpc.litellm_model.encodings import count_prompt_tokens
from reasoning_grpc.litellm_model.failures import convert_failure, drop_tracebacks
from reasoning_grpc.litellm_model.origins import DeltaMarker
from reasoning_grpc.litellm_model.provider_call import build_headers
from reasoning_grpc.litellm_model.providers import Way, choose_way
from reasoning_grpc.litellm_model.refused_fields import find_refused_fields, select_set_fields
from reasoning_grpc.litellm_model.request import prepare_call
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.exchange import TransportLimits
from reasoning_grpc.litellm_model.transport.http_transport import HttpTransport
from reasoning_grpc.llm import ModelCall, ServedModel, estimate_prompt_tokens
from reasoning_grpc.telemetry import name_wire

__all__ = ["LiteLLMModel", "ModelDirectory"]

logger = logging.getLogger("reasoning_grpc.litellm")


class ModelDirectory(Protocol):
    """The part of the model table that the adapter uses."""

    def find(self, model: str) -> ServedModel:
        """Returns the model of this name. Raises ModelNotFound and ModelsNotListed."""
        ...


class LiteLLMModel:
    """Calls models through litellm: litellm maps the request, and our own connections carry it where litellm allows."""

    def __init__(self, directory: ModelDirectory, limits: TransportLimits, warm_up_models: Iterable[str] = ()) -> None:
        """`warm_up_models` are litellm's names of models; one model of each provider is warmed up."""
        self._directory = directory
        self._warm_up_models = _choose_warm_up_models(warm_up_models)
        self._transport = HttpTransport(limits)
        self._mapper = RequestMapper()

    def with_directory(self, directory: ModelDirectory, warm_up_models: Iterable[str] = ()) -> Self:
        """Returns an adapter for the models of another directory, over the same connections.

        Closing either closes the connections of both. `warm_up` of the result makes calls for `warm_up_models` alone.
        """
        adapter = copy.copy(self)
        adapter._directory = directory
        adapter._warm_up_models = _choose_warm_up_models(warm_up_models)
        return adapter

    async def stream(
        self, call: ModelCall, deployment: Deployment, context: CallContext, meter: UsageMeter
    ) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`. Makes one attempt, with no limit of ours on its time but the connect timeout."""
        if not library.is_loaded():
            await library.load()  # a call before readiness waits for it without stopping the event loop
        headers = build_headers(deployment, context)
        exchange = self._transport.open_exchange(headers, deployment.name)
        answer = create_call(call, deployment, exchange, headers, self._mapper)
        if context.trace:
            name_wire(context.trace, answer.wire)
        meter.read = lambda: answer.read_usage_so_far(estimate_prompt_tokens(call))
        meter.was_sent = answer.may_be_sent
        meter.count_queued_seconds = exchange.count_queued_seconds
        try:
            await answer.open()
            marker = DeltaMarker(deployment)
            while (deltas := await answer.next_deltas()) is not None:
                for delta in deltas:
                    yield marker.mark(delta)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as exc:
            error = convert_failure(exc, deployment, is_upstream_reached=answer.is_reached, call=call, context=context)
            if answer.is_unsent and not isinstance(exc, ReasoningError):
                error = await self._name_refused_fields(error, call, deployment)
            if error is None:
                raise
            drop_tracebacks(exc)
            try:
                raise _add_usage(error, answer.reader, call) from exc
            finally:
                del error  # its traceback holds this frame, which must not hold it in turn
        finally:
            exchange.close()  # here, not at collection time, so that the upstream stops billing
            await answer.aclose()
        reader = answer.reader
        if reader.finish_reason is None:
            error_class = UpstreamStreamTruncated if reader.has_answer else UpstreamEmptyResponse
            raise _add_usage(error_class(model=deployment.name), reader, call)
        yield ModelFinished(
            model=call.model,
            finish_reason=reader.finish_reason,
            provider_finish_reason=reader.provider_finish_reason,
            usage=reader.build_usage(estimate_prompt_tokens(call)),
            upstream_seconds=answer.waited_seconds,
        )

    async def _name_refused_fields(
        self, error: ReasoningError | None, call: ModelCall, deployment: Deployment
    ) -> ReasoningError | None:
        """Returns the error of a call that litellm did not convert, with the fields at fault where they can be found.

        A refusal of litellm's is no answer of the upstream's, and what breaks litellm may be a field of the request.
        """
        is_refusal = isinstance(error, UpstreamRejectedRequest | UpstreamParameterUnsupported)
        if error is not None:
            error.violations = select_set_fields(call, error.violations)
        if error is not None and (error.violations or not is_refusal):
            return error

        async def is_taken(reduced: ModelCall) -> bool:
            exchange = self._transport.open_dry_exchange()
            trial = create_call(reduced, deployment, exchange, {}, self._mapper)
            with suppress(Exception):  # also of an answer that litellm cannot read, because nobody wrote it
                await trial.open()
                if not exchange.is_sent:  # litellm converts some calls when their answer is first read
                    await trial.next_deltas()
            await trial.aclose()
            return exchange.is_sent

        violations = await find_refused_fields(call, is_taken)
        if error is None and not violations:
            return None
        return UpstreamParameterUnsupported(model=deployment.name, is_upstream_reached=False, violations=violations)

    @property
    def pool(self) -> ConnectionPool:
        """Our connections to upstreams, without those that are litellm's own."""
        return self._transport.pool

    def list_effective_settings(self, call: ModelCall, context: CallContext) -> tuple[EffectiveSetting, ...]:
        """See `LanguageModel.list_effective_settings`."""
        try:
            deployment = self._directory.find(call.model).find_deployment(context.caller)
        except ReasoningError:  # the call itself reports why it cannot be made
            return ()
        return prepare_call(call, deployment).settings

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        return self._directory.find(model).describe()

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`. Only the tokenizers of OpenAI's own models are known."""
        return count_prompt_tokens(call, self._directory.find(call.model).describe().encoding)

    async def warm_up(self) -> None:
        """Imports litellm, and makes a call of each provider that sends nothing.

        The first call of a provider blocks the event loop for up to half a second. A provider that litellm cannot
        call, for example because a package is missing, fails when it is called.
        """
        await library.load()
        for model in dict.fromkeys(("openai/warm-up", *self._warm_up_models)):
            deployment = Deployment(
                name="warm-up", litellm_model=model, api_base="http://127.0.0.1:0/v1", api_key=Secret("none")
            )
            call = ModelCall(model=deployment.name, messages=(Message(Role.USER, (Part(Text("warm up")),)),))
            answer = create_call(call, deployment, self._transport.open_dry_exchange(), {}, self._mapper)
            try:
                await answer.open()
                while await answer.next_deltas() is not None:
                    pass
            except Exception as exc:
                logger.warning("a provider cannot be warmed up", extra={"model": model, "error": type(exc).__name__})
            finally:
                await answer.aclose()

    async def aclose(self) -> None:
        """See `LanguageModel.aclose`."""
        await self._transport.aclose()
        await library.close_clients()


def _choose_warm_up_models(models: Iterable[str]) -> list[str]:
    """Returns one model of each provider whose calls use our connections, so that nothing needs to be sent."""
    by_provider = {model.partition("/")[0]: model for model in models}
    return [model for provider, model in by_provider.items() if choose_way(provider) is not Way.FOREIGN]


def _add_usage(error: ReasoningError, reader: AnswerRecord, call: ModelCall) -> ReasoningError:
    """Returns the error with what the attempt used, where that is known."""
    if isinstance(error, UpstreamError) and reader.has_usage:
        error.usage = reader.build_usage(estimate_prompt_tokens(call))
    return error
