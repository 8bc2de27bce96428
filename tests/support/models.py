"""ScriptedModel: a LanguageModel that plays given events and keeps the calls it saw."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from typing import Any

from reasoning_grpc.domain import CallContext, FinishReason, ModelInfo, ModelSourceKind, Usage, UsageSource
from reasoning_grpc.domain.errors import ModelNotFound
from reasoning_grpc.domain.events import ContentDelta, Delta, ModelEvent, ModelFinished
from reasoning_grpc.llm.port import ModelCall, estimate_prompt_tokens

Script = Iterable[ModelEvent | Exception | asyncio.Event]
"""What one call yields, raises, or waits for, in this order."""

USAGE = Usage(11, 7, 18, UsageSource.PROVIDER)


def a_model(**overrides: Any) -> ModelInfo:
    """A model of which nothing is known but its name."""
    return replace(ModelInfo(name="fake", source=ModelSourceKind.CONFIGURATION, provider="openai"), **overrides)


def answering(
    *pieces: str | Delta, finish_reason: FinishReason = FinishReason.STOP, usage: Usage = USAGE
) -> tuple[ModelEvent, ...]:
    """A script that says this; texts are pieces of content."""
    deltas = (ContentDelta(piece) if isinstance(piece, str) else piece for piece in pieces)
    return (*deltas, ModelFinished("fake", finish_reason, finish_reason.value.lower(), usage, 0.25))


class ScriptedModel:
    """Plays one script a call, in the order in which they were given."""

    def __init__(self, *scripts: Script, models: Iterable[ModelInfo] = (a_model(),)) -> None:
        self._scripts = deque(scripts)
        self._models = {model.name: model for model in models}
        self.calls: list[ModelCall] = []
        """Every call so far."""
        self.streams_open = 0
        """Calls that were begun, and neither ended nor closed."""
        self.waits = asyncio.Event()
        """Set once a script waits."""

    async def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:  # noqa: ARG002
        """See `LanguageModel.stream`."""
        self.calls.append(call)
        self.streams_open += 1
        try:
            for step in self._scripts.popleft():
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    self.waits.set()
                    await step.wait()
                else:
                    yield step
        finally:
            self.streams_open -= 1

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
