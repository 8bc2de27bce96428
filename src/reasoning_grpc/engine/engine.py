"""`Engine`: routes a request and runs its path. It is the one module that knows all paths."""

import logging
from collections.abc import AsyncGenerator

from msgspec.structs import replace

from reasoning_grpc.agent import Agent, list_unused_options
from reasoning_grpc.catalog import ModelTable
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
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
    Completed,
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
from reasoning_grpc.engine.pausing import select_first_request, stream_pausable_run
from reasoning_grpc.engine.task_ledger import TaskLedgers
from reasoning_grpc.llm import ContextWindows, ResilientModel
from reasoning_grpc.orchestrator import Orchestrator, TaskModel
from reasoning_grpc.pauses import OpenedPause, Pauses
from reasoning_grpc.router import EventCallback, Router
from reasoning_grpc.telemetry import find_recording_span

logger = logging.getLogger("reasoning_grpc.engine")

_MODES_OF_AGENTS = frozenset({RoutingMode.REASONING, RoutingMode.ORCHESTRATION})
_SPECIAL = (AttemptSwitched, EventOfTask, RouteChanged)
"""The events that are changed, or that change something, before they are recorded."""


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
            _report_failure(error, ledger, context)
            raise
        finally:
            _report_events(ledger, context)
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
        return Ledger(
            response_id=create_id("rsp_"),
            arrival_time=context.arrival_time,
            clock=read_clock,
            queue_seconds=context.queue_seconds,
        )

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
            _report_completed(completed, ledger, context)
            yield ledger.hand_over(ledger.record(completed))
        except BaseException as error:
            _report_failure(error, ledger, context)
            if going_on is not None and not ledger.has_effect():
                self._pauses.release(going_on)
            raise
        finally:
            _report_events(ledger, context)

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
        has_agents = decision.mode in _MODES_OF_AGENTS
        direct = request
        if opened is not None:
            opened.check_decision(decision)
            direct = select_first_request(request, opened)
        elif has_agents and request.tools:
            direct = select_first_request(request, None)
        self._table.check_support(direct, model)
        fallbacks_in_use = self._table.select_supporting(direct, fallbacks)
        call = await self._windows.fit(build_direct_call(direct, model.name, fallbacks_in_use), request.context_policy)
        settings = find_initial_settings(request, decision, fallbacks, call)
        settings += self._model.list_effective_settings(call, context)
        path: AsyncGenerator[Event | EventOfTask, None]
        if decision.mode is RoutingMode.ORCHESTRATION:
            assert self._orchestrator is not None
            # A run that goes on names the model that it began with; whether it had tiers, its state knows.
            of_run = direct if opened is None else replace(direct, model="")
            models = await self._find_task_models(of_run, decision, context)
            ledger.tasks = TaskLedgers(ledger)
            tasks = await self._orchestrator.create_run(request, call, context, ledger.tasks, decision, models, opened)
            settings += tasks.list_effective_settings()
            path = stream_pausable_run(tasks, self._pauses, request, decision, context, opened)
        elif has_agents:
            run = await self._agent.create_run(request, call, context, ledger.account, opened)
            settings += run.list_effective_settings()
            path = stream_pausable_run(run, self._pauses, request, decision, context, opened)
        else:
            settings += list_unused_options(request.agent)
            path = self._model.stream_call(call, ModelCallPurpose.ANSWER, context)
        started = Started(ledger.response_id, decision, model.name, context.trace_id, tuple(settings))
        return [ledger.record(started), *entries_of_routing], path

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


def _report_failure(error: BaseException, ledger: Ledger, context: CallContext) -> None:
    """Reports what was used however a request failed: to the log, and within a ReasoningError to the caller."""
    progress = ledger.close(error)
    if isinstance(error, ReasoningError):
        error.progress = progress
    context.report.progress = progress
    if progress is not None:
        context.report.usage, context.report.cost = progress.usage, progress.cost


def _report_events(ledger: Ledger, context: CallContext) -> None:
    context.report.events = ledger.events
    context.report.attempts = tuple(ledger.attempts)
    context.report.model_usages = ledger.account.attempts
    if ledger.agent is not None:
        context.report.agent = ledger.agent.report
    context.report.unpriced_model = ledger.account.unpriced_model()


def _report_completed(completed: Completed, ledger: Ledger, context: CallContext) -> None:
    report = context.report
    report.model, report.finish_reason = completed.model, completed.finish_reason
    report.usage, report.cost = completed.usage, completed.cost
    report.timings, report.pace = completed.timings, ledger.measure_pace()
