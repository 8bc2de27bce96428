"""`AgentRun`: one request on the reasoning path: its steps, and then its answer."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from msgspec.structs import replace

from reasoning_grpc.agent.budget import Account, Budget
from reasoning_grpc.agent.limits import list_unused_tasks
from reasoning_grpc.agent.run_parts import Dependencies, Resumption, TaskShare, build_run_parts
from reasoning_grpc.agent.step_run import StepRun
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    EffectiveSetting,
    FinishReason,
    ModelCallPurpose,
    ReasoningEnd,
    Suspension,
)
from reasoning_grpc.domain.events import Event, InternalDelta, ModelCallFinished, ReasoningFinished, ToolCallDelta
from reasoning_grpc.llm import ModelCall


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
        self._options = request.agent
        self._parts = build_run_parts(dependencies, request, direct, context, account, share, resumption)
        self.suspension: Suspension | None = None
        """Set when the events have ended because the run waits for its caller; it then has no answer."""

    def list_effective_settings(self) -> tuple[EffectiveSetting, ...]:
        """Returns a setting for each requested option that the run does not follow."""
        changes = (*self.budget.limits.list_changes(self._options), *list_unused_tasks(self._options))
        missing_tools = self._parts.missing_tools
        return changes if missing_tools is None else (*changes, missing_tools)

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
        return self._parts.budget

    @property
    def account(self) -> Account:
        """The tokens and the cost of the run, with those before its pauses."""
        return self._parts.account

    async def think(self) -> AsyncGenerator[Event, None]:
        """Yields the events of the steps, and `ReasoningFinished`. Raises UpstreamError.

        When the run waits for its caller, `suspension` says for what, and there must be no answer.
        """
        parts = self._parts
        paused = None if parts.resumption is None else parts.resumption.state.step
        end = None if paused is not None else self._find_reached_limit()
        while end is None:
            step, paused = StepRun(parts, paused), None
            async with aclosing(step.events()) as events:
                async for event in events:
                    yield event
            self.suspension = step.suspension
            end = ReasoningEnd.PAUSED if self.suspension is not None else step.end or self._find_reached_limit()
        yield ReasoningFinished(
            end,
            self.budget.steps,
            self.budget.tool_calls,
            self.account.usage(),
            self.account.cost(),
            parts.elapsed_seconds(),
        )

    async def answer(
        self, limit: Callable[[ModelCall], ModelCall | None] = lambda call: call
    ) -> AsyncGenerator[Event, None]:
        """Yields the events of the answer. `limit` may change its call, or prevent it by None. Raises UpstreamError."""
        parts = self._parts
        call = limit(await parts.calls.build_answer_call(parts.dependencies.prompts.answer))
        if call is None:
            return
        answer = parts.dependencies.model.stream_call(call, ModelCallPurpose.SYNTHESIS, parts.context)
        async with aclosing(answer) as events:
            async for event in events:
                parts.time.record(event)
                yield _hide_tool_calls(event) if call.tools else event

    def _find_reached_limit(self) -> ReasoningEnd | None:
        return self.budget.find_reached_limit(self._parts.calls.estimate_step_tokens())


def _hide_tool_calls(event: Event) -> Event:
    """Hides calls of the server's tools in the answer: the call forbids them, and the caller cannot."""
    match event:
        case ToolCallDelta(arguments=text):
            return InternalDelta(text)
        case ModelCallFinished(finish_reason=FinishReason.TOOL_CALLS):
            return replace(event, finish_reason=FinishReason.OTHER)
        case _:
            return event
