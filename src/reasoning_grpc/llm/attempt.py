"""`Attempt`: one attempt at a model call, with its timeouts, its think tags and its span."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType

from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, ThinkTags, UsageMeter
from reasoning_grpc.domain.errors import UpstreamError, UpstreamStalled, UpstreamTimeout
from reasoning_grpc.domain.events import ModelEvent
from reasoning_grpc.llm.attempt_spans import AttemptSpan, AttemptSpans
from reasoning_grpc.llm.port import LanguageModel, ModelCall
from reasoning_grpc.llm.think_tags import TaggedAnswer
from reasoning_grpc.llm.timeouts import ModelTimeouts
from reasoning_grpc.llm.wait_timer import WaitTimer


class Attempt:
    """Reads the events of one attempt; its `async with` block closes the upstream connection.

    An event passes through three duties, from the upstream outwards:

    - The timeouts stand next to the adapter, because they limit how long the upstream itself is silent. Text that the
      think tags hold back has arrived all the same.
    - The think tags come before the span, so that a span that captures content shows reasoning as reasoning.
    - The span stands outside. Each attempt has its own, and the full timeouts.
    """

    __slots__ = (
        "_adapter",
        "_call",
        "_clock",
        "_context",
        "_ends",
        "_events",
        "_has_begun",
        "_meter",
        "_span",
        "_spans",
        "_tagged",
        "_timeouts",
        "_timer",
    )

    def __init__(
        self,
        adapter: LanguageModel,
        call: ModelCall,
        context: CallContext,
        meter: UsageMeter,
        timeouts: ModelTimeouts,
        spans: AttemptSpans | None,
    ) -> None:
        """`meter` is the adapter's, to set what the provider has counted; without `spans` the attempt has no span."""
        self._adapter = adapter
        self._call = call
        self._context = context
        self._meter = meter
        self._timeouts = timeouts
        self._spans = spans
        self._has_begun = False
        """Whether the first event has arrived."""

    async def __aenter__(self) -> "Attempt":
        """Begins the attempt. Raises ModelNotFound, and UpstreamError where there is no upstream to call now."""
        call, context = self._call, self._context
        tags = self._adapter.describe(call.model).think_tags
        self._tagged = None if tags is ThinkTags.NONE else TaggedAnswer(tags, call)
        self._span: AttemptSpan | None = None
        if self._spans is not None:
            self._span = self._spans.start(call, context)
            context = replace(context, trace=self._span.trace)
        self._events: AsyncGenerator[ModelEvent, None] = self._adapter.stream(call, context, self._meter)
        loop = asyncio.get_running_loop()
        self._timer = WaitTimer(loop)
        self._clock = loop.time
        self._ends = loop.time() + self._timeouts.total_seconds
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the attempt, however it went."""
        self._timer.close()
        try:
            await self._events.aclose()
        finally:
            if self._span is not None:
                self._span.end(error, self._context, self._meter)

    async def next_events(self) -> Sequence[ModelEvent]:
        """Returns the events that the next event of the adapter becomes, which may be none or several.

        Waits no longer than the timeouts allow. Raises UpstreamError.
        """
        event = await self._wait_for_event()
        events = (event,) if self._tagged is None else self._tagged.convert(event)
        if self._span is not None:
            for each in events:
                self._span.record(each)
        return events

    async def _wait_for_event(self) -> ModelEvent:
        timeouts, timer = self._timeouts, self._timer
        event_seconds = timeouts.stall_seconds if self._has_begun else timeouts.first_token_seconds
        wait_until = min(self._clock() + event_seconds, self._ends)
        timer.start(wait_until)
        try:
            event = await anext(self._events)
        except asyncio.CancelledError as exc:
            if not timer.has_expired():
                raise
            raise self._build_timeout(wait_until) from exc
        finally:
            timer.stop()
        self._has_begun = True
        return event

    def _build_timeout(self, waited_until: float) -> UpstreamError:
        is_stalled = self._has_begun and waited_until != self._ends
        error = (UpstreamStalled if is_stalled else UpstreamTimeout)(model=self._call.model)
        error.usage = self._meter.read()
        return error
