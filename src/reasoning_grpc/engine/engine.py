"""`Engine`: routes a request and runs its path. It is the one module that knows all paths."""

import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from reasoning_grpc.agent import Agent, list_unused_options
from reasoning_grpc.catalog import ModelTable
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    EffectiveSetting,
    ModelCallPurpose,
    ModelFilter,
    ModelInfo,
    ModelPage,
    RouteDecision,
    RoutingMode,
    create_id,
    read_clock,
)
from reasoning_grpc.domain.errors import ReasoningError, RouteNotImplemented
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    Event,
    EventOfTask,
    RouteChanged,
    Started,
    StreamEvent,
)
from reasoning_grpc.domain.streams import add_heartbeats
from reasoning_grpc.engine.captured_content import capture_content
from reasoning_grpc.engine.effective_settings import add_changed_settings, find_initial_settings
from reasoning_grpc.engine.inclusion import SELECTIONS, select_included
from reasoning_grpc.engine.ledger import Entry, Ledger
from reasoning_grpc.engine.passthrough import build_direct_call
from reasoning_grpc.engine.pausing import PausableRun, select_first_request, stream_pausable_run
from reasoning_grpc.engine.reports import report_completed, report_events, report_failure
from reasoning_grpc.engine.task_ledger import TaskLedgers
from reasoning_grpc.llm import ContextWindows, ModelCall, ResilientModel
from reasoning_grpc.orchestrator import Orchestrator, TaskModel
from reasoning_grpc.pauses import OpenedPause, Pauses
from reasoning_grpc.router import EventCallback, Router
from reasoning_grpc.telemetry import find_recording_span

logger = logging.getLogger("reasoning_grpc.engine")

_MODES_OF_AGENTS = frozenset({RoutingMode.REASONING, RoutingMode.ORCHESTRATION})
_SPECIAL = (AttemptSwitched, EventOfTask, RouteChanged)
"""The events that are changed, or that change something, before they are recorded."""


@dataclass(frozen=True, slots=True)
class _Routed:
    """A request whose route is decided."""

    request: CompletionRequest
    direct: CompletionRequest
    """The request that a model would answer directly."""
    decision: RouteDecision
    call: ModelCall
    """The model call that would answer directly."""
    opened: OpenedPause | None
    """The paused run that the request continues, if it does."""


class Engine:
    """Serves requests: decides their route and runs it as one stream of events."""

    def __init__(
        self,
        table: ModelTable,
        router: Router,
        model: ResilientModel,
        windows: ContextWindows,
        agent: Agent,
        pauses: Pauses,
        orchestrator: Orchestrator | None = None,
        *,
        captures_content: bool = False,
    ) -> None:
        """Without an orchestrator, requests for its mode are refused.

        `captures_content` puts the question and the answer of each call on its span.
        """
        self._table = table
        self._router = router
        self._model = model
        self._windows = windows
        self._agent = agent
        self._pauses = pauses
        self._orchestrator = orchestrator
        self._captures_content = captures_content

    def run(
        self, request: CompletionRequest, context: CallContext, heartbeat_seconds: float | None = None
    ) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events of an answer: `Started` first, `Completed` last. Closing it stops the upstream.

        Raises ReasoningError, which carries the progress of the request when an upstream was reached.
        """
        ledger = self._open_ledger(context)
        events = self._run(request, context, ledger)
        if self._captures_content and (span := find_recording_span(context.trace)) is not None:
            events = capture_content(events, request, span)
        if heartbeat_seconds is None:
            return events
        return add_heartbeats(events, heartbeat_seconds, ledger.build_heartbeat)

    async def classify(
        self, request: CompletionRequest, context: CallContext, *, rules_only: bool = False
    ) -> RouteDecision:
        """Returns how `run` would route this request, by the same code, and raises the same errors.

        With `rules_only` no model is called: where one would be, the decision has the mode AUTO.
        """
        ledger = self._open_ledger(context)
        try:
            opened = self._open_pause(request, context)
            if opened is not None:
                request = opened.choose_route(request)
            decision, _, _ = await self._decide(request, context, ledger, ledger.record, rules_only=rules_only)
            if opened is not None:
                opened.check_decision(decision)
        except BaseException as error:
            report_failure(error, ledger, context)
            raise
        finally:
            report_events(ledger, context)
        context.report.usage, context.report.cost = ledger.account.usage(), ledger.account.cost()
        return decision

    async def list_models(
        self, model_filter: ModelFilter, page_size: int, page_token: str, context: CallContext
    ) -> ModelPage:
        """Returns a page of the models that the caller may use.

        Raises InvalidRequest for a page token that is not valid, and ModelsNotListed.
        """
        return await self._table.list_page(model_filter, page_size, page_token, context.caller)

    def _open_ledger(self, context: CallContext) -> Ledger:
        ledger = Ledger(
            response_id=create_id("rsp_"),
            arrival_time=context.arrival_time,
            clock=read_clock,
            queue_seconds=context.queue_seconds,
        )
        context.report.read_progress = ledger.read_progress
        return ledger

    async def _decide(
        self,
        request: CompletionRequest,
        context: CallContext,
        ledger: Ledger,
        on_event: EventCallback,
        *,
        rules_only: bool = False,
    ) -> tuple[RouteDecision, ModelInfo | None, tuple[str, ...]]:
        """Returns the decision, the model that serves the request, and the fallback models of either."""
        decision, model = await self._router.decide(request, context, on_event, rules_only=rules_only)
        if decision.classification is not None:
            classification = replace(decision.classification, usage=ledger.account.usage(), cost=ledger.account.cost())
            decision = replace(decision, classification=classification)
        ledger.record_route()
        if logger.isEnabledFor(logging.DEBUG):
            _log_decision(decision, context)
        report = context.report
        report.route_decision, report.model, report.labels = decision, decision.model, request.labels
        if model is None:  # `rules_only`, and no rule decided
            return decision, None, ()
        if decision.mode is RoutingMode.ORCHESTRATION and self._orchestrator is None:
            raise RouteNotImplemented(decision)
        return decision, model, self._table.find_fallbacks(request, model, context.caller)

    async def _run(
        self, request: CompletionRequest, context: CallContext, ledger: Ledger
    ) -> AsyncGenerator[StreamEvent, None]:
        """Yields the events that the request includes; every event is recorded in the ledger when it happens."""
        include = request.include
        going_on: OpenedPause | None = None
        try:
            opened = None if request.continuation is None else self._open_pause(request, context)
            entries, path = await self._begin(request, context, ledger, opened)
            try:
                if opened is not None:
                    await self._pauses.use(opened)
                    going_on = opened
                for entry in entries:
                    if (included := select_included(entry, include)) is not None:
                        yield ledger.hand_over(included)
                        ledger.take_back()
                async for event in path:
                    if isinstance(event, _SPECIAL):
                        entry = _record_special(event, request, ledger, context)
                    else:
                        entry = ledger.record(event)
                    select = SELECTIONS.get(type(entry.event))
                    if (included := entry if select is None else select(entry, include)) is not None:
                        yield ledger.hand_over(included)
                        ledger.take_back()
            finally:
                await path.aclose()
            completed = ledger.build_completed()
            report_completed(completed, ledger, context)
            yield ledger.hand_over(ledger.record(completed))
        except BaseException as error:
            report_failure(error, ledger, context)
            if going_on is not None and not ledger.has_effect():
                self._pauses.release(going_on)
            raise
        finally:
            report_events(ledger, context)

    def _open_pause(self, request: CompletionRequest, context: CallContext) -> OpenedPause | None:
        """Returns the paused run that a request continues; None when it continues none."""
        continuation = request.continuation
        if continuation is None:
            return None
        opened = self._pauses.open(request, continuation, context.caller.name)
        context.report.continued_state = opened.state_id
        return opened

    async def _begin(
        self, request: CompletionRequest, context: CallContext, ledger: Ledger, opened: OpenedPause | None
    ) -> tuple[list[Entry], AsyncGenerator[Event | EventOfTask, None]]:
        """Returns `Started` with the events of routing behind it, and the path that the request takes.

        `opened` is the paused run that the request continues, if it does.
        """
        if opened is not None:
            request = opened.choose_route(request)
        entries_of_routing: list[Entry] = []
        decision, model, fallbacks = await self._decide(
            request, context, ledger, lambda event: entries_of_routing.append(ledger.record(event))
        )
        assert model is not None
        direct = request
        if opened is not None:
            opened.check_decision(decision)
            direct = select_first_request(request, opened)
        elif decision.mode in _MODES_OF_AGENTS and request.tools:
            direct = select_first_request(request, None)
        self._table.check_support(direct, model)
        fallbacks_in_use = self._table.select_supporting(direct, fallbacks)
        call = await self._windows.fit(build_direct_call(direct, model.name, fallbacks_in_use), request.context_policy)
        settings = find_initial_settings(request, decision, fallbacks, call)
        settings += self._model.list_effective_settings(call, context)
        path, settings_of_path = await self._create_path(
            _Routed(request, direct, decision, call, opened), context, ledger
        )
        settings += settings_of_path
        started = Started(ledger.response_id, decision, model.name, context.trace_id, tuple(settings))
        return [ledger.record(started), *entries_of_routing], path

    async def _create_path(
        self, routed: _Routed, context: CallContext, ledger: Ledger
    ) -> tuple[AsyncGenerator[Event | EventOfTask, None], Sequence[EffectiveSetting]]:
        """Returns the events of the path that a request takes, and the settings that the path changes."""
        if routed.decision.mode not in _MODES_OF_AGENTS:
            answer = self._model.stream_call(routed.call, ModelCallPurpose.ANSWER, context)
            return answer, list_unused_options(routed.request.agent)
        run = await self._create_run(routed, context, ledger)
        events = stream_pausable_run(run, self._pauses, routed.request, routed.decision, context, routed.opened)
        return events, run.list_effective_settings()

    async def _create_run(self, routed: _Routed, context: CallContext, ledger: Ledger) -> PausableRun:
        """Returns the run of the agent, or of the agents that work on the tasks of a request."""
        request, decision, call, opened = routed.request, routed.decision, routed.call, routed.opened
        if decision.mode is RoutingMode.REASONING:
            return await self._agent.create_run(request, call, context, ledger.account, opened)
        assert self._orchestrator is not None
        # A run that goes on names the model that it began with; whether it had tiers, its state knows.
        first = routed.direct if opened is None else replace(routed.direct, model="")
        models = await self._find_task_models(first, decision, context)
        ledger.tasks = TaskLedgers(ledger)
        return await self._orchestrator.create_run(request, call, context, ledger.tasks, decision, models, opened)

    async def _find_task_models(
        self, request: CompletionRequest, decision: RouteDecision, context: CallContext
    ) -> list[TaskModel]:
        """Returns the models of the route's preferences, among which tasks choose, as far as they can serve them."""
        models = []
        for tier, name in self._router.find_task_models(request, decision).items():
            try:
                model = await self._table.find_model(name, context.caller, ())
                self._table.check_support(request, model)
            except ReasoningError:  # tasks do without a model that is not there, or that the caller may not use
                continue
            fallbacks = self._table.find_fallbacks(replace(request, fallback_models=()), model, context.caller)
            models.append(TaskModel(tier, model.name, self._table.select_supporting(request, fallbacks)))
        return models


def _record_special(
    event: AttemptSwitched | EventOfTask | RouteChanged,
    request: CompletionRequest,
    ledger: Ledger,
    context: CallContext,
) -> Entry:
    """Records an event of a task in the ledger of the task, and completes what an event says about the request."""
    match event:
        case AttemptSwitched():
            return ledger.record(add_changed_settings(event, request, ledger.purpose()))
        case RouteChanged():
            context.report.route_decision = event.route_decision
            return ledger.record(event)
        case EventOfTask(task=number, event=inner):
            assert ledger.tasks is not None
            if isinstance(inner, AttemptSwitched):  # the answer's own settings do not hold in tasks
                inner = add_changed_settings(inner, request, ModelCallPurpose.STEP)
            return ledger.tasks.find(number).record(inner)


def _log_decision(decision: RouteDecision, context: CallContext) -> None:
    facts = {"route": decision.route, "route_source": decision.source, "model": decision.model}
    logger.debug("route is decided", extra={"request_id": context.request_id, "mode": decision.mode, **facts})
