"""`ResilientModel`: makes model calls, and attempts a call again where a failure allows it.

There is one rule: a model call may be attempted again, or with another model, until its own first delta has been
yielded. Each switch is yielded as `AttemptSwitched`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from functools import partial

from reasoning_grpc.domain import (
    CallContext,
    Caller,
    EffectiveSetting,
    ModelCallPurpose,
    ModelInfo,
    UsageMeter,
)
from reasoning_grpc.domain.errors import UpstreamError, UpstreamRestarting
from reasoning_grpc.domain.events import Event, ModelCallFinished, ModelCallStarted, ModelFinished
from reasoning_grpc.llm.attempt import Attempt, AttemptSetup
from reasoning_grpc.llm.attempt_spans import AttemptSpans
from reasoning_grpc.llm.model_call_quotas import ModelCallQuotas
from reasoning_grpc.llm.port import LanguageModel, ModelCall, ServedModel, estimate_prompt_tokens
from reasoning_grpc.llm.retries import CallRetries, RetryPolicy
from reasoning_grpc.llm.timeouts import ModelTimeouts
from reasoning_grpc.llm.upstream_guard import UpstreamGuards

logger = logging.getLogger("reasoning_grpc.llm")


class ResilientModel:
    """Makes the model calls of requests; closing it closes the adapter, which makes each single attempt."""

    def __init__(
        self,
        adapter: LanguageModel,
        *,
        timeouts: ModelTimeouts,
        retries: RetryPolicy,
        guards: UpstreamGuards,
        find_model: Callable[[str], ServedModel],
        spans: AttemptSpans | None = None,
        quotas: ModelCallQuotas | None = None,
    ) -> None:
        """`find_model` returns the model of a name, or raises ModelNotFound. Without `spans` no attempt has a span.

        Without `quotas` no caller's limits hold.
        """
        self._adapter = adapter
        self._policy = retries
        self._setup = AttemptSetup(adapter, timeouts, guards, find_model, spans)
        self._quotas = quotas

    def stream_call(
        self, call: ModelCall, purpose: ModelCallPurpose, context: CallContext
    ) -> AsyncGenerator[Event, None]:
        """Yields `ModelCallStarted` before each attempt at the call, then its deltas, and `ModelCallFinished` last.

        Closing the generator closes the upstream connection at once.

        Raises:
            UpstreamError: The last attempt failed.
            ModelNotFound: The model table has no such model.
            CallerLimitReached: The caller's limits leave too little for the call. Nothing was sent.
            RequestTooLarge: The prompt exceeds a limit of the caller's. Nothing was sent.
        """
        limits = context.caller.limits
        if limits is None or self._quotas is None:
            return self._stream_attempts(call, purpose, context)
        stream = partial(self._stream_attempts, call, purpose, context)
        prices = self._setup.find_model(call.model).describe().prices
        return self._quotas.stream_within_limits(call, prices, context, limits, stream)

    async def _stream_attempts(
        self, call: ModelCall, purpose: ModelCallPurpose, context: CallContext
    ) -> AsyncGenerator[Event, None]:
        requested, number, meter, has_begun = call, 1, UsageMeter(), False
        estimate = partial(estimate_prompt_tokens, call)
        retries: CallRetries | None = None
        while True:
            model = self._setup.find_model(call.model)
            yield ModelCallStarted(purpose, call.model, number, estimate, meter, model.describe().prices)
            if retries is not None:
                await asyncio.sleep(retries.delay_seconds)
            if context.remaining_seconds() == 0:
                await _wait_for_end()
            try:
                async with Attempt(self._setup, model, call, context, meter) as attempt:
                    while True:
                        for event in await attempt.next_events():
                            if isinstance(event, ModelFinished):
                                yield _convert_finished(event, call, purpose, number)
                                return
                            has_begun = True
                            yield event
            except UpstreamError as error:
                _record_refusal(error, context)
                _log_failure(error, call, number, context)
                retries = retries or CallRetries(self._adapter, self._policy, self._try_retry, requested, context)
                following = None if has_begun else retries.choose_next(call, error)
                if following is None:
                    raise
            call, switched = following
            number = switched.next_attempt
            yield switched
            meter.reset()

    def _try_retry(self, model: str, caller: Caller) -> bool:
        """Takes a retry from the budget of the model's upstream; returns whether it had one.

        A retry at an upstream that restarts is free: nothing is sent to it before it answers again.
        """
        try:
            deployment = self._setup.find_model(model).find_deployment(caller)
        except UpstreamRestarting:
            return True
        return self._setup.guards.find(deployment).retries.try_take()

    def list_effective_settings(self, call: ModelCall, context: CallContext) -> tuple[EffectiveSetting, ...]:
        """See `LanguageModel.list_effective_settings`."""
        return self._adapter.list_effective_settings(call, context)

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        return self._adapter.describe(model)

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        return self._adapter.count_tokens(call)

    async def warm_up(self) -> None:
        """See `LanguageModel.warm_up`."""
        await self._adapter.warm_up()

    async def aclose(self) -> None:
        """See `LanguageModel.aclose`."""
        await self._adapter.aclose()


def _convert_finished(
    event: ModelFinished, call: ModelCall, purpose: ModelCallPurpose, number: int
) -> ModelCallFinished:
    return ModelCallFinished(
        purpose,
        event.model,
        number,
        event.finish_reason,
        event.provider_finish_reason,
        event.usage,
        event.upstream_seconds,
        call.omitted_messages,
        call.omitted_tokens,
    )


def _record_refusal(error: UpstreamError, context: CallContext) -> None:
    """Records what the provider said, for the log line of the whole call; a fallback model may answer it yet."""
    report = context.report
    report.upstream_message = error.upstream_message or report.upstream_message
    report.required_wire = error.metadata.get("required_wire") or report.required_wire


def _log_failure(error: UpstreamError, call: ModelCall, number: int, context: CallContext) -> None:
    facts = {"model": call.model, "attempt": number, "reason": error.reason, "http_status": error.http_status}
    logger.debug("attempt has failed", extra={"request_id": context.request_id, **facts})


async def _wait_for_end() -> None:
    """Waits for ever when the deadline is over, so that nothing is paid for: whoever set it now ends the call."""
    await asyncio.Event().wait()
