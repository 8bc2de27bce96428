"""Chooses the next attempt after a failure: a retry with the same model, or an attempt with a fallback model."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, Caller, EffectiveSetting, EffectiveSettingCause
from reasoning_grpc.domain.errors import Retry, UpstreamError
from reasoning_grpc.domain.events import AttemptSwitched
from reasoning_grpc.llm.port import LanguageModel, ModelCall

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


class CallRetries:
    """Chooses the attempts that follow the failed attempts at one call."""

    def __init__(
        self,
        adapter: LanguageModel,
        policy: RetryPolicy,
        try_retry: Callable[[str, Caller], bool],
        requested: ModelCall,
        context: CallContext,
    ) -> None:
        """`try_retry` takes a retry from the budget of a model's upstream, and returns whether it had one."""
        self._adapter = adapter
        self._policy = policy
        self._try_retry = try_retry
        self._requested = requested
        self._context = context
        self._fallbacks = iter(requested.fallback_models)
        self._attempts = 1
        """The number of attempts so far."""
        self._retries = 0
        """How many of them repeated an attempt with the model in use."""
        self.delay_seconds = 0.0
        """The delay before the next attempt."""

    def choose_next(self, failed: ModelCall, error: UpstreamError) -> tuple[ModelCall, AttemptSwitched] | None:
        """Returns the call of the next attempt, and the event of the switch to it; None when no attempt is left."""
        model = self._choose_model(failed.model, error)
        if model is None:
            return None
        self._attempts += 1
        self._retries = self._retries + 1 if model == failed.model else 0
        following = self._build_call(model)
        return following, AttemptSwitched(
            from_model=failed.model,
            to_model=model,
            next_attempt=self._attempts,
            failure=error.reason,
            http_status=error.http_status,
            delay_seconds=self.delay_seconds,
            is_upstream_reached=error.is_upstream_reached,
            usage=error.usage,
            effective_settings=self._find_changed_settings(failed, following),
        )

    def _choose_model(self, failed: str, error: UpstreamError) -> str | None:
        """Returns the model of the next attempt, and sets the delay before it; None when no attempt is left."""
        delay = self._policy.choose_delay(error, self._retries)
        remaining = self._context.remaining_seconds()
        is_in_time = delay is not None and (remaining is None or delay < remaining)
        if delay is not None and is_in_time and self._try_retry(failed, self._context.caller):
            self.delay_seconds = delay
            return failed
        self.delay_seconds = 0.0
        return next(self._fallbacks, None) if error.allows_fallback else None

    def _build_call(self, model: str) -> ModelCall:
        """Returns the requested call for this model; a fallback model gets no higher limit than it is known to allow.

        Providers refuse a limit that is too high, and the caller chose it for the first model.
        """
        requested = self._requested
        call = replace(requested, model=model)
        limit = call.sampling.max_output_tokens
        if model == requested.model or limit is None:
            return call
        allowed = self._adapter.describe(model).max_output_tokens or limit
        return replace(call, sampling=replace(call.sampling, max_output_tokens=min(limit, allowed)))

    def _find_changed_settings(self, last: ModelCall, following: ModelCall) -> tuple[EffectiveSetting, ...]:
        """Returns the settings that take effect otherwise in the following attempt than in the last one."""
        if following.model == last.model:
            return ()
        before, after = (
            {setting.field: setting for setting in self._adapter.list_effective_settings(call, self._context)}
            for call in (last, following)
        )
        restored = (
            replace(setting, effective=setting.requested, cause=EffectiveSettingCause.FALLBACK, reason=_AS_REQUESTED)
            for field, setting in before.items()
            if field not in after
        )
        changed = (setting for field, setting in after.items() if setting != before.get(field))
        return (*_find_changed_limits(self._requested, last, following), *restored, *changed)


def _find_changed_limits(requested: ModelCall, last: ModelCall, following: ModelCall) -> tuple[EffectiveSetting, ...]:
    """Returns the limit of the answer if it differs between the last attempt and the following one."""
    wish, effective = requested.sampling.max_output_tokens, following.sampling.max_output_tokens
    if effective == last.sampling.max_output_tokens:
        return ()
    cause, reason = EffectiveSettingCause.FALLBACK_LIMIT, "The fallback model allows no more."
    if effective == wish:
        cause, reason = EffectiveSettingCause.FALLBACK, _AS_REQUESTED
    return (EffectiveSetting("sampling.max_output_tokens", str(wish), str(effective), cause, reason),)
