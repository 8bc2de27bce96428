"""`ResilientModel`: wraps a `LanguageModel` and adds retries and fallback models.

There is one rule: a model call may be attempted again, or with another model, until its own first delta has been
yielded. Each switch is yielded as `AttemptSwitched`.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, EffectiveSetting, EffectiveSettingCause
from reasoning_grpc.domain.errors import Retry, UpstreamError
from reasoning_grpc.domain.events import AttemptSwitched, ModelEvent
from reasoning_grpc.llm.port import LanguageModel, ModelCall, WrappedModel

_AS_REQUESTED: Final = "This fallback model allows what was requested."


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The rule for retries: how often and how soon a failed attempt is repeated with the same model."""

    max_retries: int = 2
    base_delay_seconds: float = 0.1
    """The delay before retry n is random, at most this times 2 to the power n - 1."""
    max_delay_seconds: float = 5.0
    """The longest delay. When an upstream asks for a longer one, it is not called again."""

    def choose_delay(self, error: UpstreamError, retries: int) -> float | None:
        """Returns the seconds to wait before retry number `retries` + 1; None for no such retry."""
        allowed = {Retry.NEVER: 0, Retry.ONCE: min(1, self.max_retries), Retry.REPEATEDLY: self.max_retries}
        if retries >= allowed[error.retry]:
            return None
        jittered = random.uniform(0, min(self.max_delay_seconds, self.base_delay_seconds * 2**retries))
        delay = max(jittered, error.retry_after_seconds or 0.0)
        return delay if delay <= self.max_delay_seconds else None


class ResilientModel(WrappedModel):
    """Calls the inner model, and decides whether to call it again after a failure."""

    def __init__(self, inner: LanguageModel, policy: RetryPolicy) -> None:
        super().__init__(inner)
        self._policy = policy

    async def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`. It raises the error of the last attempt."""
        requested, fallbacks = call, iter(call.fallback_models)
        attempt, retries = 1, 0
        while True:
            started = False
            await _wait_if_too_late(context)
            try:
                async with aclosing(self._inner.stream(call, context)) as events:
                    async for event in events:
                        started = True
                        yield event
                return
            except UpstreamError as error:
                _record_refusal(error, context)
                if started:
                    raise
                switch = self._choose_switch(error, call, context, fallbacks, retries)
                if switch is None:
                    raise
                failed = error
            model, delay = switch
            attempt += 1
            following = self._build_call(model, requested)
            yield AttemptSwitched(
                from_model=call.model,
                to_model=model,
                next_attempt=attempt,
                failure=failed.reason,
                http_status=failed.http_status,
                delay_seconds=delay,
                is_upstream_reached=failed.is_upstream_reached,
                usage=failed.usage,
                effective_settings=self._find_changed_settings(requested, call, following, context),
            )
            retries = retries + 1 if model == call.model else 0
            call = following
            await asyncio.sleep(delay)

    def _build_call(self, model: str, requested: ModelCall) -> ModelCall:
        """Returns the requested call for this model; a fallback model gets no higher limit than it is known to allow.

        Providers refuse a limit that is too high, and the caller chose it for the first model.
        """
        call = replace(requested, model=model)
        limit = call.sampling.max_output_tokens
        if model == requested.model or limit is None:
            return call
        allowed = self.describe(model).max_output_tokens or limit
        return replace(call, sampling=replace(call.sampling, max_output_tokens=min(limit, allowed)))

    def _find_changed_settings(
        self, requested: ModelCall, last: ModelCall, following: ModelCall, context: CallContext
    ) -> tuple[EffectiveSetting, ...]:
        """Returns the settings that take effect otherwise in the following attempt than in the last one."""
        if following.model == last.model:
            return ()
        before, after = (
            {setting.field: setting for setting in self.list_effective_settings(call, context)}
            for call in (last, following)
        )
        restored = (
            replace(setting, effective=setting.requested, cause=EffectiveSettingCause.FALLBACK, reason=_AS_REQUESTED)
            for field, setting in before.items()
            if field not in after
        )
        changed = (setting for field, setting in after.items() if setting != before.get(field))
        return (*_find_changed_limits(requested, last, following), *restored, *changed)

    def _choose_switch(
        self, error: UpstreamError, call: ModelCall, context: CallContext, fallbacks: Iterator[str], retries: int
    ) -> tuple[str, float] | None:
        """Returns the model of the next attempt and the delay before it; None when no attempt is left."""
        delay = self._policy.choose_delay(error, retries)
        remaining = context.remaining_seconds()
        if delay is not None and (remaining is None or delay < remaining):
            return call.model, delay
        fallback = next(fallbacks, None) if error.allows_fallback else None
        return None if fallback is None else (fallback, 0.0)


def _record_refusal(error: UpstreamError, context: CallContext) -> None:
    """Records what the provider said, for the log line of the whole call; a fallback model may answer it yet."""
    report = context.report
    report.upstream_message = error.upstream_message or report.upstream_message
    report.required_wire = error.metadata.get("required_wire") or report.required_wire


async def _wait_if_too_late(context: CallContext) -> None:
    """Waits for ever when the deadline is over, so that nothing is paid for: whoever set it now ends the call."""
    if context.remaining_seconds() == 0:
        await asyncio.Event().wait()


def _find_changed_limits(requested: ModelCall, last: ModelCall, following: ModelCall) -> tuple[EffectiveSetting, ...]:
    """Returns the limit of the answer if it differs between the last attempt and the following one."""
    wish, effective = requested.sampling.max_output_tokens, following.sampling.max_output_tokens
    if effective == last.sampling.max_output_tokens:
        return ()
    cause, reason = EffectiveSettingCause.FALLBACK_LIMIT, "The fallback model allows no more."
    if effective == wish:
        cause, reason = EffectiveSettingCause.FALLBACK, _AS_REQUESTED
    return (EffectiveSetting("sampling.max_output_tokens", str(wish), str(effective), cause, reason),)
