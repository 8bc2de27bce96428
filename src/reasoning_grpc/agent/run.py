"""`AgentRun`: one request on the reasoning path: its steps, and then its answer."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.agent.budget import Account, Budget
from reasoning_grpc.agent.calls import AgentCalls
from reasoning_grpc.agent.limits import AgentLimits, list_unused_tasks
from reasoning_grpc.agent.missing_tools import find_missing_tools
from reasoning_grpc.agent.own_tools import describe_own_tools, select_own_tools
from reasoning_grpc.agent.plan import plan_schema
from reasoning_grpc.agent.planning import ModelPlan, NoPlan, assign_unique_ids, plan_events
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.run_account import RunAccount
from reasoning_grpc.agent.run_state import PausedStep, RunState, Spent, encode_run_state
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.step_calls import StepCalls
from reasoning_grpc.agent.thinking_time import Speeds, ThinkingTime
from reasoning_grpc.agent.tool_run import ToolRun
from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.domain import (
    CallContext,
    CallerAnswer,
    CompletionRequest,
    EffectiveSetting,
    FinishReason,
    ModelCallPurpose,
    NextAction,
    ReasoningEnd,
    StepOutcome,
    Suspension,
    ToolCall,
    ToolExecution,
    WaitingCall,
)
from reasoning_grpc.domain.events import (
    Event,
    InternalDelta,
    ModelCallFinished,
    ReasoningFinished,
    StepFinished,
    StepPlanned,
    StepStarted,
    ToolCallDelta,
    ToolFinished,
)
from reasoning_grpc.llm import ContextWindows, ModelCall, ResilientModel
from reasoning_grpc.llm.structured import build_answer_request
from reasoning_grpc.tools import Toolbox

_logger = logging.getLogger("reasoning_grpc.agent")

_MAX_NATIVE_TOOLS: Final = 128
"""The most tools that providers take. With more of them, the steps are planned in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The objects that every run uses."""

    model: ResilientModel
    windows: ContextWindows
    toolbox: Toolbox
    limits: AgentLimits
    prompts: AgentPrompts
    spans: AgentSpans
    speeds: Speeds


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that goes on after a pause."""

    state: RunState
    answers: Mapping[str, CallerAnswer]
    """The caller's answer to each call for which the run waited, by the id of the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskShare:
    """What a run gets that works on a task beside others."""

    name: str
    """The name of the task in the ids of its tool calls."""
    limits: AgentLimits
    """What the task may use. Its time is what is left now, also when the run goes on after a pause."""
    call_ids: set[str]
    """The ids of all tool calls of the answer."""


@dataclass(slots=True)
class _Step:
    """The progress of a step."""

    outcome: StepOutcome = StepOutcome.STOPPED
    end: ReasoningEnd | None = None
    """Why it is the last step; None while it is not."""
    planned: ModelPlan | None = None
    is_resumed: bool = False
    """Whether it was planned before a pause."""


class AgentRun:
    """One run of the agent. Its events can be read once."""

    def __init__(
        self,
        dependencies: Dependencies,
        request: CompletionRequest,
        direct: ModelCall,
        context: CallContext,
        account: Account,
        share: TaskShare | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        """`direct` is the call that would answer without the agent, and without the caller's own tools.

        Without a share, the run has the server's limits.
        """
        self._dependencies = dependencies
        self._options = request.agent
        self._context = context
        self._resumption = resumption
        before = Spent() if resumption is None else resumption.state.spent
        self._account = account = account if resumption is None else RunAccount(account, before)
        limits = dependencies.limits.restrict(request.agent) if share is None else share.limits
        info = dependencies.model.describe(direct.model)
        models = [info, *map(dependencies.model.describe, direct.fallback_models)]
        offered = dependencies.toolbox.list_usable(context.caller, request.agent.allowed_tools)
        own_tools = select_own_tools(request)
        self._tools = (*offered, *describe_own_tools(own_tools)) if limits.max_tool_calls else ()
        self._is_parallel = request.parallel_tool_calls is not False
        unready = dependencies.toolbox.list_unready_servers(context.caller, request.agent.allowed_tools)
        self._missing_tools = find_missing_tools(request.agent, offered, unready) if limits.max_tool_calls else None
        are_native = all(model.native_tools for model in models)  # every model can write a plan in JSON
        self._native = are_native and len(self._tools) <= _MAX_NATIVE_TOOLS
        if resumption is not None:
            self._native = resumption.state.is_native
        instructions = dependencies.prompts.step_instructions(self._tools, limits.max_steps, native=self._native)
        self._schema = None if self._native else plan_schema(self._tools)
        plan_request = None if self._schema is None else build_answer_request(self._schema, models)
        if plan_request is not None and plan_request.instruction:
            instructions = f"{instructions}\n\n{plan_request.instruction}"
        self._transcript = Transcript(
            direct.messages,
            instructions,
            native=self._native,
            system_prompt=info.system_prompt,
            examples=dependencies.prompts.select_examples(info, self._tools),
            max_characters=None if info.context_window_tokens is None else info.context_window_tokens // 2,
        )
        # Without a policy and a known window, calls are sent whole, as they would be without the agent.
        fits = request.context_policy is not None or info.context_window_tokens is not None
        self._calls = AgentCalls(
            direct,
            info,
            self._transcript,
            dependencies.windows,
            tools=offered if self._native and self._tools else (),
            own_tools=own_tools if self._native and self._tools else (),
            plan_request=plan_request,
            fits=fits,
        )
        self._seconds_before = 0.0 if resumption is None else resumption.state.elapsed_seconds
        self._time = ThinkingTime(
            dependencies.speeds,
            direct.model,
            context,
            limit_seconds=max(0.0, limits.timeout_seconds - (self._seconds_before if share is None else 0.0)),
            max_answer_tokens=request.sampling.max_output_tokens,
        )
        self._budget = Budget(limits, account, self._time)
        names = frozenset(tool.name for tool in offered) if self._tools else frozenset()
        self._tool_run = ToolRun(dependencies.toolbox, names, dependencies.spans, self._budget.tool_seconds)
        self._call_ids: set[str] = set() if share is None else share.call_ids
        self._name = "" if share is None else f"{share.name}_"
        self.suspension: Suspension | None = None
        """Set when the events have ended because the run waits for its caller; it then has no answer."""
        if resumption is not None:
            self._restore(resumption.state)

    def _restore(self, state: RunState) -> None:
        """Takes up the run where it paused."""
        self._transcript.restore(state.transcript)
        self._budget.restore(state.budget)
        self._call_ids.update(state.call_ids)

    def list_effective_settings(self) -> tuple[EffectiveSetting, ...]:
        """Returns a setting for each requested option that the run does not follow."""
        changes = (*self._budget.limits.list_changes(self._options), *list_unused_tasks(self._options))
        return changes if self._missing_tools is None else (*changes, self._missing_tools)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yields the events of the steps, `ReasoningFinished`, and the events of the answer. Raises UpstreamError.

        When the run waits for its caller, there is no answer, and `suspension` says for what it waits.
        """
        async with aclosing(self.think()) as thinking:
            async for event in thinking:
                yield event
        if self.suspension is not None:
            return
        async with aclosing(self.answer()) as answer:
            async for event in answer:
                yield event

    @property
    def budget(self) -> Budget:
        """The limits of the run, and what it has used of them."""
        return self._budget

    @property
    def account(self) -> Account:
        """The tokens and the cost of the run, with those before its pauses."""
        return self._account

    async def think(self) -> AsyncGenerator[Event, None]:
        """Yields the events of the steps, and `ReasoningFinished`. Raises UpstreamError.

        When the run waits for its caller, `suspension` says for what, and there must be no answer.
        """
        paused_step = None if self._resumption is None else self._resumption.state.step
        end = None if paused_step is not None else self._find_reached_limit()
        while end is None:
            if paused_step is None:
                step = _Step()
            else:
                step, paused_step = _Step(planned=paused_step.planned, is_resumed=True), None
            async with aclosing(self._step(step)) as events:
                async for event in events:
                    yield event
            end = ReasoningEnd.PAUSED if self.suspension is not None else step.end or self._find_reached_limit()
        yield ReasoningFinished(
            end,
            self._budget.steps,
            self._budget.tool_calls,
            self._account.usage(),
            self._account.cost(),
            self._elapsed_seconds(),
        )

    async def answer(
        self, limit: Callable[[ModelCall], ModelCall | None] = lambda call: call
    ) -> AsyncGenerator[Event, None]:
        """Yields the events of the answer. `limit` may change its call, or prevent it by None. Raises UpstreamError."""
        call = limit(await self._calls.build_answer_call(self._dependencies.prompts.answer))
        if call is None:
            return
        answer = self._dependencies.model.stream_call(call, ModelCallPurpose.SYNTHESIS, self._context)
        async with aclosing(answer) as events:
            async for event in events:
                self._time.record(event)
                yield _hide_tool_calls(event) if call.tools else event

    def _find_reached_limit(self) -> ReasoningEnd | None:
        return self._budget.find_reached_limit(self._calls.estimate_step_tokens())

    def _elapsed_seconds(self) -> float:
        """Returns how long the whole run has been thinking."""
        return self._seconds_before + self._time.elapsed_seconds()

    async def _step(self, step: _Step) -> AsyncGenerator[Event, None]:
        if not step.is_resumed:
            self._budget.steps += 1
        number, before = self._budget.steps, self._budget.tool_calls
        with self._dependencies.spans.step(number, self._context) as span:
            _logger.debug("step begins", extra={"request_id": self._context.request_id, "step": number})
            yield StepStarted(number, self._budget.limits.max_steps)
            if not step.is_resumed:
                async with aclosing(self._plan(step, span.context)) as events:
                    async for event in events:
                        yield event
            if step.planned is not None:
                span.record_plan(step.planned.plan)
                async with aclosing(self._execute(step, step.planned, span.context)) as events:
                    async for event in events:
                        yield event
            span.record_outcome(step.outcome, self._budget.tool_calls - before)
            yield StepFinished(step.outcome, self._account.step_usage())

    async def _plan(self, step: _Step, context: CallContext) -> AsyncGenerator[Event, None]:
        """Asks the model for the plan of the step, and puts the outcome into `step`."""
        thinking_ends = self._time.end_time()
        ends = min(thinking_ends, self._time.now() + self._budget.limits.step_timeout_seconds)
        events = plan_events(
            self._dependencies.model,
            await self._calls.build_step_call(self._budget.tokens_left(self._calls.estimate_step_tokens())),
            self._schema,
            replace(context, deadline=ends),
            repair=lambda call: self._repair(step, call),
            ends=ends,
        )
        async with aclosing(events):
            async for event in events:
                match event:
                    case ModelPlan():
                        step.planned = assign_unique_ids(event, f"{self._name}{self._budget.steps}", self._call_ids)
                    case NoPlan(is_late=True):
                        step.end = ReasoningEnd.STEP_TIMEOUT if ends < thinking_ends else ReasoningEnd.DEADLINE
                    case NoPlan() if step.end is None:
                        step.end, step.outcome = ReasoningEnd.STEP_FAILED, StepOutcome.INVALID_PLAN
                    case NoPlan():
                        pass  # a budget ended the step before its plan was repaired
                    case _:
                        self._time.record(event)
                        yield event

    def _repair(self, step: _Step, call: ModelCall) -> ModelCall | None:
        """Limits the call for a repaired plan to the budgets. Returns None and ends the run when one is spent."""
        tokens = self._calls.estimate_tokens(call)
        step.end = self._budget.find_spent_budget(tokens)
        return None if step.end else self._calls.build_repair_call(call, self._budget.tokens_left(tokens))

    async def _execute(self, step: _Step, planned: ModelPlan, context: CallContext) -> AsyncGenerator[Event, None]:
        """Executes the plan of the step: runs its tools, if it has any, and records the step in the transcript."""
        plan = planned.plan
        yield StepPlanned(plan.thought, plan.next_action, plan.tool_calls, plan.concurrent, self._account.step_usage())
        step.outcome = StepOutcome.DONE
        executions: list[ToolExecution] = []
        if plan.next_action is NextAction.FINISH:
            step.end = ReasoningEnd.FINISHED
        elif plan.next_action is NextAction.USE_TOOLS:
            async with aclosing(self._run_tools(step, planned, executions, context)) as events:
                async for event in events:
                    yield event
            if self.suspension is not None:
                step.outcome = StepOutcome.PAUSED
                return
            self._budget.record_results(executions)
        self._transcript.record_step(plan, planned.answer, executions)

    async def _run_tools(
        self, step: _Step, planned: ModelPlan, executions: list[ToolExecution], context: CallContext
    ) -> AsyncGenerator[Event, None]:
        """Runs the tool calls of a plan, as far as they need nothing of the caller; then the run pauses.

        Puts the calls that have ended into `executions`.
        """
        calls, runnable = self._begin_calls(step, planned)
        concurrent = planned.plan.concurrent
        if step.end is not None:
            step.outcome = StepOutcome.STOPPED
        while True:
            events_of_tools = self._tool_run.events(runnable, context, concurrent=concurrent, denied=calls.denied)
            async with aclosing(events_of_tools) as events:
                async for event in events:
                    if isinstance(event, ToolFinished):
                        calls.executions.append(event.execution)
                    yield event
            if runnable := calls.take_runnable():
                continue
            if waiting := calls.list_waiting(planned.answer):
                self._pause(step, planned, calls, waiting)
            break
        executions += calls.executions

    def _begin_calls(self, step: _Step, planned: ModelPlan) -> tuple[StepCalls, list[ToolCall]]:
        """Returns the calls of a plan that are within budget, and those that run first."""
        concurrent = planned.plan.concurrent and self._is_parallel
        if step.is_resumed and self._resumption is not None:
            paused, answers = self._resumption.state.step, self._resumption.answers
            step.end = paused.end
            calls = StepCalls(paused.calls, self._tools, concurrent=concurrent)
            calls.restore(paused.executions, answers)
            return calls, calls.list_approved(answers)
        granted, step.end = self._budget.grant(planned.plan.tool_calls)
        calls = StepCalls(granted, self._tools, concurrent=concurrent)
        return calls, calls.take_runnable()

    def _pause(self, step: _Step, planned: ModelPlan, calls: StepCalls, waiting: tuple[WaitingCall, ...]) -> None:
        """Suspends the run, unless its state is too large: then the waiting calls are not made, and it is the end."""
        paused = PausedStep(self._budget.steps, planned, calls.calls, tuple(calls.executions), step.end)
        state = RunState(
            self._native,
            self._transcript.save(),
            tuple(sorted(self._call_ids)),
            self._budget.save(),
            Spent(self._account.usage(), self._account.cost()),
            self._elapsed_seconds(),
            paused,
        )
        suspension = Suspension(waiting, encode_run_state(state))
        if suspension.measure() > self._dependencies.limits.max_state_bytes:
            step.end, step.outcome = ReasoningEnd.STATE_TOO_LARGE, StepOutcome.STOPPED
        else:
            self.suspension = suspension


def _hide_tool_calls(event: Event) -> Event:
    """Hides calls of the server's tools in the answer: the call forbids them, and the caller cannot."""
    match event:
        case ToolCallDelta(arguments=text):
            return InternalDelta(text)
        case ModelCallFinished(finish_reason=FinishReason.TOOL_CALLS):
            return replace(event, finish_reason=FinishReason.OTHER)
        case _:
            return event
