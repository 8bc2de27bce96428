"""`Agent`: checks a request for the reasoning path and creates its run."""

from reasoning_grpc.agent.budget import Account
from reasoning_grpc.agent.limits import AgentLimits
from reasoning_grpc.agent.prompts import AgentPrompts
from reasoning_grpc.agent.run import AgentRun, Dependencies
from reasoning_grpc.agent.spans import AgentSpans
from reasoning_grpc.agent.thinking_time import Speeds
from reasoning_grpc.domain import CallContext, CompletionRequest
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, UnsupportedParameter
from reasoning_grpc.llm import ContextWindows, LanguageModel, ModelCall
from reasoning_grpc.tools import Toolbox

_UNKNOWN_TOOL = "There is no such tool, or you may not use it: {}."
_NO_PRICES = "The prices of {} are not known."


class Agent:
    """Creates the runs of requests. Between runs it keeps nothing but the measured speed of the models."""

    def __init__(
        self,
        model: LanguageModel,
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

    def create_run(
        self, request: CompletionRequest, direct: ModelCall, context: CallContext, account: Account
    ) -> AgentRun:
        """Returns a run that has not begun. `direct` is the call that would answer without the agent.

        Raises InvalidRequest for tools that the caller may not use, and UnsupportedParameter for a cost limit where a
        price is not known.
        """
        self._check_tools(request, context)
        self._check_prices(request, (direct.model, *direct.fallback_models))
        return AgentRun(self._dependencies, request, direct, context, account)

    def _check_tools(self, request: CompletionRequest, context: CallContext) -> None:
        known = {info.name for info in self._dependencies.toolbox.list_all() if context.caller.may_use_tool(info.name)}
        if unknown := sorted((request.agent.allowed_tools or frozenset()) - known):
            violations = (FieldViolation("agent.allowed_tools", _UNKNOWN_TOOL.format(name)) for name in unknown)
            raise InvalidRequest(violations=tuple(violations))

    def _check_prices(self, request: CompletionRequest, models: tuple[str, ...]) -> None:
        if request.agent.max_cost_nano_usd is None:
            return
        for name in models:
            prices = self._dependencies.model.describe(name).prices
            if prices.input is None or prices.output is None:
                violation = FieldViolation("agent.max_cost_nano_usd", _NO_PRICES.format(name))
                raise UnsupportedParameter(violations=(violation,))
