"""`Agent`: checks a request for the reasoning path and creates its run."""

from collections.abc import Sequence
from dataclasses import replace

from reasoning_grpc.agent.budget import Account
from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.missing_tools import find_missing_tools
from reasoning_grpc.agent.own_tools import check_own_tools, describe_own_tools, select_own_tools
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.run import AgentRun
from reasoning_grpc.agent.run_parts import Dependencies, Resumption, TaskShare
from reasoning_grpc.agent.run_state import decode_run_state, refuse_state
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds
from reasoning_grpc.domain import CallContext, CompletionRequest, EffectiveSetting, ToolInfo
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, UnsupportedParameter
from reasoning_grpc.llm import ContextWindows, ModelCall, ResilientModel
from reasoning_grpc.pauses import OpenedPause
from reasoning_grpc.tools import Toolbox

_SHARE_OF_DEADLINE = 0.25
"""The part of the caller's remaining time that waiting for lists of tools may take."""
_UNKNOWN_TOOL = "There is no such tool, or you may not use it: {}."
_NO_PRICES = "The prices of {} are not known."


class Agent:
    """Creates the runs of requests. Between runs it keeps nothing but the measured speed of the models."""

    def __init__(
        self,
        model: ResilientModel,
        windows: ContextWindows,
        toolbox: Toolbox,
        limits: AgentLimits,
        prompts: AgentPrompts,
        spans: AgentSpans,
    ) -> None:
        self._dependencies = Dependencies(
            model=model,
            windows=windows,
            toolbox=toolbox,
            limits=limits,
            prompts=prompts,
            spans=spans,
            speeds=Speeds(),
        )

    async def create_run(
        self,
        request: CompletionRequest,
        direct: ModelCall,
        context: CallContext,
        account: Account,
        paused: OpenedPause | None = None,
    ) -> AgentRun:
        """Returns a run that has not begun, or one that goes on where it `paused`.

        `direct` is the call that would answer without the agent, and without the caller's own tools.

        It waits for MCP servers that connect for the first time, up to the server's limit and a part of the caller's
        time, so that the run has their tools.

        Raises:
            InvalidRequest: the caller may not use a tool, or its own tool has the name of another, or the paused run
                cannot go on.
            UnsupportedParameter: there is a cost limit where a price is not known, or a choice of tools that the agent
                cannot follow.
        """
        models = (direct.model, *direct.fallback_models)
        await self.prepare(request, models, context)
        resumption = None if paused is None else self.read_resumption(paused, models)
        return AgentRun(self._dependencies, request, direct, context, account, resumption=resumption)

    def read_resumption(self, paused: OpenedPause, models: Sequence[str]) -> Resumption:
        """Reads the state of a run that these models serve. Raises InvalidRequest when it cannot go on."""
        state = decode_run_state(paused.run)
        describe = self._dependencies.model.describe
        if state is None or (state.is_native and not all(describe(name).native_tools for name in models)):
            raise refuse_state(paused.path)
        return Resumption(state, paused.answers)

    async def prepare(self, request: CompletionRequest, models: Sequence[str], context: CallContext) -> None:
        """Checks a request that these models may serve, and waits for its tools; see `create_run`."""
        self._check_tools(request, context)
        self._check_prices(request, models)
        await self._wait_for_tools(request, context)
        if request.tools:
            check_own_tools(request, self._list_offered(request, context))

    def create_task_run(
        self,
        request: CompletionRequest,
        direct: ModelCall,
        context: CallContext,
        account: Account,
        share: TaskShare,
        resumption: Resumption | None = None,
    ) -> AgentRun:
        """Returns a run that works on a task of a request that was prepared. `direct` has the task as its question."""
        return AgentRun(self._dependencies, request, direct, context, account, share, resumption)

    def list_tools(self, request: CompletionRequest, context: CallContext) -> tuple[ToolInfo, ...]:
        """Returns the tools that a request may use now: the server's, and the caller's own."""
        return (*self._list_offered(request, context), *describe_own_tools(select_own_tools(request)))

    def find_missing_tools(self, request: CompletionRequest, context: CallContext) -> EffectiveSetting | None:
        """Returns the setting that reports the tools that a request may use, and that cannot be called now."""
        unready = self._dependencies.toolbox.list_unready_servers(context.caller, request.agent.allowed_tools)
        return find_missing_tools(request.agent, self._list_offered(request, context), unready)

    def restrict_limits(self, limits: AgentLimits, request: CompletionRequest) -> AgentLimits:
        """Returns these limits of the server, and its limits of time, as far as the request does not ask for less."""
        own = self._dependencies.limits
        return replace(
            own,
            max_steps=limits.max_steps,
            max_tool_calls=limits.max_tool_calls,
            timeout_seconds=limits.timeout_seconds,
        ).restrict(request.agent)

    @property
    def speeds(self) -> Speeds:
        """The measured speed of the models."""
        return self._dependencies.speeds

    def _list_offered(self, request: CompletionRequest, context: CallContext) -> tuple[ToolInfo, ...]:
        """Returns the server's tools that a request may use now."""
        return self._dependencies.toolbox.list_usable(context.caller, request.agent.allowed_tools)

    def _check_tools(self, request: CompletionRequest, context: CallContext) -> None:
        """Refuses tools that do not exist, and those of others. A tool of an MCP server may exist at another time."""
        toolbox, names = self._dependencies.toolbox, sorted(request.agent.allowed_tools or ())
        unknown = [name for name in names if not (context.caller.may_use_tool(name) and toolbox.may_exist(name))]
        if unknown:
            violations = (FieldViolation("agent.allowed_tools", _UNKNOWN_TOOL.format(name)) for name in unknown)
            raise InvalidRequest(violations=tuple(violations))

    async def _wait_for_tools(self, request: CompletionRequest, context: CallContext) -> None:
        if request.agent.max_tool_calls == 0:
            return
        seconds, remaining = self._dependencies.limits.tool_list_timeout_seconds, context.remaining_seconds()
        if remaining is not None:
            seconds = min(seconds, remaining * _SHARE_OF_DEADLINE)
        await self._dependencies.toolbox.wait_for_lists(context.caller, request.agent.allowed_tools, seconds)

    def _check_prices(self, request: CompletionRequest, models: Sequence[str]) -> None:
        if request.agent.max_cost_nano_usd is None:
            return
        for name in models:
            prices = self._dependencies.model.describe(name).prices
            if prices.input is None or prices.output is None:
                violation = FieldViolation("agent.max_cost_nano_usd", _NO_PRICES.format(name))
                raise UnsupportedParameter(violations=(violation,))
