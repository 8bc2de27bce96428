"""`StepRun`: one step of a run: the model plans it, and its tools run."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from reasoning_grpc.agent.planning import ModelPlan, NoPlan, assign_unique_ids, plan_events
from reasoning_grpc.agent.run_parts import RunParts
from reasoning_grpc.agent.run_state import PausedStep, encode_run_state
from reasoning_grpc.agent.step_calls import StepCalls
from reasoning_grpc.domain import (
    CallContext,
    NextAction,
    ReasoningEnd,
    StepOutcome,
    Suspension,
    ToolCall,
    ToolExecution,
    WaitingCall,
)
from reasoning_grpc.domain.events import Event, StepFinished, StepPlanned, StepStarted, ToolFinished
from reasoning_grpc.llm import ModelCall

_logger = logging.getLogger("reasoning_grpc.agent")


class StepRun:
    """One step of a run. Its events can be read once; then `end` and `suspension` say how the run goes on."""

    def __init__(self, parts: RunParts, paused: PausedStep | None = None) -> None:
        """`paused` is the step in which the run paused, if this is the rest of it."""
        self._parts = parts
        self._paused = paused
        self._planned: ModelPlan | None = None if paused is None else paused.planned
        self._outcome = StepOutcome.STOPPED
        self.end: ReasoningEnd | None = None
        """Why it is the last step; None while it is not."""
        self.suspension: Suspension | None = None
        """Set when the run waits for its caller within this step."""

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yields the events of the step. Raises UpstreamError."""
        parts = self._parts
        if self._paused is None:
            parts.budget.steps += 1
        number, before = parts.budget.steps, parts.budget.tool_calls
        with parts.dependencies.spans.step(number, parts.context) as span:
            _logger.debug("step begins", extra={"request_id": parts.context.request_id, "step": number})
            yield StepStarted(number, parts.budget.limits.max_steps)
            if self._paused is None:
                async with aclosing(self._plan(span.context)) as events:
                    async for event in events:
                        yield event
            if self._planned is not None:
                span.record_plan(self._planned.plan)
                async with aclosing(self._execute(self._planned, span.context)) as events:
                    async for event in events:
                        yield event
            span.record_outcome(self._outcome, parts.budget.tool_calls - before)
            yield StepFinished(self._outcome, parts.account.step_usage())

    async def _plan(self, context: CallContext) -> AsyncGenerator[Event, None]:
        """Asks the model for the plan of the step."""
        parts = self._parts
        thinking_ends = parts.time.end_time()
        ends = min(thinking_ends, parts.time.now() + parts.budget.limits.step_timeout_seconds)
        events = plan_events(
            parts.dependencies.model,
            await parts.calls.build_step_call(parts.budget.tokens_left(parts.calls.estimate_step_tokens())),
            parts.schema,
            replace(context, deadline=ends),
            repair=self._repair,
            ends=ends,
        )
        async with aclosing(events):
            async for event in events:
                match event:
                    case ModelPlan():
                        self._planned = assign_unique_ids(event, f"{parts.name}{parts.budget.steps}", parts.call_ids)
                    case NoPlan(is_late=True):
                        self.end = ReasoningEnd.STEP_TIMEOUT if ends < thinking_ends else ReasoningEnd.DEADLINE
                    case NoPlan() if self.end is None:
                        self.end, self._outcome = ReasoningEnd.STEP_FAILED, StepOutcome.INVALID_PLAN
                    case NoPlan():
                        pass  # a budget ended the step before its plan was repaired
                    case _:
                        parts.time.record(event)
                        yield event

    def _repair(self, call: ModelCall) -> ModelCall | None:
        """Limits the call for a repaired plan to the budgets. Returns None and ends the run when one is spent."""
        parts = self._parts
        tokens = parts.calls.estimate_tokens(call)
        self.end = parts.budget.find_spent_budget(tokens)
        return None if self.end else parts.calls.build_repair_call(call, parts.budget.tokens_left(tokens))

    async def _execute(self, planned: ModelPlan, context: CallContext) -> AsyncGenerator[Event, None]:
        """Executes the plan of the step: runs its tools, if it has any, and records the step in the transcript."""
        plan, parts = planned.plan, self._parts
        yield StepPlanned(plan.thought, plan.next_action, plan.tool_calls, plan.concurrent, parts.account.step_usage())
        self._outcome = StepOutcome.DONE
        executions: list[ToolExecution] = []
        if plan.next_action is NextAction.FINISH:
            self.end = ReasoningEnd.FINISHED
        elif plan.next_action is NextAction.USE_TOOLS:
            async with aclosing(self._run_tools(planned, executions, context)) as events:
                async for event in events:
                    yield event
            if self.suspension is not None:
                self._outcome = StepOutcome.PAUSED
                return
            parts.budget.record_results(executions)
        parts.transcript.record_step(plan, planned.answer, executions)

    async def _run_tools(
        self, planned: ModelPlan, executions: list[ToolExecution], context: CallContext
    ) -> AsyncGenerator[Event, None]:
        """Runs the tool calls of a plan, as far as they need nothing of the caller; then the run pauses.

        Puts the calls that have ended into `executions`.
        """
        calls, runnable = self._begin_calls(planned)
        concurrent = planned.plan.concurrent
        if self.end is not None:
            self._outcome = StepOutcome.STOPPED
        while True:
            events_of_tools = self._parts.tool_run.events(runnable, context, concurrent=concurrent, denied=calls.denied)
            async with aclosing(events_of_tools) as events:
                async for event in events:
                    if isinstance(event, ToolFinished):
                        calls.executions.append(event.execution)
                    yield event
            if runnable := calls.take_runnable():
                continue
            if waiting := calls.list_waiting(planned.answer):
                self._pause(planned, calls, waiting)
            break
        executions += calls.executions

    def _begin_calls(self, planned: ModelPlan) -> tuple[StepCalls, list[ToolCall]]:
        """Returns the calls of a plan that are within budget, and those that run first."""
        parts, paused = self._parts, self._paused
        concurrent = planned.plan.concurrent and parts.is_parallel
        if paused is not None and parts.resumption is not None:
            answers = parts.resumption.answers
            self.end = paused.end
            calls = StepCalls(paused.calls, parts.tools, concurrent=concurrent)
            calls.restore(paused.executions, answers)
            return calls, calls.list_approved(answers)
        granted, self.end = parts.budget.grant(planned.plan.tool_calls)
        calls = StepCalls(granted, parts.tools, concurrent=concurrent)
        return calls, calls.take_runnable()

    def _pause(self, planned: ModelPlan, calls: StepCalls, waiting: tuple[WaitingCall, ...]) -> None:
        """Suspends the run, unless its state is too large: then the waiting calls are not made, and it is the end."""
        parts = self._parts
        paused = PausedStep(parts.budget.steps, planned, calls.calls, tuple(calls.executions), self.end)
        suspension = Suspension(waiting, encode_run_state(parts.save(paused)))
        if suspension.measure() > parts.dependencies.limits.max_state_bytes:
            self.end, self._outcome = ReasoningEnd.STATE_TOO_LARGE, StepOutcome.STOPPED
        else:
            self.suspension = suspension
