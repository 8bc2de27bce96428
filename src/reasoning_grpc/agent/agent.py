"""`Agent`: checks a request for the reasoning path and creates its run."""

from reasoning_grpc.agent.budget import Account
from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.run import AgentRun, Dependencies
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds
from reasoning_grpc.domain import CallContext, CompletionRequest
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, UnsupportedParameter
from reasoning_grpc.llm import ContextWindows, ModelCall, ResilientModel
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
        self, request: CompletionRequest, direct: ModelCall, context: CallContext, account: Account
    ) -> AgentRun:
        """Returns a run that has not begun. `direct` is the call that would answer without the agent.

        It waits for MCP servers that connect for the first time, up to the server's limit and a part of the caller's
        time, so that the run has their tools.

        Raises InvalidRequest for tools that the caller may not use, and UnsupportedParameter for a cost limit where a
        price is not known.
        """
        self._check_tools(request, context)
        self._check_prices(request, (direct.model, *direct.fallback_models))
        await self._wait_for_tools(request, context)
        return AgentRun(self._dependencies, request, direct, context, account)

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
