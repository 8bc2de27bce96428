"""`Attempt`: one attempt at a model call, with its timeouts, its think tags and its span."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType

from msgspec import Struct, field
from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, ThinkTags, UsageMeter, read_clock
from reasoning_grpc.domain.errors import UpstreamError, UpstreamStalled, UpstreamTimeout
from reasoning_grpc.domain.events import ModelEvent
from reasoning_grpc.llm.attempt_spans import AttemptSpan, AttemptSpans
from reasoning_grpc.llm.port import LanguageModel, ModelCall, ServedModel
from reasoning_grpc.llm.think_tags import TaggedAnswer
from reasoning_grpc.llm.timeouts import ModelTimeouts
from reasoning_grpc.llm.upstream_guard import UpstreamGuards
from reasoning_grpc.llm.wait_timer import WaitTimers


class AttemptSetup(Struct, frozen=True):
    """What all attempts have in common."""

    adapter: LanguageModel
    timeouts: ModelTimeouts
    guards: UpstreamGuards
    find_model: Callable[[str], ServedModel]
    """Returns the model of a name. Raises ModelNotFound."""
    spans: AttemptSpans | None = None
    """None: no attempt has a span."""
    timers: WaitTimers = field(default_factory=WaitTimers)


class Attempt:
    """Reads the events of one attempt; its `async with` block closes the upstream connection.

    An event passes through three duties, from the upstream outwards:

    - The timeouts stand next to the adapter, because they limit how long the upstream itself is silent. Text that the
      think tags hold back has arrived all the same.
    - The think tags come before the span, so that a span that captures content shows reasoning as reasoning.
    - The span stands outside. Each attempt has its own, and the full timeouts.

    The guard of the upstream admits the attempt before all that, and learns of its first token and of its outcome.
    """

    __slots__ = (
        "_admitted",
        "_call",
        "_context",
        "_ends",
        "_events",
        "_has_begun",
        "_meter",
        "_model",
        "_setup",
        "_span",
        "_tagged",
        "_timer",
    )

    def __init__(
        self,
        setup: AttemptSetup,
        model: ServedModel,
        call: ModelCall,
        context: CallContext,
        meter: UsageMeter,
    ) -> None:
        """`model` is that of the call, and the adapter sets what `meter` reads."""
        self._setup = setup
        self._model = model
        self._call = call
        self._context = context
        self._meter = meter

    async def __aenter__(self) -> "Attempt":
        """Begins the attempt. Raises UpstreamError where there is no upstream to call now, or where it is spared."""
        setup, call, context = self._setup, self._call, self._context
        deployment = self._model.find_deployment(context.caller)
        guard = setup.guards.find(deployment)
        self._admitted = guard.try_admit(deployment, context) or await guard.wait_for_slot(deployment, context)
        self._has_begun = False
        """Whether the first event has arrived."""
        try:
            tags = self._model.describe().think_tags
            self._tagged = None if tags is ThinkTags.NONE else TaggedAnswer(tags, call)
            self._span: AttemptSpan | None = None
            if setup.spans is not None:
                self._span = setup.spans.start(call, deployment, context)
                context = replace(context, trace=self._span.trace)
            self._events: AsyncGenerator[ModelEvent, None] = setup.adapter.stream(
                call, deployment, context, self._meter
            )
        except BaseException:
            self._admitted.abandon()
            raise
        self._timer = setup.timers.take()
        self._ends = read_clock() + setup.timeouts.total_seconds
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the attempt, however it went."""
        if error is None:
            self._admitted.end()
        elif isinstance(error, UpstreamError):
            self._admitted.end(error, self._count_queued_seconds())
        elif self._is_unanswered(error):
            self._admitted.end_unanswered(self._count_queued_seconds())
        else:
            self._admitted.abandon()
        self._setup.timers.give_back(self._timer)
        try:
            await self._events.aclose()
        finally:
            if self._span is not None:
                self._span.end(error, self._context, self._meter)

    async def next_events(self) -> Sequence[ModelEvent]:
        """Returns the events that the next event of the adapter becomes, which may be none or several.

        Waits no longer than the timeouts allow. Raises UpstreamError.
        """
        timer, timeouts = self._timer, self._setup.timeouts
        event_seconds = timeouts.stall_seconds if self._has_begun else timeouts.first_token_seconds
        wait_until = read_clock() + event_seconds
        if wait_until > self._ends:
            wait_until = self._ends
        if self._has_begun:
            timer.start(wait_until)
        else:
            timer.start(wait_until, self._count_queued_seconds)
        try:
            event = await anext(self._events)
        except asyncio.CancelledError as exc:
            if not timer.has_expired():
                raise
            raise self._build_timeout(wait_until) from exc
        finally:
            timer.stop()
        if not self._has_begun:
            self._has_begun = True
            queued_seconds = self._count_queued_seconds()
            self._ends += queued_seconds
            self._admitted.record_first_token(queued_seconds)
        events = (event,) if self._tagged is None else self._tagged.convert(event)
        if self._span is not None:
            for each in events:
                self._span.record(each)
        return events

    def _count_queued_seconds(self) -> float:
        """Returns the time so far that the upstream cannot be blamed for; the adapter, once begun, says it."""
        return self._meter.count_queued_seconds()

    def _is_unanswered(self, error: BaseException) -> bool:
        """Whether the deadline ended the attempt before the upstream answered a request that it may have received.

        It is the caller's deadline or an earlier one of our own, such as that of a step or of the classifier.
        """
        is_cut = isinstance(error, asyncio.CancelledError) and self._context.is_late()
        return is_cut and not self._has_begun and self._meter.was_sent()

    def _build_timeout(self, waited_until: float) -> UpstreamError:
        is_stalled = self._has_begun and waited_until != self._ends
        error_class = UpstreamStalled if is_stalled else UpstreamTimeout
        error = error_class(model=self._call.model, is_upstream_reached=self._meter.was_sent())
        error.usage = self._meter.read()
        return error
