"""`Orchestrator`: checks a request for the orchestration path and creates its run."""

from collections.abc import Sequence
from dataclasses import replace

from reasoning_grpc.agent import Agent, AgentSpans
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    EffectiveSetting,
    EffectiveSettingCause,
    RouteDecision,
)
from reasoning_grpc.llm import ContextWindows, ModelCall, ResilientModel
from reasoning_grpc.orchestrator.parts import Ledger, Parts, TaskModel
from reasoning_grpc.orchestrator.paused import read_paused
from reasoning_grpc.orchestrator.prompts import OrchestrationPrompts
from reasoning_grpc.orchestrator.run import OrchestrationRun
from reasoning_grpc.orchestrator.share import OrchestrationLimits
from reasoning_grpc.pauses import OpenedPause

_NO_MORE = "The server allows no more."


class Orchestrator:
    """Creates the runs of requests. Between runs it keeps nothing."""

    def __init__(
        self,
        agent: Agent,
        model: ResilientModel,
        windows: ContextWindows,
        limits: OrchestrationLimits,
        prompts: OrchestrationPrompts,
        spans: AgentSpans,
    ) -> None:
        """`agent` creates the runs of tasks."""
        self._parts = Parts(agent=agent, model=model, windows=windows, prompts=prompts, spans=spans)
        self._limits = limits

    async def create_run(
        self,
        request: CompletionRequest,
        direct: ModelCall,
        context: CallContext,
        ledger: Ledger,
        decision: RouteDecision,
        models: Sequence[TaskModel],
        paused: OpenedPause | None = None,
    ) -> OrchestrationRun:
        """Returns a run that has not begun, or one that goes on where it `paused`.

        `direct` is the call that would answer without tasks, and without the caller's own tools. `models` are those
        among which the planner chooses by tier; it is empty where all tasks have the request's. Raises as
        `Agent.create_run` does.
        """
        names = dict.fromkeys((direct.model, *direct.fallback_models))
        names |= dict.fromkeys(name for each in models for name in (each.name, *each.fallback_models))
        await self._parts.agent.prepare(request, list(names), context)
        limits = self._restrict(request)
        settings = [*limits.agent.list_changes(request.agent), *_list_changed_tasks(request, limits)]
        if limits.agent.max_tool_calls and (missing := self._parts.agent.find_missing_tools(request, context)):
            settings.append(missing)
        run = None if paused is None else read_paused(paused)
        return OrchestrationRun(self._parts, limits, request, direct, context, ledger, decision, models, settings, run)

    def _restrict(self, request: CompletionRequest) -> OrchestrationLimits:
        """Returns the limits of a run with the options of this request."""
        requested = request.agent.max_tasks
        return replace(
            self._limits,
            max_tasks=self._limits.max_tasks if requested is None else min(self._limits.max_tasks, requested),
            agent=self._parts.agent.restrict_limits(self._limits.agent, request),
        )


def _list_changed_tasks(request: CompletionRequest, limits: OrchestrationLimits) -> list[EffectiveSetting]:
    wish = request.agent.max_tasks
    if wish is None or wish == limits.max_tasks:
        return []
    cause = EffectiveSettingCause.SERVER_LIMIT
    return [EffectiveSetting("agent.max_tasks", str(wish), str(limits.max_tasks), cause, _NO_MORE)]
