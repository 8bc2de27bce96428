"""`Agent`: thinks in steps with tools, then has the answer written."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.plan import Plan
from reasoning_grpc.agent.planning import Planned, Unplanned, native_tools, planned_events, with_own_ids
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds, ThinkingTime
from reasoning_grpc.agent.tool_run import ToolRun
from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.context_window import ContextWindows
from reasoning_grpc.errors import FieldViolation, InvalidRequest, UnsupportedParameter
from reasoning_grpc.events import (
    Event,
    ReasoningFinished,
    StepFinished,
    StepPlanned,
    StepStarted,
    ToolFinished,
)
from reasoning_grpc.model import LanguageModel, ModelCall, estimated_prompt_tokens
from reasoning_grpc.model_calls import events_of_call
from reasoning_grpc.tools import Toolbox
from reasoning_grpc.types import (
    CallContext,
    Capability,
    CompletionRequest,
    ContextPolicy,
    Cost,
    EffectiveSetting,
    Message,
    ModelCallPurpose,
    ModelInfo,
    NextAction,
    ReasoningEffort,
    ReasoningEnd,
    ReasoningOptions,
    Sampling,
    StepOutcome,
    ToolCall,
    ToolChoice,
    ToolChoiceMode,
    ToolExecution,
    Usage,
)

_STEP_TOKENS: Final = 1024
"""Of one plan, at most; the model's own reasoning comes on top."""
_REASONING_TOKENS: Final = 4096
"""Of that, where nobody says how many: the most that an effort is made into for models that want a number."""
_STEPS_IN_WINDOW: Final = 16
"""A plan may take such a part of the model's context window."""
_FORM_TOKENS: Final = 256
"""What is added to a call that was made to fit: the form of a plan, and what is wrong with one."""
_LARGE: Final = 1_000_000
_SAME_CALLS: Final = 3
"""So many steps in a row with the same tool calls are a loop; the last of them is not run."""


class Account(Protocol):
    """What a request has used so far."""

    def usage(self) -> Usage | None:
        """All its tokens."""
        ...

    def step_usage(self) -> Usage | None:
        """Those of the step under way, or of the last one."""
        ...

    def cost(self) -> Cost | None:
        """Its money; None: not known."""
        ...


class Agent:
    """Thinks about requests."""

    def __init__(
        self,
        model: LanguageModel,
        windows: ContextWindows,
        toolbox: Toolbox,
        limits: AgentLimits,
        prompts: AgentPrompts,
        spans: AgentSpans,
    ) -> None:
        self.model: Final = model
        self.windows: Final = windows
        self.toolbox: Final = toolbox
        self.limits: Final = limits
        self.prompts: Final = prompts
        self.spans: Final = spans
        self.speeds: Final = Speeds()

    def run(self, request: CompletionRequest, call: ModelCall, context: CallContext, account: Account) -> "AgentRun":
        """A run that is ready to begin. `call` is what would answer directly: it has the models and the conversation.

        Raises InvalidRequest for tools that the caller does not have, and UnsupportedParameter for a budget of money
        where a price is not known.
        """
        self._check_tools(request, context)
        self._check_prices(request, (call.model, *call.fallback_models))
        return AgentRun(self, request, call, context, account)

    def _check_tools(self, request: CompletionRequest, context: CallContext) -> None:
        known = {info.name for info in self.toolbox.listed() if context.caller.may_run(info.name)}
        if strangers := sorted((request.agent.allowed_tools or frozenset()) - known):
            text = "There is no such tool, or you may not use it: {}."
            violations = (FieldViolation("agent.allowed_tools", text.format(name)) for name in strangers)
            raise InvalidRequest(violations=tuple(violations))

    def _check_prices(self, request: CompletionRequest, models: tuple[str, ...]) -> None:
        if request.agent.max_cost_nano_usd is None:
            return
        for name in models:
            prices = self.model.describe(name).prices
            if prices.input is None or prices.output is None:
                violation = FieldViolation("agent.max_cost_nano_usd", f"The prices of {name} are not known.")
                raise UnsupportedParameter(violations=(violation,))


@dataclass(slots=True)
class _Step:
    """What became of a step so far."""

    outcome: StepOutcome = StepOutcome.STOPPED
    end: ReasoningEnd | None = None
    """Why it was the last one; None: it was not."""
    planned: Planned | None = None


class AgentRun:
    """One request on its way through the agent."""

    def __init__(
        self,
        agent: Agent,
        request: CompletionRequest,
        call: ModelCall,
        context: CallContext,
        account: Account,
    ) -> None:
        """See `Agent.run`."""
        self._agent = agent
        self._request = request
        self._context = context
        self._account = account
        self._limits = agent.limits.within(request.agent)
        info = agent.model.describe(call.model)
        self._native = info.native_tools
        # Sent whole, as without the agent, where nobody says how much is too much.
        self._fits = request.context_policy is not None or info.context_window_tokens is not None
        self._step_tokens = min(_STEP_TOKENS, (info.context_window_tokens or _LARGE) // _STEPS_IN_WINDOW)
        self._reasoning_tokens = _reasoning_tokens(request.reasoning, info)
        self._most_output_tokens = info.max_output_tokens or _LARGE
        offered = agent.toolbox.offered(context.caller, request.agent.allowed_tools)
        self._tools = offered if self._limits.max_tool_calls else ()
        prompt = agent.prompts.for_steps(self._tools, self._limits.max_steps, native=self._native)
        examples = agent.prompts.examples_for(info, self._tools)
        self._transcript = Transcript(call.messages, prompt, native=self._native, examples=examples)
        self._call = call
        self._time = ThinkingTime(
            agent.speeds,
            call.model,
            context,
            limit_seconds=self._limits.timeout_seconds,
            most_answer_tokens=request.sampling.max_output_tokens,
        )
        names = frozenset(tool.name for tool in self._tools)
        self._tool_run = ToolRun(agent.toolbox, names, agent.spans, self._tool_seconds)
        self._steps = 0
        self._tool_calls = 0
        self._call_ids: set[str] = set()
        self._same_calls: tuple[frozenset[tuple[str, str]], int] = (frozenset(), 0)

    def changed(self) -> tuple[EffectiveSetting, ...]:
        """What the request asks for and does not get."""
        return tuple(self._limits.changed(self._request.agent))

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
            self._steps,
            self._tool_calls,
            self._account.usage(),
            self._account.cost(),
            self._time.elapsed_seconds(),
        )
        call = await self._answering_call()
        async with aclosing(
            events_of_call(self._agent.model, call, ModelCallPurpose.SYNTHESIS, self._context)
        ) as events:
            async for event in events:
                self._time.hear(event)
                yield event

    def _limit_reached(self) -> ReasoningEnd | None:
        """The limit that keeps another step from beginning."""
        if self._steps >= self._limits.max_steps:
            return ReasoningEnd.MAX_STEPS
        if not self._time.left_seconds():
            return ReasoningEnd.DEADLINE
        if self._tokens_left() == 0:
            return ReasoningEnd.TOKEN_BUDGET
        cost, most = self._account.cost(), self._limits.max_cost_nano_usd
        if most is not None and cost is not None and cost.total_nano_usd >= most:
            return ReasoningEnd.COST_BUDGET
        return None

    def _tokens_left(self) -> int | None:
        """For the plan that the next model call gives, its reasoning apart; None: any."""
        if self._limits.max_tokens is None:
            return None
        usage = self._account.usage()
        used = 0 if usage is None else usage.total_tokens
        prompt = estimated_prompt_tokens(replace(self._call, messages=self._transcript.messages()))
        return max(0, self._limits.max_tokens - used - prompt - self._reasoning_tokens)

    async def _step(self, step: _Step) -> AsyncGenerator[Event, None]:
        self._steps += 1
        before = self._tool_calls
        with self._agent.spans.step(self._steps, self._context) as span:
            yield StepStarted(self._steps, self._limits.max_steps)
            async with aclosing(self._planned(step, span.context)) as events:
                async for event in events:
                    yield event
            if step.planned is not None:
                async with aclosing(self._done(step, step.planned, span.context)) as events:
                    async for event in events:
                        yield event
            span.ended(step.outcome, self._tool_calls - before)
            yield StepFinished(step.outcome, self._account.step_usage())

    async def _planned(self, step: _Step, context: CallContext) -> AsyncGenerator[Event, None]:
        """Has the model plan."""
        thinking_ends, step_ends = self._time.ends(), self._time.now() + self._limits.step_timeout_seconds
        ends = min(thinking_ends, step_ends)
        events = planned_events(
            self._agent.model,
            await self._step_call(),
            self._tools,
            self._steps,
            replace(context, deadline=ends),
            native=self._native,
            ends=ends,
        )
        async with aclosing(events):
            async for event in events:
                match event:
                    case Planned():
                        step.planned = with_own_ids(event, self._steps, self._call_ids)
                    case Unplanned(too_late=True):
                        step.end = ReasoningEnd.STEP_TIMEOUT if ends < thinking_ends else ReasoningEnd.DEADLINE
                    case Unplanned():
                        step.end, step.outcome = ReasoningEnd.STEP_FAILED, StepOutcome.INVALID_PLAN
                    case _:
                        self._time.hear(event)
                        yield event

    async def _done(self, step: _Step, planned: Planned, context: CallContext) -> AsyncGenerator[Event, None]:
        """Does what the model planned."""
        plan = planned.plan
        yield StepPlanned(plan.thought, plan.next_action, plan.tool_calls, plan.concurrent, self._account.step_usage())
        step.outcome = StepOutcome.DONE
        executions: list[ToolExecution] = []
        if plan.next_action is NextAction.FINISH:
            step.end = ReasoningEnd.FINISHED
        elif plan.next_action is NextAction.USE_TOOLS:
            calls, step.end = self._to_run(plan)
            if step.end is not None:
                step.outcome = StepOutcome.STOPPED
            async with aclosing(self._tool_run.events(calls, context, concurrent=plan.concurrent)) as events:
                async for event in events:
                    if isinstance(event, ToolFinished):
                        executions.append(event.execution)
                    yield event
        self._transcript.add(plan, planned.answer, executions)

    def _to_run(self, plan: Plan) -> tuple[tuple[ToolCall, ...], ReasoningEnd | None]:
        """Those of the calls that are run, and what keeps the others from it."""
        key = frozenset((call.name, call.arguments) for call in plan.tool_calls)
        last, times = self._same_calls
        self._same_calls = (key, times + 1 if key == last else 1)
        if self._same_calls[1] >= _SAME_CALLS:
            return (), ReasoningEnd.LOOP
        left = self._limits.max_tool_calls - self._tool_calls
        calls = plan.tool_calls[:left]
        self._tool_calls += len(calls)
        return calls, ReasoningEnd.MAX_TOOL_CALLS if len(calls) < len(plan.tool_calls) else None

    async def _step_call(self) -> ModelCall:
        left = self._tokens_left()
        tokens = self._reasoning_tokens + (self._step_tokens if left is None else min(self._step_tokens, left))
        call = replace(
            self._call,
            messages=self._transcript.messages(),
            sampling=Sampling(
                max_output_tokens=min(tokens, self._most_output_tokens), seed=self._request.sampling.seed
            ),
            response_format=None,
            tools=(),
            tool_choice=None,
            parallel_tool_calls=None,
        )
        return await self._fit(call, self._transcript.question, self._transcript.head)

    async def _answering_call(self) -> ModelCall:
        """The call that writes the answer."""
        messages, question = self._transcript.for_answer(self._agent.prompts.answer)
        call = replace(self._call, messages=messages)
        if self._native and self._tools:  # calls of these are among the messages, so that providers want to know them
            no_more = ToolChoice(mode=ToolChoiceMode.NONE)
            call = replace(call, tools=native_tools(self._tools), tool_choice=no_more)
        return await self._fit(call, question, self._transcript.head if self._native else 0)

    async def _fit(self, call: ModelCall, question: Message, head: int) -> ModelCall:
        """The call without what does not fit: of the conversation first, then of the steps."""
        if not self._fits:
            return call
        return await self._agent.windows.fit(
            call,
            ContextPolicy.TRUNCATE_OLDEST,
            reserve_tokens=_FORM_TOKENS,
            head=head,
            question=question,
        )

    def _tool_seconds(self) -> float:
        return min(self._limits.tool_timeout_seconds, self._time.left_seconds())


def _reasoning_tokens(asked: ReasoningOptions, info: ModelInfo) -> int:
    """How much of a plan's output may be the model's own reasoning; providers refuse what does not fit into it."""
    if asked.budget_tokens is not None:
        return asked.budget_tokens
    if asked.effort is ReasoningEffort.NONE:
        return 0
    return _REASONING_TOKENS if asked.effort or Capability.REASONING in info.capabilities else 0
