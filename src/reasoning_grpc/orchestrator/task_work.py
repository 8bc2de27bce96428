"""`TaskWork`: runs the tasks of one request, plans anew what a failed task keeps back, and suspends the run."""

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.agent import Account, Resumption, Spent
from reasoning_grpc.domain import CallContext, PlannedTask, ReasoningEnd, Suspension, Task, TaskOutcome
from reasoning_grpc.domain.events import Event, EventOfTask, PlanCreated, TaskFinished
from reasoning_grpc.domain.streams import MergedSources
from reasoning_grpc.orchestrator.calls import OrchestrationCalls
from reasoning_grpc.orchestrator.parts import Ledger, Parts
from reasoning_grpc.orchestrator.planner import NoPlan
from reasoning_grpc.orchestrator.planning import Planning
from reasoning_grpc.orchestrator.results import write_results
from reasoning_grpc.orchestrator.run_state import SuspendedTask, TasksState, encode_state
from reasoning_grpc.orchestrator.run_time import RunTime
from reasoning_grpc.orchestrator.schedule import Schedule
from reasoning_grpc.orchestrator.share import OrchestrationLimits, SharedBudget
from reasoning_grpc.orchestrator.task_run import TaskOrder, TaskRun

_logger = logging.getLogger("reasoning_grpc.orchestrator")
_AGAIN: Final = "A task has failed, so what needs it cannot begin. Plan only what is still missing, in another way."


class TaskWork:
    """The tasks of one request. Their events can be read once."""

    def __init__(
        self,
        parts: Parts,
        limits: OrchestrationLimits,
        calls: OrchestrationCalls,
        context: CallContext,
        ledger: Ledger,
        account: Account,
        planning: Planning,
        time: RunTime,
    ) -> None:
        """`account` has the tokens and the cost of the whole run."""
        self._parts = parts
        self._calls = calls
        self._context = context
        self._ledger = ledger
        self._account = account
        self._planning = planning
        self._time = time
        self._max_state_bytes = limits.agent.max_state_bytes
        self.budget: Final = SharedBudget(limits.agent, account)
        self.schedule: Final = Schedule(limits.max_parallel_tasks)
        self._call_ids: set[str] = set()
        self._last_number = 0
        self._running: dict[int, TaskRun] = {}
        self._resumptions: Mapping[str, Resumption] = {}
        """The agents of tasks that go on after a pause, by the ids of the tasks."""
        self.suspension: Suspension | None = None
        """Set when the events have ended because tasks wait for the caller."""
        self._is_state_too_large = False

    def restore(self, state: TasksState, resumptions: Mapping[str, Resumption]) -> None:
        """Takes up the tasks of a run that paused. `resumptions` has those whose calls the caller has answered."""
        self.schedule.restore(state.tasks, resumptions.keys())
        self.budget.steps, self.budget.tool_calls = state.steps, state.tool_calls
        self._call_ids.update(state.call_ids)
        self._last_number = state.last_number
        self._resumptions = resumptions

    async def events(self) -> AsyncGenerator[Event | EventOfTask, None]:
        """Yields the events of all tasks, until none can begin or the run waits for its caller.

        When nothing else can begin, what needs a failed task is planned anew; after a pause, that is when it goes on.
        """
        while True:
            async with aclosing(self._run_tasks()) as events:
                async for event in events:
                    yield event
            if self.schedule.list_suspended() and self._suspend():
                return
            if not self.schedule.list_blocked():
                return
            if self._may_plan_anew():
                async with aclosing(self._plan_anew()) as planning:
                    async for each in planning:
                        yield each
            for planned in self.schedule.list_blocked():
                yield self._end_unbegun(planned, TaskOutcome.SKIPPED)

    def find_end(self) -> ReasoningEnd:
        """Returns why the work on the tasks ended: a pause, a limit that stopped a task, or FINISHED."""
        if self.suspension is not None:
            return ReasoningEnd.PAUSED
        if self._is_state_too_large:
            return ReasoningEnd.STATE_TOO_LARGE
        stops = (task.stop_reason for _, task in self.schedule.list_ended())
        return next((stop for stop in stops if stop is not None), ReasoningEnd.FINISHED)

    def _suspend(self) -> bool:
        """Suspends the run, and returns whether it waits. When its state is too large, its tasks end without results.

        Where the caller wants one call at a time, the calls of one task are asked for.
        """
        suspended = self.schedule.list_suspended()
        asked = suspended if self._calls.is_parallel else suspended[:1]
        state = TasksState(
            revision=self._planning.revisions,
            plan=self._planning.plan_ids,
            planned_tasks=self._planning.task_count,
            has_tiers=self._planning.has_tiers,
            tasks=self.schedule.save(),
            last_number=self._last_number,
            steps=self.budget.steps,
            tool_calls=self.budget.tool_calls,
            call_ids=tuple(sorted(self._call_ids)),
            spent=Spent(self._account.usage(), self._account.cost()),
            elapsed_seconds=self._time.elapsed_seconds(),
        )
        suspension = Suspension(tuple(call for task in asked for call in task.calls), encode_state(state))
        if suspension.measure() > self._max_state_bytes:
            self._is_state_too_large = True
            self.schedule.end_suspended()
            return False
        self.suspension = suspension
        return True

    def _may_plan_anew(self) -> bool:
        has_failed = any(task.outcome is TaskOutcome.FAILED for _, task in self.schedule.list_ended())
        has_room = self._planning.revisions == 1 and self._planning.tasks_left > 0
        return has_failed and has_room and self._find_stop() is None

    async def _plan_anew(self) -> AsyncGenerator[Event, None]:
        """Yields the events of a second plan, which is added to the schedule. Without one, nothing is added."""
        ended = list(self.schedule.list_ended())
        known = frozenset(planned.id for planned, _ in ended if self.schedule.has_result(planned.id))
        info = self._parts.model.describe(self._calls.direct.model)
        results = f"{write_results(ended, info)}\n\n{_AGAIN}"
        async with aclosing(self._planning.plan(results, known)) as events:
            async for event in events:
                if isinstance(event, NoPlan):
                    return
                if isinstance(event, PlanCreated):
                    self.schedule.add_plan(event.tasks)
                yield event

    async def _run_tasks(self) -> AsyncGenerator[EventOfTask, None]:
        """Runs tasks until none is in progress and none can begin."""
        sources = MergedSources[EventOfTask]()
        for unbegun in self._start_tasks(sources):
            yield unbegun
        async with aclosing(sources.events()) as events:
            async for event in events:
                yield event
                if isinstance(event.event, TaskFinished):
                    self._record_end(self._running.pop(event.task), event.event.task)
                    for unbegun in self._start_tasks(sources):
                        yield unbegun

    def _record_end(self, run: TaskRun, task: Task) -> None:
        """Records how an attempt at a task has ended in the schedule."""
        if run.suspension is not None:
            self.schedule.suspend(task, SuspendedTask(task.number, run.suspension.calls, run.suspension.run))
        else:
            self.schedule.record_end(task, may_pass=run.may_pass and self._find_stop() is None)

    def _start_tasks(self, sources: MergedSources[EventOfTask]) -> Iterator[EventOfTask]:
        """Starts the tasks that may begin, and yields the ends of those for which a limit leaves nothing.

        A task that goes on after a pause begins in any case, and its agent finds the limit.
        """
        while (planned := self.schedule.start_next()) is not None:
            suspended = self.schedule.take_suspended(planned.id)
            if suspended is None and (stop := self._find_stop()) is not None:
                if not self.schedule.give_up(planned.id):
                    yield self._end_unbegun(planned, TaskOutcome.STOPPED, stop)
                continue
            run = self._build_task_run(planned, suspended)
            sources.add(run.events())

    def _find_stop(self) -> ReasoningEnd | None:
        """Returns the limit that leaves nothing for another task; None when there is something."""
        if not self._time.remaining_seconds():
            return ReasoningEnd.DEADLINE
        return self.budget.find_spent(self._count_waiting() + 1)

    def _count_waiting(self) -> int:
        return len(self.schedule.list_waiting())

    def _build_task_run(self, planned: PlannedTask, suspended: SuspendedTask | None) -> TaskRun:
        """Builds the run of a task that begins, or that goes on under the number it had when it was suspended."""
        ends = self._time.task_end(self.schedule.count_rounds(planned.id))
        needed = [each for each in self.schedule.list_ended() if each[0].id in planned.depends_on]
        ledger = self._ledger.open_task(self._create_number() if suspended is None else suspended.number)
        call = self._calls.build_task_call(planned, needed)
        order = TaskOrder(
            planned=planned,
            attempt=self.schedule.count_attempts(planned.id),
            request=self._calls.build_task_request(planned, call),
            direct=call,
            context=replace(self._context, deadline=ends),
            ends=ends,
            call_ids=self._call_ids,
            resumption=None if suspended is None else self._resumptions[planned.id],
        )
        facts = {"request_id": self._context.request_id, "task": ledger.number, "task_id": planned.id}
        _logger.debug("task begins", extra=facts)
        run = TaskRun(self._parts.agent, self._parts.spans, order, ledger, self.budget, self._count_waiting)
        self._running[ledger.number] = run
        return run

    def _end_unbegun(self, planned: PlannedTask, outcome: TaskOutcome, stop: ReasoningEnd | None = None) -> EventOfTask:
        """Ends a task that never began."""
        number = self._create_number()
        self._ledger.open_task(number)
        task = Task(number=number, id=planned.id, attempt=0, model=planned.model, outcome=outcome, stop_reason=stop)
        self.schedule.record_end(task)
        return EventOfTask(number, TaskFinished(task))

    def _create_number(self) -> int:
        self._last_number += 1
        return self._last_number
