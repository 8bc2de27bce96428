"""`build_parts`: builds everything that a configuration describes; the only module that wires objects."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from opentelemetry.trace import Tracer

from reasoning_grpc.agent import Agent, AgentLimits, AgentPrompts, AgentSpans, load_agent_examples, load_agent_prompt
from reasoning_grpc.catalog import (
    ConfiguredModel,
    EmbeddedEntry,
    KnownModels,
    ModelSourceReader,
    ModelTable,
    ProxyListing,
    ProxyModels,
    TracedListing,
)
from reasoning_grpc.config import (
    ClassifierEntry,
    ClassifierStrategy,
    Config,
    OrchestrationUse,
    ProxyEntry,
    Settings,
    decode_pause_key,
)
from reasoning_grpc.domain import ModelSourceKind
from reasoning_grpc.embedded import EmbeddedUpstream
from reasoning_grpc.engine import Engine
from reasoning_grpc.litellm_model import ConnectionPool, LiteLLMModel, TransportLimits, find_price_map
from reasoning_grpc.llm import (
    AttemptSpans,
    BreakerPolicy,
    ContextWindows,
    GuardPolicy,
    ModelCallQuotas,
    ModelTimeouts,
    ResilientModel,
    RetryPolicy,
    UpstreamGuards,
)
from reasoning_grpc.orchestrator import (
    OrchestrationLimits,
    OrchestrationPrompts,
    Orchestrator,
    load_orchestration_prompt,
    load_planner_examples,
)
from reasoning_grpc.pauses import PauseMemory, Pauses, SealingKeys
from reasoning_grpc.quotas import MemoryQuotas
from reasoning_grpc.router import (
    Classifier,
    ClassifierPrompt,
    ModelClassifier,
    Router,
    Routes,
    TracedClassifier,
    build_rule,
    load_classifier_prompt,
)
from reasoning_grpc.router.embedding import EmbeddingClassifier, EmbeddingRunner, RouterTraining, build_route_examples
from reasoning_grpc.server.descriptors import bound_connections, raise_descriptor_limit
from reasoning_grpc.server.embedded_model import build_embedded_model
from reasoning_grpc.telemetry import Telemetry
from reasoning_grpc.tools import Toolbox, list_tools_of_callers

_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ServerParts:
    """The parts of one server that are started and closed with it. Nothing runs yet when they are built."""

    config: Config
    engine: Engine
    adapter: LiteLLMModel
    """Makes each attempt at a model call; owns the connections to the upstreams."""
    model: ResilientModel
    """Calls every model, with retries, timeouts and spans; closing it closes the adapter."""
    windows: ContextWindows
    table: ModelTable
    """Lists the models; closing it closes the proxy's list."""
    toolbox: Toolbox
    proxy: ProxyModels | None
    """None: the configuration has no proxy."""
    embedded: EmbeddedUpstream | None
    """None: this server runs no model itself."""
    embedding: EmbeddingRunner
    """Loads and runs the router's embedding when the mode AUTO first needs it."""
    router_embedding: EmbeddingClassifier | None
    """Chooses routes by the embedding; None: a model chooses them."""
    guards: UpstreamGuards
    """What the calls to each upstream share."""
    pools: Mapping[str, ConnectionPool]
    """The connection pools by the names that the metrics use."""
    quotas: MemoryQuotas
    """What the callers have left of their limits."""
    call_quotas: ModelCallQuotas
    """Reserves for each model call from `quotas`."""
    pause_memory: PauseMemory
    """What the pauses of runs remember while the server runs."""


def build_parts(
    config: Config,
    telemetry: Telemetry,
    *,
    attached: EmbeddedUpstream | None = None,
    adapter_class: type[LiteLLMModel] = LiteLLMModel,
    pause_memory: PauseMemory | None = None,
    previous: ServerParts | None = None,
) -> ServerParts:
    """Builds all parts of a server; `find_config_problems` must have found nothing in the configuration.

    `attached` is an embedded model whose process is another's; None: this server owns the process, if it is to run.
    `pause_memory` is shared with other workers; None: this server has its own.
    `adapter_class` makes the single attempts at model calls; a benchmark has one that calls no upstream. From the
    `previous` parts of a server that runs come those that outlive a configuration: the connections, the guards of the
    upstreams with their breakers, the proxy's models, the embedded model, and the tools that did not change.
    """
    settings, tracer = config.settings, telemetry.tracer
    lasting = _build_lasting_parts(config, tracer, attached, pause_memory) if previous is None else previous
    if any(entry.limits is not None for entry in config.callers.values()):
        lasting.quotas.load_algorithms()
    default_model = settings.default_model or ("" if lasting.embedded is None else lasting.embedded.name)
    sources = _build_sources(config, lasting.proxy, lasting.embedded)
    table = ModelTable(sources, default_model, is_failing=lasting.guards.is_open)
    if previous is None:
        adapter = _build_adapter(config, table, adapter_class)
        pools = {**lasting.pools, "model_calls": adapter.pool}
    else:
        adapter = previous.adapter.with_directory(table, _list_new_models(previous.config, config))
        pools = dict(previous.pools)
    model = _build_model(settings, adapter, table, lasting.guards, telemetry, lasting.call_quotas)
    if previous is None:
        windows = ContextWindows(model, unknown_window_tokens=settings.unknown_context_window_tokens)
    else:
        windows = previous.windows.with_model(model, unknown_window_tokens=settings.unknown_context_window_tokens)
    toolbox = Toolbox(
        config.tools,
        config.mcp_servers,
        tools_of_callers=list_tools_of_callers(config),
        previous=None if previous is None else previous.toolbox,
    )
    asked = _build_model_classifier(config.classifier, model, table)
    router_embedding = _build_router_embedding(config, lasting.embedding, asked)
    router = _build_router(config, table, _trace_classifier(router_embedding or asked, tracer))
    spans = AgentSpans(tracer, captures_content=telemetry.captures_content)
    agent = Agent(model, windows, toolbox, _build_limits(settings), _read_prompts(settings), spans)
    orchestrator = None
    if settings.orchestration is not OrchestrationUse.OFF:
        orchestrator = _build_orchestrator(settings, agent, model, windows, spans)
    return ServerParts(
        config=config,
        engine=Engine(
            table,
            router,
            model,
            windows,
            agent,
            _build_pauses(config, lasting.pause_memory),
            orchestrator,
            captures_content=telemetry.captures_content,
        ),
        adapter=adapter,
        guards=lasting.guards,
        model=model,
        windows=windows,
        table=table,
        toolbox=toolbox,
        proxy=lasting.proxy,
        embedded=lasting.embedded,
        embedding=lasting.embedding,
        router_embedding=router_embedding,
        pools=pools,
        quotas=lasting.quotas,
        call_quotas=lasting.call_quotas,
        pause_memory=lasting.pause_memory,
    )


@dataclass(frozen=True, slots=True)
class _LastingParts:
    """The parts that outlive a configuration, and that no other part is needed for."""

    guards: UpstreamGuards
    proxy: ProxyModels | None
    embedded: EmbeddedUpstream | None
    embedding: EmbeddingRunner
    pools: Mapping[str, ConnectionPool]
    quotas: MemoryQuotas
    call_quotas: ModelCallQuotas
    pause_memory: PauseMemory


def _build_lasting_parts(
    config: Config, tracer: Tracer | None, attached: EmbeddedUpstream | None, pause_memory: PauseMemory | None
) -> _LastingParts:
    pools = dict[str, ConnectionPool]()
    quotas = MemoryQuotas()
    return _LastingParts(
        guards=_build_guards(config.settings),
        proxy=None if config.proxy is None else _build_proxy_models(config.proxy, config, tracer, pools),
        embedded=attached or build_embedded_model(config),
        embedding=EmbeddingRunner(),
        pools=pools,
        quotas=quotas,
        call_quotas=ModelCallQuotas(quotas),
        pause_memory=pause_memory or PauseMemory(),
    )


def _list_new_models(old: Config, new: Config) -> list[str]:
    """Returns litellm's names of the models whose providers the old configuration did not have."""
    known = {entry.litellm_model.partition("/")[0] for entry in old.models.values()}
    names = [entry.litellm_model for entry in new.models.values()]
    return [name for name in names if name.partition("/")[0] not in known]


def _build_proxy_models(
    proxy: ProxyEntry, config: Config, tracer: Tracer | None, pools: dict[str, ConnectionPool]
) -> ProxyModels:
    """Builds the source of the proxy's models, and adds its connection pool to `pools`."""
    settings = config.settings
    listing = ProxyListing(
        proxy, timeout_seconds=settings.discovery_timeout_seconds, upstream_proxy=config.upstream_proxy
    )
    pools["discovery"] = listing.pool
    return ProxyModels(
        listing if tracer is None else TracedListing(listing, tracer, proxy.api_base),
        ttl_seconds=settings.discovery_ttl_seconds,
    )


def _build_sources(
    config: Config, proxy: ProxyModels | None, embedded: EmbeddedUpstream | None
) -> list[ModelSourceReader]:
    """Builds the list of model sources; where two of them have a name, the earlier one serves it."""
    sources = list[ModelSourceReader]()
    if config.models:
        configured = {name: ConfiguredModel(entry, find_price_map()) for name, entry in config.models.items()}
        sources.append(KnownModels(ModelSourceKind.CONFIGURATION, configured))
    if proxy is not None:
        sources.append(proxy)
    if embedded is not None:
        entry = EmbeddedEntry(
            embedded,
            context_tokens=config.settings.embedded_context_tokens,
            has_bundled_weights=config.settings.embedded_weights is None,
        )
        sources.append(KnownModels(ModelSourceKind.EMBEDDED, {embedded.name: entry}))
    return sources


def _build_adapter(config: Config, table: ModelTable, adapter_class: type[LiteLLMModel]) -> LiteLLMModel:
    settings = config.settings
    return adapter_class(
        table,
        TransportLimits(
            connections=bound_connections(settings.max_upstream_connections, raise_descriptor_limit()),
            queue_seconds=settings.upstream_queue_seconds,
            connect_timeout_seconds=settings.connect_timeout_seconds,
            proxy=config.upstream_proxy,
        ),
        warm_up_models=[entry.litellm_model for entry in config.models.values()],
    )


def _build_model(
    settings: Settings,
    adapter: LiteLLMModel,
    table: ModelTable,
    guards: UpstreamGuards,
    telemetry: Telemetry,
    quotas: ModelCallQuotas,
) -> ResilientModel:
    """Builds what makes model calls."""
    spans = None
    if telemetry.tracer is not None:
        spans = AttemptSpans(telemetry.tracer, captures_content=telemetry.captures_content)
    return ResilientModel(
        adapter,
        timeouts=ModelTimeouts(
            first_token_seconds=settings.first_token_timeout_seconds,
            stall_seconds=settings.stall_timeout_seconds,
            total_seconds=settings.model_call_timeout_seconds,
        ),
        retries=RetryPolicy(max_retries=settings.max_retries),
        guards=guards,
        find_model=table.find,
        spans=spans,
        quotas=quotas,
    )


def _build_guards(settings: Settings) -> UpstreamGuards:
    policy = GuardPolicy(
        breaker=BreakerPolicy(
            least_calls=settings.breaker_min_calls,
            base_open_seconds=settings.breaker_open_seconds,
            max_open_seconds=max(settings.breaker_open_seconds, settings.breaker_max_open_seconds),
        ),
        max_cooldown_seconds=settings.max_cooldown_seconds,
        retry_share=settings.max_retry_share,
        most_calls=settings.max_calls_per_upstream,
        queue_seconds=settings.upstream_queue_seconds,
    )
    return UpstreamGuards(policy, time.monotonic)


def _build_router(config: Config, table: ModelTable, classifier: Classifier) -> Router:
    return Router(
        table,
        classifier,
        default_mode=config.settings.default_mode,
        routes=Routes(config.routes.values()),
        rules=[build_rule(rule) for rule in config.rules],
        offers_orchestration=config.settings.orchestration is OrchestrationUse.OFFERED,
    )


def _build_model_classifier(entry: ClassifierEntry, model: ResilientModel, table: ModelTable) -> ModelClassifier:
    file = entry.prompt_file
    prompt = load_classifier_prompt() if file is None else ClassifierPrompt(file.read_text("utf-8"))
    return ModelClassifier(model, table, entry, prompt)


def _build_router_embedding(
    config: Config, runner: EmbeddingRunner, model: ModelClassifier
) -> EmbeddingClassifier | None:
    entry = config.classifier
    if entry.strategy is ClassifierStrategy.MODEL:
        return None
    if (file := entry.router_file) is not None:
        train: RouterTraining = partial(EmbeddingRunner.read_router, file=file)
    else:
        examples = build_route_examples(config.routes)
        train = partial(EmbeddingRunner.train, examples=examples, max_messages=entry.window_messages)
    return EmbeddingClassifier(
        runner,
        train,
        model=model if entry.strategy is ClassifierStrategy.CASCADE else None,
        threshold=entry.threshold,
        max_messages=entry.window_messages,
    )


def _trace_classifier(classifier: Classifier, tracer: Tracer | None) -> Classifier:
    return classifier if tracer is None else TracedClassifier(classifier, tracer)


def _build_orchestrator(
    settings: Settings, agent: Agent, model: ResilientModel, windows: ContextWindows, spans: AgentSpans
) -> Orchestrator:
    limits = OrchestrationLimits(
        max_tasks=settings.orchestration_max_tasks,
        max_parallel_tasks=settings.orchestration_max_parallel_tasks,
        agent=replace(
            _build_limits(settings),
            max_steps=settings.orchestration_max_steps,
            max_tool_calls=settings.orchestration_max_tool_calls,
            timeout_seconds=settings.orchestration_timeout_seconds,
        ),
    )
    prompts = OrchestrationPrompts(
        plan=_read_orchestration_prompt(settings.orchestration_plan_prompt, "planner"),
        task=_read_orchestration_prompt(settings.orchestration_task_prompt, "task"),
        answer=_read_orchestration_prompt(settings.orchestration_answer_prompt, "synthesis"),
        examples=load_planner_examples() if settings.orchestration_plan_prompt is None else (),
    )
    return Orchestrator(agent, model, windows, limits, prompts, spans)


def _read_orchestration_prompt(file: Path | None, name: str) -> str:
    return load_orchestration_prompt(name) if file is None else file.read_text("utf-8").strip()


def _build_limits(settings: Settings) -> AgentLimits:
    return AgentLimits(
        max_steps=settings.agent_max_steps,
        max_tool_calls=settings.agent_max_tool_calls,
        max_tokens=settings.agent_max_tokens or None,
        max_cost_nano_usd=round(settings.agent_max_cost_usd * _NANO) or None,
        timeout_seconds=settings.agent_timeout_seconds,
        step_timeout_seconds=settings.agent_step_timeout_seconds,
        tool_timeout_seconds=settings.agent_tool_timeout_seconds,
        tool_list_timeout_seconds=settings.agent_tool_list_timeout_seconds,
        max_state_bytes=settings.max_pause_state_bytes,
    )


def _build_pauses(config: Config, memory: PauseMemory) -> Pauses:
    keys = [decode_pause_key(key) for key in config.pause_keys]
    return Pauses(
        SealingKeys([*keys, memory.own_key]),  # opens what was sealed before a reload brought the first keys
        memory.used_states,
        lifetime_seconds=config.settings.max_pause_seconds,
        has_own_key=not keys,
    )


def _read_prompts(settings: Settings) -> AgentPrompts:
    """Reads the agent's prompts. The bundled examples go only with the bundled plan prompt."""
    return AgentPrompts(
        plan=_read_prompt(settings.agent_plan_prompt, "plan"),
        native=_read_prompt(settings.agent_native_prompt, "native"),
        answer=_read_prompt(settings.agent_answer_prompt, "answer"),
        examples=load_agent_examples() if settings.agent_plan_prompt is None else (),
    )


def _read_prompt(file: Path | None, name: str) -> str:
    """Reads the operator's file, or the bundled prompt of this name when there is no file."""
    return load_agent_prompt(name) if file is None else file.read_text("utf-8").strip()
