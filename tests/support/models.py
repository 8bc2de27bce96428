"""`ScriptedModel`: a LanguageModel that plays scripts and keeps the calls that it received."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from reasoning_grpc.domain import (
    CallContext,
    Caller,
    Deployment,
    EffectiveSetting,
    FinishReason,
    ModelInfo,
    ModelSourceKind,
    Usage,
    UsageMeter,
    UsageSource,
)
from reasoning_grpc.domain.errors import ModelNotFound
from reasoning_grpc.domain.events import ContentDelta, Delta, ModelEvent, ModelFinished
from reasoning_grpc.llm import GuardPolicy, ModelTimeouts, ResilientModel, RetryPolicy, UpstreamGuards
from reasoning_grpc.llm.port import LanguageModel, ModelCall, estimate_prompt_tokens

Script = Iterable[ModelEvent | Exception | asyncio.Event]
"""The events that one call yields, the errors that it raises, and the events that it waits for, in order."""

USAGE = Usage(11, 7, 18, UsageSource.PROVIDER)


def a_model(**overrides: Any) -> ModelInfo:
    """Builds a model of which nothing is known but its name."""
    return replace(ModelInfo(name="fake", source=ModelSourceKind.CONFIGURATION, provider="openai"), **overrides)


def script_answer(
    *deltas: str | Delta, finish_reason: FinishReason = FinishReason.STOP, usage: Usage = USAGE
) -> tuple[ModelEvent, ...]:
    """Builds a script that gives an answer; a text stands for a delta of content."""
    events = (ContentDelta(delta) if isinstance(delta, str) else delta for delta in deltas)
    return (*events, ModelFinished("fake", finish_reason, finish_reason.value.lower(), usage, 0.25))


@dataclass(frozen=True)
class Served:
    """A model of a model table, which every caller reaches alike."""

    info: ModelInfo
    deployment: Deployment

    def describe(self) -> ModelInfo:
        """See `ServedModel.describe`."""
        return self.info

    def find_deployment(self, caller: Caller) -> Deployment:  # noqa: ARG002
        """See `ServedModel.find_deployment`."""
        return self.deployment


def make_resilient(adapter: LanguageModel, **options: Any) -> ResilientModel:
    """Returns what makes calls of an adapter's models; without other options it retries nothing."""
    defaults: dict[str, Any] = {
        "timeouts": ModelTimeouts(),
        "retries": RetryPolicy(max_retries=0),
        "guards": UpstreamGuards(GuardPolicy(), time.monotonic),
        "find_model": lambda name: Served(
            adapter.describe(name), Deployment(name=name, litellm_model=f"openai/{name}", api_base="")
        ),
    }
    return ResilientModel(adapter, **defaults | options)


class ScriptedModel:
    """Plays one script for each call, in the order in which they were passed."""

    def __init__(self, *scripts: Script, models: Iterable[ModelInfo] = (a_model(),), is_sent: bool = True) -> None:
        """`is_sent` says whether its requests count as sent."""
        self._scripts = deque(scripts)
        self._models = {model.name: model for model in models}
        self._is_sent = is_sent
        self.calls: list[ModelCall] = []
        """All calls so far."""
        self.streams_open = 0
        """The number of calls in progress."""
        self.is_waiting = asyncio.Event()
        """Set as soon as a script waits for an event."""

    async def stream(
        self,
        call: ModelCall,
        deployment: Deployment,  # noqa: ARG002
        context: CallContext,  # noqa: ARG002
        meter: UsageMeter,
    ) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`."""
        self.calls.append(call)
        meter.was_sent = lambda: self._is_sent
        self.streams_open += 1
        try:
            for step in self._scripts.popleft():
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    self.is_waiting.set()
                    await step.wait()
                else:
                    yield step
        finally:
            self.streams_open -= 1

    def list_effective_settings(self, call: ModelCall, context: CallContext) -> tuple[EffectiveSetting, ...]:  # noqa: ARG002
        """See `LanguageModel.list_effective_settings`."""
        return ()

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        if model not in self._models:
            raise ModelNotFound({"model": model})
        return self._models[model]

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        return estimate_prompt_tokens(call)

    async def warm_up(self) -> None:
        """See `LanguageModel.warm_up`."""

    async def aclose(self) -> None:
        """See `LanguageModel.aclose`."""
