"""An engine of the real parts around a model that answers at once."""

from collections.abc import AsyncGenerator, Callable
from typing import Final

from reasoning_grpc.agent import Agent, AgentLimits, AgentPrompts, AgentSpans, load_agent_examples, load_agent_prompt
from reasoning_grpc.catalog import ConfiguredModel, KnownModels, ModelTable
from reasoning_grpc.config import ClassifierEntry, RouteEntry
from reasoning_grpc.domain import (
    CallContext,
    Capability,
    Deployment,
    EffectiveSetting,
    FinishReason,
    ModelInfo,
    ModelSourceKind,
    RoutingMode,
    UsageMeter,
)
from reasoning_grpc.domain.events import ContentDelta, ModelEvent, ModelFinished, ReasoningDelta, ToolCallDelta
from reasoning_grpc.engine import Engine
from reasoning_grpc.litellm_model import find_price_map
from reasoning_grpc.llm import ContextWindows, LanguageModel, ModelCall
from reasoning_grpc.llm.port import estimate_prompt_tokens
from reasoning_grpc.orchestrator import (
    OrchestrationLimits,
    OrchestrationPrompts,
    Orchestrator,
    load_orchestration_prompt,
)
from reasoning_grpc.pauses import KEY_BYTES, MemoryUsedStates, Pauses, SealingKeys
from reasoning_grpc.router import ModelClassifier, Router, Routes, load_classifier_prompt
from reasoning_grpc.tools import Toolbox
from tests.support.models import USAGE, make_resilient
from tests.support.serving import model_entry

_JSON: Final = {
    "plan": '{"thought": "It is known.", "next_action": "finish"}',
    "route": '{"route": "deep"}',
    "tasks": '{"tasks": [{"name": "a", "goal": "Find it.", "needs": []}]}',
}
"""What it answers by the name of the requested schema: the agent's, the classifier's, and the planner's."""


class InstantModel:
    """Answers each call at once: with a call of a tool where one is offered, with JSON where it is requested."""

    def __init__(self, table: ModelTable) -> None:
        self._table = table

    async def stream(
        self,
        call: ModelCall,
        deployment: Deployment,  # noqa: ARG002
        context: CallContext,  # noqa: ARG002
        meter: UsageMeter,  # noqa: ARG002
    ) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`."""
        yield ReasoningDelta("hm", signature="s")
        reason = FinishReason.STOP
        if call.tools:
            yield ToolCallDelta("c1", 0, call.tools[0].name, "{}")
            reason = FinishReason.TOOL_CALLS
        else:
            schema = "" if call.response_format is None else call.response_format.name
            yield ContentDelta(_JSON.get(schema, "Hello"))
        yield ModelFinished(call.model, reason, reason.value.lower(), USAGE, 0.25)

    def list_effective_settings(self, call: ModelCall, context: CallContext) -> tuple[EffectiveSetting, ...]:  # noqa: ARG002
        """See `LanguageModel.list_effective_settings`."""
        return ()

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        return self._table.describe(model)

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        return estimate_prompt_tokens(call)

    async def warm_up(self) -> None:
        """See `LanguageModel.warm_up`."""

    async def aclose(self) -> None:
        """See `LanguageModel.aclose`."""


def build_instant_engine(model_class: Callable[[ModelTable], LanguageModel] = InstantModel) -> Engine:
    """Builds an engine with two models, "fake", the default, and "spare", and two routes."""
    able = frozenset(Capability)
    entries = {name: model_entry("http://127.0.0.1:9/v1", name, capabilities=able) for name in ("fake", "spare")}
    models = {name: ConfiguredModel(entry, find_price_map()) for name, entry in entries.items()}
    table = ModelTable([KnownModels(ModelSourceKind.CONFIGURATION, models)], "fake")
    model = make_resilient(model_class(table), find_model=table.find)
    windows = ContextWindows(model, unknown_window_tokens=8192)
    classifier = ModelClassifier(model, table, ClassifierEntry(model="spare"), load_classifier_prompt())
    routes = [
        RouteEntry(name="quick", description="Short questions.", mode=RoutingMode.PASSTHROUGH),
        RouteEntry(name="deep", description="Long questions.", mode=RoutingMode.REASONING),
    ]
    router = Router(table, classifier, routes=Routes(routes))
    prompts = AgentPrompts(
        plan=load_agent_prompt("plan"),
        native=load_agent_prompt("native"),
        answer=load_agent_prompt("answer"),
        examples=load_agent_examples(),
    )
    agent = Agent(model, windows, Toolbox({}, {}), AgentLimits(), prompts, AgentSpans(None))
    pauses = Pauses(SealingKeys([bytes(KEY_BYTES)]), MemoryUsedStates(), lifetime_seconds=60)
    limits = OrchestrationLimits(agent=AgentLimits(max_steps=32, max_tool_calls=64))
    team_prompts = OrchestrationPrompts(
        plan=load_orchestration_prompt("planner"),
        task=load_orchestration_prompt("task"),
        answer=load_orchestration_prompt("synthesis"),
    )
    orchestrator = Orchestrator(agent, model, windows, limits, team_prompts, AgentSpans(None))
    return Engine(table, router, model, windows, agent, pauses, orchestrator)
