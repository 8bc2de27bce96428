"""`Agent`: checks a request for the reasoning path and creates its run."""

from reasoning_grpc.agent.budget import Account
from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.own_tools import check_own_tools
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.run import AgentRun, Dependencies, Resumption
from reasoning_grpc.agent.run_state import decode_run_state
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds
from reasoning_grpc.domain import CallContext, CompletionRequest
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, UnsupportedParameter
from reasoning_grpc.llm import ContextWindows, ModelCall, ResilientModel
from reasoning_grpc.pauses import OpenedPause
from reasoning_grpc.tools import Toolbox

_SHARE_OF_DEADLINE = 0.25
"""The part of the caller's remaining time that waiting for lists of tools may take."""
_UNKNOWN_TOOL = "There is no such tool, or you may not use it: {}."
_CANNOT_GO_ON = "The version or the configuration of the server has changed, so that the run cannot go on."
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
        self._check_tools(request, context)
        self._check_prices(request, models)
        await self._wait_for_tools(request, context)
        if request.tools:
            check_own_tools(
                request, self._dependencies.toolbox.list_usable(context.caller, request.agent.allowed_tools)
            )
        resumption = None if paused is None else self._read_resumption(paused, models)
        return AgentRun(self._dependencies, request, direct, context, account, resumption)

    def _read_resumption(self, paused: OpenedPause, models: tuple[str, ...]) -> Resumption:
        state = decode_run_state(paused.run)
        describe = self._dependencies.model.describe
        if state is None or (state.is_native and not all(describe(name).native_tools for name in models)):
            raise InvalidRequest(violations=(FieldViolation(paused.path, _CANNOT_GO_ON),))
        return Resumption(state, paused.answers)

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

    def _check_prices(self, request: CompletionRequest, models: tuple[str, ...]) -> None:
        if request.agent.max_cost_nano_usd is None:
            return
        for name in models:
            prices = self._dependencies.model.describe(name).prices
            if prices.input is None or prices.output is None:
                violation = FieldViolation("agent.max_cost_nano_usd", _NO_PRICES.format(name))
                raise UnsupportedParameter(violations=(violation,))
