"""`RunParts`: what a run of the agent works with, and how it is set up for its request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reasoning_grpc.agent.budget import Account, Budget
from reasoning_grpc.agent.calls import AgentCalls
from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.missing_tools import find_missing_tools
from reasoning_grpc.agent.own_tools import describe_own_tools, select_own_tools
from reasoning_grpc.agent.plan import Plan, plan_schema
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.run_account import RunAccount
from reasoning_grpc.agent.run_state import PausedStep, RunState, Spent
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds, ThinkingTime
from reasoning_grpc.agent.tool_run import ToolRun
from reasoning_grpc.agent.transcript import Transcript
from reasoning_grpc.domain import CallContext, CallerAnswer, CompletionRequest, EffectiveSetting, ToolInfo
from reasoning_grpc.llm import ContextWindows, ModelCall, ResilientModel
from reasoning_grpc.llm.structured import Schema, build_answer_request
from reasoning_grpc.tools import Toolbox

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What a run works with: its tools, its transcript, its model calls, and what is left of its limits."""

    dependencies: Dependencies
    context: CallContext
    resumption: Resumption | None
    account: Account
    """The tokens and the cost of the run, with those before its pauses."""
    tools: tuple[ToolInfo, ...]
    """The tools that the run may call: the server's, and the caller's own."""
    missing_tools: EffectiveSetting | None
    """Reports the tools that the request may use, and that cannot be called now."""
    is_parallel: bool
    """Whether the caller allows several tool calls at the same time."""
    is_native: bool
    """Whether the model plans by tool calls. If not, it writes its plan in JSON."""
    schema: Schema[Plan] | None
    """The schema of a plan in JSON; None for a native one."""
    transcript: Transcript
    calls: AgentCalls
    time: ThinkingTime
    budget: Budget
    tool_run: ToolRun
    call_ids: set[str]
    """The ids of all tool calls of the answer."""
    name: str
    """What the ids of this run's tool calls begin with."""
    seconds_before: float
    """How long the run was thinking before its pause."""

    def elapsed_seconds(self) -> float:
        """Returns how long the whole run has been thinking."""
        return self.seconds_before + self.time.elapsed_seconds()

    def save(self, step: PausedStep) -> RunState:
        """Returns the state with which the run can go on within this step."""
        return RunState(
            self.is_native,
            self.transcript.save(),
            tuple(sorted(self.call_ids)),
            self.budget.save(),
            Spent(self.account.usage(), self.account.cost()),
            self.elapsed_seconds(),
            step,
        )

    def restore(self, state: RunState) -> None:
        """Takes up the run where it paused."""
        self.transcript.restore(state.transcript)
        self.budget.restore(state.budget)
        self.call_ids.update(state.call_ids)


def build_run_parts(
    dependencies: Dependencies,
    request: CompletionRequest,
    direct: ModelCall,
    context: CallContext,
    account: Account,
    share: TaskShare | None,
    resumption: Resumption | None,
) -> RunParts:
    """Returns the parts of a run; see `AgentRun`."""
    state = None if resumption is None else resumption.state
    if state is not None:
        account = RunAccount(account, state.spent)
    limits = dependencies.limits.restrict(request.agent) if share is None else share.limits
    info = dependencies.model.describe(direct.model)
    models = [info, *map(dependencies.model.describe, direct.fallback_models)]
    offered = dependencies.toolbox.list_usable(context.caller, request.agent.allowed_tools)
    own_tools = select_own_tools(request)
    tools = (*offered, *describe_own_tools(own_tools)) if limits.max_tool_calls else ()
    unready = dependencies.toolbox.list_unready_servers(context.caller, request.agent.allowed_tools)
    are_native = all(model.native_tools for model in models)  # every model can write a plan in JSON
    is_native = are_native and len(tools) <= _MAX_NATIVE_TOOLS if state is None else state.is_native
    instructions = dependencies.prompts.step_instructions(tools, limits.max_steps, native=is_native)
    schema = None if is_native else plan_schema(tools)
    plan_request = None if schema is None else build_answer_request(schema, models)
    if plan_request is not None and plan_request.instruction:
        instructions = f"{instructions}\n\n{plan_request.instruction}"
    transcript = Transcript(
        direct.messages,
        instructions,
        native=is_native,
        system_prompt=info.system_prompt,
        examples=dependencies.prompts.select_examples(info, tools),
        max_characters=None if info.context_window_tokens is None else info.context_window_tokens // 2,
    )
    calls = AgentCalls(
        direct,
        info,
        transcript,
        dependencies.windows,
        tools=offered if is_native and tools else (),
        own_tools=own_tools if is_native and tools else (),
        plan_request=plan_request,
        # Without a policy and a known window, calls are sent whole, as they would be without the agent.
        fits=request.context_policy is not None or info.context_window_tokens is not None,
    )
    seconds_before = 0.0 if state is None else state.elapsed_seconds
    time = ThinkingTime(
        dependencies.speeds,
        direct.model,
        context,
        limit_seconds=max(0.0, limits.timeout_seconds - (seconds_before if share is None else 0.0)),
        max_answer_tokens=request.sampling.max_output_tokens,
    )
    budget = Budget(limits, account, time)
    names = frozenset(tool.name for tool in offered) if tools else frozenset()
    parts = RunParts(
        dependencies=dependencies,
        context=context,
        resumption=resumption,
        account=account,
        tools=tools,
        missing_tools=find_missing_tools(request.agent, offered, unready) if limits.max_tool_calls else None,
        is_parallel=request.parallel_tool_calls is not False,
        is_native=is_native,
        schema=schema,
        transcript=transcript,
        calls=calls,
        time=time,
        budget=budget,
        tool_run=ToolRun(dependencies.toolbox, names, dependencies.spans, budget.tool_seconds),
        call_ids=set() if share is None else share.call_ids,
        name="" if share is None else f"{share.name}_",
        seconds_before=seconds_before,
    )
    if state is not None:
        parts.restore(state)
    return parts
