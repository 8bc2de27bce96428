"""`TimedModel`: a `LanguageModel` around another that adds our own limits on its time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from reasoning_grpc.domain import CallContext
from reasoning_grpc.domain.errors import UpstreamError, UpstreamStalled, UpstreamTimeout
from reasoning_grpc.domain.events import ModelEvent, ModelFinished
from reasoning_grpc.llm.port import LanguageModel, ModelCall, WrappedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimeouts:
    """Our own limits on one attempt at a model call, beside the caller's deadline."""

    first_token_seconds: float = 60.0
    """Until the first delta."""
    stall_seconds: float = 60.0
    """Between two deltas."""
    total_seconds: float = 600.0
    """Until the end."""


class TimedModel(WrappedModel):
    """Calls the inner model; decides when to stop waiting."""

    def __init__(self, inner: LanguageModel, timeouts: ModelTimeouts) -> None:
        super().__init__(inner)
        self._timeouts = timeouts

    async def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`; each event is awaited no longer than our timers allow."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._timeouts.total_seconds
        patience = self._timeouts.first_token_seconds
        silence: type[UpstreamError] = UpstreamTimeout
        async with aclosing(self._inner.stream(call, context)) as events:
            while True:
                wait_until = min(loop.time() + patience, ends)
                try:
                    async with asyncio.timeout_at(wait_until):
                        event = await anext(events, None)
                except TimeoutError as exc:
                    late = UpstreamTimeout if wait_until == ends else silence
                    raise late(model=call.model) from exc
                if event is None:
                    return
                yield event
                if isinstance(event, ModelFinished):
                    return
                patience, silence = self._timeouts.stall_seconds, UpstreamStalled
