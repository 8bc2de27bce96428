"""`OrchestrationRun`: one request on the orchestration path: its plan, its tasks, and then its answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.agent import Account, RunAccount
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    EffectiveSetting,
    ModelCallPurpose,
    RouteDecision,
    RouteSource,
    RoutingMode,
    Suspension,
)
from reasoning_grpc.domain.events import Event, EventOfTask, PlanCreated, ReasoningFinished, RouteChanged
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.orchestrator.calls import OrchestrationCalls
from reasoning_grpc.orchestrator.parts import Ledger, Parts, TaskModel
from reasoning_grpc.orchestrator.paused import PausedOrchestration
from reasoning_grpc.orchestrator.planner import NoPlan
from reasoning_grpc.orchestrator.planning import Planning
from reasoning_grpc.orchestrator.run_state import FallbackState, encode_state
from reasoning_grpc.orchestrator.run_time import RunTime
from reasoning_grpc.orchestrator.share import OrchestrationLimits
from reasoning_grpc.orchestrator.task_work import TaskWork

_CHANGED: Final = "No plan of tasks can be used, so the reasoning agent answers. {}"
_REQUESTED: Final = frozenset({RouteSource.REQUEST, RouteSource.METADATA})


class OrchestrationRun:
    """One run of orchestration. Its events can be read once."""

    def __init__(
        self,
        parts: Parts,
        limits: OrchestrationLimits,
        request: CompletionRequest,
        direct: ModelCall,
        context: CallContext,
        ledger: Ledger,
        decision: RouteDecision,
        models: Sequence[TaskModel],
        settings: Sequence[EffectiveSetting],
        paused: PausedOrchestration | None = None,
    ) -> None:
        """`direct` is the call that would answer without tasks; `models` are the tiers among which tasks choose.

        `paused` is the run that goes on. Raises InvalidRequest when it cannot.
        """
        self._parts = parts
        self._request = request
        self._direct = direct
        self._context = context
        self._ledger = ledger
        self._decision = decision
        self._settings = tuple(settings)
        self._paused = paused
        tasks = None if paused is None else paused.select_tasks()
        if tasks is not None and not tasks.has_tiers:
            models = ()
        self._account: Account = ledger.account if tasks is None else RunAccount(ledger.account, tasks.spent)
        self._calls = OrchestrationCalls(parts, request, direct, models)
        seconds_before = 0.0 if tasks is None else tasks.elapsed_seconds
        self._time = RunTime(
            parts.agent.speeds, direct.model, context, limits.agent, request.sampling, seconds_before=seconds_before
        )
        tools = parts.agent.list_tools(request, context) if limits.agent.max_tool_calls else ()
        self._planning = Planning(parts, limits, self._calls, context, self._account, models, self._time, tools=tools)
        self._work = TaskWork(parts, limits, self._calls, context, ledger, self._account, self._planning, self._time)
        self.suspension: Suspension | None = None
        """Set when the events have ended because the run waits for its caller; it then has no answer."""
        if paused is not None:
            resumptions = paused.read_agents(parts.agent, self._calls)
            if tasks is not None:
                self._planning.restore(tasks.revision, tasks.plan, tasks.planned_tasks)
                self._work.restore(tasks, resumptions)

    def list_effective_settings(self) -> tuple[EffectiveSetting, ...]:
        """Returns a setting for each requested option that the run does not follow."""
        return self._settings

    async def events(self) -> AsyncGenerator[Event | EventOfTask, None]:
        """Yields the events of the plan, of the tasks, and of the answer. Raises UpstreamError.

        Where there is no plan, `RouteChanged` and the events of the reasoning agent follow. When the run waits for its
        caller, there is no answer, and `suspension` says for what it waits.
        """
        outcome: NoPlan | None = None
        async with aclosing(self._begin()) as beginning:
            async for event in beginning:
                if isinstance(event, NoPlan):
                    outcome = event
                else:
                    yield event
        sources = (self._work.events(), self._answer()) if outcome is None else (self._fall_back(outcome),)
        for source in sources:
            async with aclosing(source) as events:
                async for each in events:
                    yield each

    async def _begin(self) -> AsyncGenerator[Event | NoPlan, None]:
        """Yields the events of the first plan, and last `PlanCreated` or `NoPlan`, which a run that goes on repeats."""
        if self._paused is not None:
            yield self._repeat_plan(self._paused)
            return
        async with aclosing(self._planning.plan()) as events:
            async for event in events:
                if isinstance(event, PlanCreated):
                    self._work.schedule.add_plan(event.tasks)
                yield event

    def _repeat_plan(self, paused: PausedOrchestration) -> PlanCreated | NoPlan:
        """Returns the last plan of a run that goes on, or why it has none."""
        state = paused.state
        if isinstance(state, FallbackState):
            return NoPlan(state.cause, state.problem)
        return self._planning.build_event(tuple(task.planned for task in state.tasks if task.planned.id in state.plan))

    async def _fall_back(self, outcome: NoPlan) -> AsyncGenerator[Event, None]:
        """Lets the reasoning agent answer, which keeps to the limits of the request."""
        decision = self._decision
        is_requested = decision.source in _REQUESTED and not decision.configured_route
        changed = replace(
            decision,
            mode=RoutingMode.REASONING,
            configured_route=decision.route,
            requested_mode=RoutingMode.ORCHESTRATION if is_requested else decision.requested_mode,
            reason=_CHANGED.format(outcome.problem),
        )
        yield RouteChanged(changed, outcome.cause)
        paused = self._paused
        opened = paused.select_agent(paused.state.run) if paused and isinstance(paused.state, FallbackState) else None
        run = await self._parts.agent.create_run(
            self._request, self._direct, self._context, self._ledger.account, opened
        )
        async with aclosing(run.events()) as events:
            async for event in events:
                yield event
        if (waiting := run.suspension) is not None:
            state = FallbackState(outcome.cause, outcome.problem, waiting.run)
            self.suspension = Suspension(waiting.calls, encode_state(state))

    async def _answer(self) -> AsyncGenerator[Event, None]:
        """Yields the end of all tasks, and the events of the answer unless the run waits for its caller."""
        yield ReasoningFinished(
            self._work.find_end(),
            self._work.budget.steps,
            self._work.budget.tool_calls,
            self._account.usage(),
            self._account.cost(),
            self._time.elapsed_seconds(),
        )
        self.suspension = self._work.suspension
        if self.suspension is not None:
            return
        call = await self._calls.build_answer_call(list(self._work.schedule.list_ended()))
        answer = self._parts.model.stream_call(call, ModelCallPurpose.SYNTHESIS, self._context)
        async with aclosing(answer) as events:
            async for event in events:
                self._time.record(event)
                yield event
