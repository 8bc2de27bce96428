"""`TimedModel`: wraps a `LanguageModel` and limits the time of each attempt."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from reasoning_grpc.domain import CallContext
from reasoning_grpc.domain.errors import UpstreamError, UpstreamStalled, UpstreamTimeout
from reasoning_grpc.domain.events import ModelEvent, ModelFinished
from reasoning_grpc.llm.port import LanguageModel, ModelCall, WrappedModel
from reasoning_grpc.llm.wait_timer import WaitTimer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimeouts:
    """Our own limits on one attempt at a model call, in addition to the caller's deadline."""

    first_token_seconds: float = 60.0
    """The time until the first delta."""
    stall_seconds: float = 60.0
    """The time between two deltas."""
    total_seconds: float = 600.0
    """The time until the end of the answer."""


class TimedModel(WrappedModel):
    """Calls the inner model, and decides when to stop waiting for it."""

    def __init__(self, inner: LanguageModel, timeouts: ModelTimeouts) -> None:
        super().__init__(inner)
        self._timeouts = timeouts

    async def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`. It waits for each event no longer than the timeouts allow."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._timeouts.total_seconds
        event_seconds = self._timeouts.first_token_seconds
        silence_error: type[UpstreamError] = UpstreamTimeout
        timer = WaitTimer(loop)
        try:
            async with aclosing(self._inner.stream(call, context)) as events:
                while True:
                    wait_until = min(loop.time() + event_seconds, ends)
                    timer.start(wait_until)
                    try:
                        event = await anext(events, None)
                    except asyncio.CancelledError as exc:
                        if not timer.has_expired():
                            raise
                        error_class = UpstreamTimeout if wait_until == ends else silence_error
                        error = error_class(model=call.model)
                        error.usage = context.meter.read()
                        raise error from exc
                    finally:
                        timer.stop()
                    if event is None:
                        return
                    yield event
                    if isinstance(event, ModelFinished):
                        return
                    event_seconds, silence_error = self._timeouts.stall_seconds, UpstreamStalled
        finally:
            timer.close()
