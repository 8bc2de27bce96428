"""`Planning`: makes the plans of one request, within its limits."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.agent import Account
from reasoning_grpc.domain import CallContext, PlannedTask, RouteChangeCause, ToolInfo
from reasoning_grpc.domain.events import Event, PlanCreated
from reasoning_grpc.llm import ModelCall, estimate_prompt_tokens
from reasoning_grpc.orchestrator.calls import OrchestrationCalls
from reasoning_grpc.orchestrator.parts import Parts, TaskModel
from reasoning_grpc.orchestrator.plan import Draft, PlanRules
from reasoning_grpc.orchestrator.planner import NoPlan, plan_events
from reasoning_grpc.orchestrator.run_time import RunTime
from reasoning_grpc.orchestrator.share import OrchestrationLimits

_NO_BUDGET: Final = "The limits leave nothing for the tasks."


class Planning:
    """Makes the first plan of a request, and another one when tasks have failed."""

    def __init__(
        self,
        parts: Parts,
        limits: OrchestrationLimits,
        calls: OrchestrationCalls,
        context: CallContext,
        account: Account,
        models: Sequence[TaskModel],
        time: RunTime,
        *,
        tools: Sequence[ToolInfo],
    ) -> None:
        """`models` are those among which tasks choose by tier; `tools` are those that tasks may use."""
        self._parts = parts
        self._limits = limits
        self._calls = calls
        self._context = context
        self._account = account
        self._models = {each.tier: each for each in models}
        self.has_tiers: Final = bool(models)
        self._time = time
        self._tools = tools
        self.revisions = 0
        """The number of plans so far."""
        self.tasks_left = limits.max_tasks
        """How many tasks further plans may have."""
        self.task_count = 0
        """The number of tasks of all plans so far."""

        self.plan_ids: tuple[str, ...] = ()
        """The ids of the tasks of the last plan."""

    def restore(self, revisions: int, plan_ids: tuple[str, ...], task_count: int) -> None:
        """Takes up what was planned before a pause."""
        self.revisions, self.plan_ids, self.task_count = revisions, plan_ids, task_count
        self.tasks_left = max(0, self.tasks_left - task_count)

    async def plan(
        self, results: str = "", known: frozenset[str] = frozenset()
    ) -> AsyncGenerator[Event | NoPlan, None]:
        """Yields the events of planning, and last `PlanCreated` or `NoPlan`. Raises UpstreamError.

        `results` are those of an earlier plan, and `known` the ids of its tasks that have one.
        """
        tiers = tuple(self._models)
        instructions = self._parts.prompts.write_plan_instructions(self.tasks_left, self._tools, tiers)
        whole = await self._calls.build_plan_call(instructions, results, has_tools=bool(self._tools))
        call = self._limit(whole)
        if call is None:
            yield NoPlan(RouteChangeCause.BUDGET, _NO_BUDGET)
            return
        rules = PlanRules(self.tasks_left, tuple(tool.name for tool in self._tools), tiers, known)
        ends = self._time.plan_end()
        events = plan_events(
            self._parts.model, call, rules.build_schema(), self._context, repair=self._limit, ends=ends
        )
        async with aclosing(events):
            async for event in events:
                match event:
                    case tuple():
                        yield self._number(event)
                    case NoPlan():
                        yield event
                    case _:
                        self._time.record(event)
                        yield event

    def _limit(self, call: ModelCall) -> ModelCall | None:
        """Limits a call for a plan to the budget; None when that has nothing left."""
        limits, cost = self._limits.agent, self._account.cost()
        if limits.max_cost_nano_usd is not None and cost and cost.total_nano_usd >= limits.max_cost_nano_usd:
            return None
        if limits.max_tokens is None:
            return call
        usage = self._account.usage()
        left = limits.max_tokens - (usage.total_tokens if usage else 0) - estimate_prompt_tokens(call)
        if left < 1:
            return None
        tokens = min(left, call.sampling.max_output_tokens or left)
        return replace(call, sampling=replace(call.sampling, max_output_tokens=tokens))

    def _number(self, drafts: Sequence[Draft]) -> PlanCreated:
        """Gives the tasks of a plan their ids and models."""
        self.revisions += 1
        ids = {draft.name: f"t{number}" for number, draft in enumerate(drafts, self.task_count + 1)}
        self.task_count += len(drafts)
        self.tasks_left -= len(drafts)
        tasks = tuple(
            PlannedTask(
                ids[draft.name],
                draft.goal,
                tuple(ids.get(need, need) for need in draft.needs),
                draft.tools,
                self._calls.direct.model if draft.tier is None else self._models[draft.tier].name,
            )
            for draft in drafts
        )
        self.plan_ids = tuple(task.id for task in tasks)
        return self.build_event(tasks)

    def build_event(self, tasks: tuple[PlannedTask, ...]) -> PlanCreated:
        """Returns the event of the last plan, which has these tasks."""
        return PlanCreated(self.revisions, tasks, self._limits.max_parallel_tasks)
