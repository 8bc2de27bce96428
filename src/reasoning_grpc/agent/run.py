"""`AgentRun`: one request on its way through the agent: its steps, and then its answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from reasoning_grpc.agent.budget import Account, Budget
from reasoning_grpc.agent.calls import AgentCalls
from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.planning import Planned, Unplanned, planned_events, with_own_ids
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds, ThinkingTime
from reasoning_grpc.agent.tool_run import ToolRun
from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    EffectiveSetting,
    FinishReason,
    ModelCallPurpose,
    NextAction,
    ReasoningEnd,
    StepOutcome,
    ToolExecution,
)
from reasoning_grpc.domain.events import (
    Event,
    ModelCallFinished,
    ReasoningFinished,
    StepFinished,
    StepPlanned,
    StepStarted,
    ToolCallDelta,
    ToolFinished,
    UnshownDelta,
)
from reasoning_grpc.llm.call_events import events_of_call
from reasoning_grpc.llm.context_window import ContextWindows
from reasoning_grpc.llm.port import LanguageModel, ModelCall
from reasoning_grpc.tools import Toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What every run needs."""

    model: LanguageModel
    windows: ContextWindows
    toolbox: Toolbox
    limits: AgentLimits
    prompts: AgentPrompts
    spans: AgentSpans
    speeds: Speeds


@dataclass(slots=True)
class _Step:
    """What became of a step so far."""

    outcome: StepOutcome = StepOutcome.STOPPED
    end: ReasoningEnd | None = None
    """Why it was the last one; None: it was not."""
    planned: Planned | None = None


class AgentRun:
    """A run that has not begun. Its events can be read once."""

    def __init__(
        self, means: Means, request: CompletionRequest, direct: ModelCall, context: CallContext, account: Account
    ) -> None:
        """`direct` is the call that would answer without the agent."""
        self._means = means
        self._options = request.agent
        self._context = context
        self._account = account
        limits = means.limits.within(request.agent)
        info = means.model.describe(direct.model)
        models = map(means.model.describe, (direct.model, *direct.fallback_models))
        self._native = all(model.native_tools for model in models)  # a plan in JSON every model can write
        offered = means.toolbox.offered(context.caller, request.agent.allowed_tools)
        self._tools = offered if limits.max_tool_calls else ()
        self._transcript = Transcript(
            direct.messages,
            means.prompts.for_steps(self._tools, limits.max_steps, native=self._native),
            native=self._native,
            system_prompt=info.system_prompt,
            examples=means.prompts.examples_for(info, self._tools),
            most_characters=None if info.context_window_tokens is None else info.context_window_tokens // 2,
        )
        # Sent whole, as without the agent, where nobody says how much is too much.
        fits = request.context_policy is not None or info.context_window_tokens is not None
        tools = self._tools if self._native else ()
        self._calls = AgentCalls(direct, info, self._transcript, means.windows, tools=tools, fits=fits)
        self._time = ThinkingTime(
            means.speeds,
            direct.model,
            context,
            limit_seconds=limits.timeout_seconds,
            most_answer_tokens=request.sampling.max_output_tokens,
        )
        self._budget = Budget(limits, account, self._time)
        names = frozenset(tool.name for tool in self._tools)
        self._tool_run = ToolRun(means.toolbox, names, means.spans, self._budget.tool_seconds)
        self._call_ids: set[str] = set()

    def changed(self) -> tuple[EffectiveSetting, ...]:
        """What the request asks for and does not get."""
        return tuple(self._budget.limits.changed(self._options))

    async def events(self) -> AsyncGenerator[Event, None]:
        """The steps, `ReasoningFinished`, and the answer. Raises UpstreamError."""
        end = self._limit_reached()
        while end is None:
            step = _Step()
            async with aclosing(self._step(step)) as events:
                async for event in events:
                    yield event
            end = step.end or self._limit_reached()
        yield ReasoningFinished(
            end,
            self._budget.steps,
            self._budget.tool_calls,
            self._account.usage(),
            self._account.cost(),
            self._time.elapsed_seconds(),
        )
        call = await self._calls.for_answer(self._means.prompts.answer)
        answer = events_of_call(self._means.model, call, ModelCallPurpose.SYNTHESIS, self._context)
        async with aclosing(answer) as events:
            async for event in events:
                self._time.hear(event)
                yield _without_calls(event) if call.tools else event

    def _limit_reached(self) -> ReasoningEnd | None:
        return self._budget.reached(self._calls.step_tokens())

    async def _step(self, step: _Step) -> AsyncGenerator[Event, None]:
        self._budget.steps += 1
        number, before = self._budget.steps, self._budget.tool_calls
        with self._means.spans.step(number, self._context) as span:
            yield StepStarted(number, self._budget.limits.max_steps)
            async with aclosing(self._planned(step, span.context)) as events:
                async for event in events:
                    yield event
            if step.planned is not None:
                async with aclosing(self._done(step, step.planned, span.context)) as events:
                    async for event in events:
                        yield event
            span.ended(step.outcome, self._budget.tool_calls - before)
            yield StepFinished(step.outcome, self._account.step_usage())

    async def _planned(self, step: _Step, context: CallContext) -> AsyncGenerator[Event, None]:
        """Has the model plan."""
        thinking_ends = self._time.ends()
        ends = min(thinking_ends, self._time.now() + self._budget.limits.step_timeout_seconds)
        events = planned_events(
            self._means.model,
            await self._calls.for_step(self._budget.tokens_left(self._calls.step_tokens())),
            self._tools,
            self._budget.steps,
            replace(context, deadline=ends),
            native=self._native,
            repair=lambda call: self._repair(step, call),
            ends=ends,
        )
        async with aclosing(events):
            async for event in events:
                match event:
                    case Planned():
                        step.planned = with_own_ids(event, self._budget.steps, self._call_ids)
                    case Unplanned(too_late=True):
                        step.end = ReasoningEnd.STEP_TIMEOUT if ends < thinking_ends else ReasoningEnd.DEADLINE
                    case Unplanned() if step.end is None:
                        step.end, step.outcome = ReasoningEnd.STEP_FAILED, StepOutcome.INVALID_PLAN
                    case Unplanned():
                        pass  # a budget ended it before its plan was mended
                    case _:
                        self._time.hear(event)
                        yield event

    def _repair(self, step: _Step, call: ModelCall) -> ModelCall | None:
        """The call for a mended plan as the budgets have it; None: they have nothing left, and that is the end."""
        tokens = self._calls.tokens_of(call)
        step.end = self._budget.spent(tokens)
        return None if step.end else self._calls.for_repair(call, self._budget.tokens_left(tokens))

    async def _done(self, step: _Step, planned: Planned, context: CallContext) -> AsyncGenerator[Event, None]:
        """Does what the model planned."""
        plan = planned.plan
        yield StepPlanned(plan.thought, plan.next_action, plan.tool_calls, plan.concurrent, self._account.step_usage())
        step.outcome = StepOutcome.DONE
        executions: list[ToolExecution] = []
        if plan.next_action is NextAction.FINISH:
            step.end = ReasoningEnd.FINISHED
        elif plan.next_action is NextAction.USE_TOOLS:
            calls, step.end = self._budget.granted(plan.tool_calls)
            if step.end is not None:
                step.outcome = StepOutcome.STOPPED
            async with aclosing(self._tool_run.events(calls, context, concurrent=plan.concurrent)) as events:
                async for event in events:
                    if isinstance(event, ToolFinished):
                        executions.append(event.execution)
                    yield event
            self._budget.note(executions)
        self._transcript.add(plan, planned.answer, executions)


def _without_calls(event: Event) -> Event:
    """An event of the answering call; a call of our tools, which it was told not to make, is none for the caller."""
    match event:
        case ToolCallDelta(arguments=text):
            return UnshownDelta(text)
        case ModelCallFinished(finish_reason=FinishReason.TOOL_CALLS):
            return replace(event, finish_reason=FinishReason.OTHER)
        case _:
            return event
