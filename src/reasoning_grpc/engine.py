"""`Engine`: route, then run the path: the one place that knows all paths."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from reasoning_grpc.errors import ReasoningError, RouteNotImplemented
from reasoning_grpc.events import (
    Completed,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    Started,
    StreamEvent,
)
from reasoning_grpc.ledger import Ledger
from reasoning_grpc.model import LanguageModel
from reasoning_grpc.model_calls import events_of_call
from reasoning_grpc.models.table import ModelTable
from reasoning_grpc.passthrough import answering_call
from reasoning_grpc.router import Router
from reasoning_grpc.streams import with_heartbeats
from reasoning_grpc.types import (
    CallContext,
    CompletionRequest,
    EffectiveSetting,
    ModelCallPurpose,
    ModelFilter,
    ModelPage,
    RouteDecision,
    RoutingMode,
)

SERVED_MODES = frozenset({RoutingMode.PASSTHROUGH})
"""The modes that this build serves."""


class Engine:
    """Serves requests: decides their route, and runs it as one stream of events."""

    def __init__(self, table: ModelTable, router: Router, model: LanguageModel) -> None:
        self._table = table
        self._router = router
        self._model = model

    async def run(
        self, request: CompletionRequest, context: CallContext, heartbeat_seconds: float | None = None
    ) -> AsyncGenerator[StreamEvent, None]:
        """The events of an answer: `Started` first, `Completed` last. Closing it stops the upstream.

        Raises ReasoningError; it carries its progress when an upstream was reached.
        """
        ledger = Ledger(
            response_id=f"rsp_{uuid.uuid4().hex}",
            arrived=context.arrived,
            clock=asyncio.get_running_loop().time,
            prices_of=lambda model: self._table.describe(model).prices,
        )
        events = _wanted(self._events(request, context, ledger), request)
        if heartbeat_seconds is not None:
            events = with_heartbeats(events, heartbeat_seconds)
        sequence = 0
        try:
            async with aclosing(events):
                async for event in events:
                    stamped = StreamEvent(ledger.response_id, sequence, ledger.elapsed_seconds(), ledger.calls, event)
                    sequence += 1
                    handed_over = ledger.clock()
                    yield stamped
                    ledger.read_by_client(ledger.clock() - handed_over)
        except BaseException as error:
            progress = ledger.interrupted(error, sequence - 1)
            if isinstance(error, ReasoningError):
                error.progress = progress
            if progress is not None:
                context.report.usage, context.report.cost = progress.usage, progress.cost
            raise
        finally:
            context.report.events = sequence
            context.report.attempts = tuple(ledger.attempts)

    async def classify(self, request: CompletionRequest, context: CallContext) -> RouteDecision:
        """How `run` would route this request, by the same code; raises what goes wrong in deciding."""
        decision, _ = await self._decide(request, context)
        return decision

    async def models(
        self, model_filter: ModelFilter, page_size: int, page_token: str, context: CallContext
    ) -> ModelPage:
        """A page of the models that the caller may use. Raises InvalidRequest for a bad token, and ModelsNotListed."""
        return await self._table.page(model_filter, page_size, page_token, context.caller)

    async def _decide(self, request: CompletionRequest, context: CallContext) -> tuple[RouteDecision, tuple[str, ...]]:
        """The decision, and the models to fall back on."""
        decision = await self._router.decide(request, context)
        model = await self._table.chosen(replace(request, model=decision.model), context.caller)
        decision = replace(decision, model=model.name)
        fallbacks = self._table.fallbacks(request, model, context.caller)
        context.report.route, context.report.model = decision, decision.model
        context.report.labels = request.labels
        if decision.mode not in SERVED_MODES:
            raise RouteNotImplemented(decision)
        return decision, fallbacks

    async def _events(
        self, request: CompletionRequest, context: CallContext, ledger: Ledger
    ) -> AsyncGenerator[Event, None]:
        """Every event, wanted or not, each entered into the ledger."""
        decision, fallbacks = await self._decide(request, context)
        self._table.check_taken(request, decision.model)
        taking = self._table.taking(request, fallbacks)
        call = answering_call(request, decision.model, taking)
        ledger.routed(self._model.count_tokens(call))
        changed = (*_model_changed(request.model, decision), *_settings_changed(fallbacks, taking))
        yield Started(decision, decision.model, context.trace_id, changed)
        async with aclosing(events_of_call(self._model, call, ModelCallPurpose.ANSWER, context)) as events:
            async for event in events:
                ledger.note(event)
                yield event
        completed = ledger.completed()
        _report(completed, context)
        yield completed


async def _wanted(events: AsyncGenerator[Event, None], request: CompletionRequest) -> AsyncGenerator[Event, None]:
    """Those events that the request asked for. Owns `events`: closing this generator closes it."""
    async with aclosing(events):
        async for event in events:
            if _is_wanted(event, request):
                yield event


def _model_changed(asked: str, decision: RouteDecision) -> tuple[EffectiveSetting, ...]:
    if not asked or asked == decision.model:
        return ()
    return (EffectiveSetting("model", asked, decision.model, decision.reason),)


def _settings_changed(asked: tuple[str, ...], effective: tuple[str, ...]) -> tuple[EffectiveSetting, ...]:
    if asked == effective:
        return ()
    reason = "A fallback model that does not take all of the request is left out."
    return (EffectiveSetting("fallback_models", ", ".join(asked), ", ".join(effective), reason),)


def _is_wanted(event: Event, request: CompletionRequest) -> bool:
    match event:
        case ReasoningDelta():
            return request.reasoning.include
        case ModelCallStarted() | ModelCallFinished():
            return request.include.model_calls
        case _:
            return True


def _report(completed: Completed, context: CallContext) -> None:
    report = context.report
    report.model, report.finish_reason = completed.model, completed.finish_reason
    report.usage, report.cost = completed.usage, completed.cost
