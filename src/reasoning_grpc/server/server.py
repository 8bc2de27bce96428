"""Builds, starts and stops the server; the only place that wires objects."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from reasoning_grpc.agent import (
    TOOLS_PLACE,
    Agent,
    AgentLimits,
    AgentPrompts,
    AgentSpans,
    packaged_examples,
    packaged_prompt,
)
from reasoning_grpc.catalog.configured import ConfiguredModel, entry_problem, provider_problem
from reasoning_grpc.catalog.embedded_entry import EMBEDDED_NAME, EmbeddedEntry
from reasoning_grpc.catalog.proxy import ModelListing, ProxyModels
from reasoning_grpc.catalog.proxy_listing import ProxyListing
from reasoning_grpc.catalog.sources import KnownModels, ModelSourceReader
from reasoning_grpc.catalog.table import ModelTable
from reasoning_grpc.catalog.traced_listing import TracedListing
from reasoning_grpc.config import Config, ConfigError
from reasoning_grpc.domain import ModelSourceKind
from reasoning_grpc.embedded.process import EmbeddedModel, EmbeddedStartError
from reasoning_grpc.engine.engine import Engine
from reasoning_grpc.litellm_model import LiteLLMModel, WireLimits, installed_price_map
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.llm.context_window import ContextWindows
from reasoning_grpc.llm.port import LanguageModel
from reasoning_grpc.llm.retries import ResilientModel, RetryPolicy
from reasoning_grpc.llm.think_tags import UntaggedModel
from reasoning_grpc.llm.timeouts import ModelTimeouts, TimedModel
from reasoning_grpc.llm.traced import TracedModel
from reasoning_grpc.router import (
    ROUTES_PLACE,
    Classifier,
    ClassifierPrompt,
    Classifying,
    Router,
    Routes,
    TracedClassifier,
    configured_rule,
    shipped_prompt,
)
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.interceptor import CallInterceptor
from reasoning_grpc.rpc.service import ReasoningService
from reasoning_grpc.server.metrics import observe_connections
from reasoning_grpc.server.model_trial import Trials, try_models
from reasoning_grpc.server.reflection import ReflectionPool
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.tools import Toolbox, tool_problems
from reasoning_grpc.v1 import reasoning_service_pb2, reasoning_service_pb2_grpc

SERVICE: Final = reasoning_service_pb2.DESCRIPTOR.services_by_name["ReasoningService"].full_name
LIVENESS: Final = "liveness"
READINESS: Final = "readiness"
_LAST_SECONDS: Final = 2.0
"""How long calls that are cut have for their clean-up."""
_NANO: Final = 1_000_000_000
_GC_THRESHOLDS: Final = (50_000, 20, 50)

logger = logging.getLogger("reasoning_grpc.server")


class StartError(Exception):
    """The server cannot start; the message is one line that says why."""


def config_problems(config: Config) -> list[str]:
    """What in the configuration this build cannot serve; only the wiring can know."""
    problems = [problem for entry in config.models.values() if (problem := entry_problem(entry, installed_price_map()))]
    problems += _prompt_problems(config)
    problems += tool_problems(config)
    names = set(config.models) | ({EMBEDDED_NAME} if config.runs_embedded else set())
    default = config.settings.default_model
    if config.runs_embedded and EMBEDDED_NAME in config.models:
        problems.append(f"models.{EMBEDDED_NAME}: the embedded model has this name")
    if config.proxy is not None:
        return problems  # which other models there are is the proxy's to say, and may change
    if default and default not in names:
        problems.append(f"default_model: {default!r} is not a model of this configuration")
    if not default and not config.runs_embedded and len(names) > 1:
        problems.append("default_model: is missing; there are several models")
    for entry in config.models.values():
        strangers = [name for name in entry.fallback_models if name not in names]
        problems += [f"models.{entry.name}.fallback_models: {name!r} is not another model" for name in strangers]
    for caller in config.callers.values():
        unknown = sorted((caller.allowed_models or frozenset()) - names)
        problems += [f"callers.{caller.name}.allowed_models: {name!r} is not a model" for name in unknown]
    for where, name in _models_of_routing(config):
        if name not in names:
            problems.append(f"{where}: {name!r} is not a model")
    return problems


def _prompt_problems(config: Config) -> Iterator[str]:
    settings = config.settings
    for key, file, place in (
        ("classifier.prompt_file", config.classifier.prompt_file, ROUTES_PLACE),
        ("agent_plan_prompt", settings.agent_plan_prompt, TOOLS_PLACE),
        ("agent_native_prompt", settings.agent_native_prompt, ""),
        ("agent_answer_prompt", settings.agent_answer_prompt, ""),
    ):
        if file is None:
            continue
        try:
            prompt = file.read_text("utf-8")
        except (OSError, UnicodeError):
            yield f"{key}: {str(file)!r} is not a readable file of UTF-8 text"
            continue
        if place not in prompt:
            yield f"{key}: {str(file)!r} has no {place}, where the {place.strip('{}')} are put in"


def _models_of_routing(config: Config) -> Iterator[tuple[str, str]]:
    """The models that classifier, routes and rules name, and where."""
    if config.classifier.model:
        yield "classifier.model", config.classifier.model
    for route in config.routes.values():
        if route.model:
            yield f"routes.{route.name}.model", route.model
        for preference, model in route.preferred_models.items():
            yield f"routes.{route.name}.models.{preference.value.lower()}", model
    for rule in config.rules:
        if rule.model:
            yield f"rules.{rule.id}.then.model", rule.model


def unknown_providers(config: Config) -> list[str]:
    """Which models' providers litellm does not know either; imports it for providers that we have not measured."""
    return [problem for entry in config.models.values() if (problem := provider_problem(entry))]


class Server:
    """One server: everything that a configuration describes, wired."""

    def __init__(self, config: Config, telemetry: Telemetry | None = None) -> None:
        """Raises ConfigError for what this build cannot serve. Whoever gives the telemetry closes it, afterwards."""
        if problems := config_problems(config):
            raise ConfigError(problems)
        settings = config.settings
        self._config = config
        self._telemetry = telemetry or Telemetry()
        self._embedded: EmbeddedModel | None = None
        if config.runs_embedded:
            self._embedded = EmbeddedModel(
                slots=settings.embedded_slots,
                context_tokens=settings.embedded_context_tokens,
                weights=settings.embedded_weights,
            )
        self._pools: dict[str, ConnectionPool] = {}
        self._proxy: ProxyModels | None = None
        if config.proxy is not None:
            proxy_listing = ProxyListing(config.proxy, timeout_seconds=settings.discovery_timeout_seconds)
            self._pools["discovery"] = proxy_listing.pool
            listing: ModelListing = proxy_listing
            if self._telemetry.tracer is not None:
                listing = TracedListing(listing, self._telemetry.tracer, config.proxy.api_base)
            self._proxy = ProxyModels(listing, ttl_seconds=settings.discovery_ttl_seconds)
        default = settings.default_model or (EMBEDDED_NAME if config.runs_embedded else "")
        self._table = ModelTable(self._sources(), default)
        self._model = ResilientModel(self._one_attempt(), RetryPolicy(max_retries=settings.max_retries))
        observe_connections(self._telemetry.meter, self._pools)
        windows = ContextWindows(self._model, unknown_window_tokens=settings.unknown_context_window_tokens)
        self._toolbox = Toolbox(config.tools, config.mcp_servers)
        self._engine = Engine(self._table, self._router(), self._model, windows, self._agent(windows))
        self._tracker = CallTracker()
        self._health = health_aio.HealthServicer()
        self._grpc: grpc.aio.Server | None = None
        self.address = ""
        """Where it listens, HOST:PORT, once started."""

    @property
    def calls_in_flight(self) -> int:
        """Calls of our service that have not ended."""
        return self._tracker.in_flight

    @property
    def embedded(self) -> EmbeddedModel | None:
        """The embedded model, if it runs here."""
        return self._embedded

    async def start(self) -> None:
        """Listens at once, and serves when everything is warm. Raises StartError, and leaves nothing behind."""
        try:
            await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
            await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
            self._grpc = self._built_grpc_server()
            await self._grpc.start()
            await self._open()
        except BaseException as exc:
            await self._close()
            if isinstance(exc, EmbeddedStartError | _BindError):
                raise StartError(str(exc)) from exc
            raise
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        logger.info("serving", extra={"address": self.address})

    async def try_models(self) -> Trials:
        """Without listening, calls every model that is configured or embedded, once, and reads the proxy's list.

        Raises StartError.
        """
        names = [*self._config.models, *([EMBEDDED_NAME] if self._embedded is not None else [])]
        try:
            await self._open()
            trials = await try_models(self._model, names)
            if self._proxy is None:
                return Trials(trials, None)
            await self._proxy.first_reading()
            return Trials(trials, self._proxy.status())
        except EmbeddedStartError as exc:
            raise StartError(str(exc)) from exc
        finally:
            await self._close()

    async def stop(self, grace_seconds: float) -> int:
        """Stops: NOT_SERVING, no new calls, those under way may end within the grace. How many were cut."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._tracker.drain()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._tracker.idle()
        except TimeoutError:
            pass
        cut = self._tracker.in_flight
        await self._close()
        logger.info("stopped", extra={"calls_cut": cut})
        return cut

    async def _open(self) -> None:
        if self._proxy is not None:
            self._proxy.start()
        await self._toolbox.start()
        await asyncio.gather(self._warm_up(), self._start_embedded())

    async def _close(self) -> None:
        if self._grpc is not None:
            # Statuses just written need a moment; an open Health.Watch would use up any grace to its end.
            await self._grpc.stop(0.1)
            try:
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._tracker.idle()
            except TimeoutError:
                logger.warning("calls did not clean up in time", extra={"calls": self._tracker.in_flight})
        await self._toolbox.aclose()
        await self._table.aclose()
        await self._model.aclose()
        if self._embedded is not None:
            await self._embedded.aclose()

    def _router(self) -> Router:
        config = self._config
        return Router(
            self._table,
            self._classifier(),
            default_mode=config.settings.default_mode,
            routes=Routes(config.routes.values()),
            rules=[configured_rule(rule) for rule in config.rules],
        )

    def _agent(self, windows: ContextWindows) -> Agent:
        settings = self._config.settings
        limits = AgentLimits(
            max_steps=settings.agent_max_steps,
            max_tool_calls=settings.agent_max_tool_calls,
            max_tokens=settings.agent_max_tokens or None,
            max_cost_nano_usd=round(settings.agent_max_cost_usd * _NANO) or None,
            timeout_seconds=settings.agent_timeout_seconds,
            step_timeout_seconds=settings.agent_step_timeout_seconds,
            tool_timeout_seconds=settings.agent_tool_timeout_seconds,
        )
        prompts = AgentPrompts(
            plan=_prompt(settings.agent_plan_prompt, "plan"),
            native=_prompt(settings.agent_native_prompt, "native"),
            answer=_prompt(settings.agent_answer_prompt, "answer"),
            examples=packaged_examples() if settings.agent_plan_prompt is None else (),
        )
        spans = AgentSpans(self._telemetry.tracer)
        return Agent(self._model, windows, self._toolbox, limits, prompts, spans)

    def _classifier(self) -> Classifying:
        entry, tracer = self._config.classifier, self._telemetry.tracer
        own = entry.prompt_file
        prompt = shipped_prompt() if own is None else ClassifierPrompt(own.read_text("utf-8"))
        classifier = Classifier(self._model, self._table, entry, prompt)
        return classifier if tracer is None else TracedClassifier(classifier, tracer)

    def _one_attempt(self) -> LanguageModel:
        """What `ResilientModel` may call more than once."""
        settings = self._config.settings
        adapter = LiteLLMModel(
            self._table,
            WireLimits(
                connections=settings.max_upstream_connections,
                connect_timeout_seconds=settings.connect_timeout_seconds,
            ),
            warm_up_models=[entry.litellm_model for entry in self._config.models.values()],
        )
        self._pools["model_calls"] = adapter.pool
        timed = TimedModel(
            adapter,
            ModelTimeouts(
                first_token_seconds=settings.first_token_timeout_seconds,
                stall_seconds=settings.stall_timeout_seconds,
                total_seconds=settings.model_call_timeout_seconds,
            ),
        )
        untagged = UntaggedModel(timed)
        tracer, captures_content = self._telemetry.tracer, self._telemetry.captures_content
        if tracer is None:
            return untagged
        return TracedModel(untagged, tracer, self._table.deployment, captures_content=captures_content)

    def _sources(self) -> list[ModelSourceReader]:
        """Where models come from; the first that has a name serves it."""
        config, sources = self._config, list[ModelSourceReader]()
        if config.models:
            configured = {name: ConfiguredModel(entry, installed_price_map()) for name, entry in config.models.items()}
            sources.append(KnownModels(ModelSourceKind.CONFIGURATION, configured))
        if self._proxy is not None:
            sources.append(self._proxy)
        if self._embedded is not None:
            entry = EmbeddedEntry(self._embedded, context_tokens=config.settings.embedded_context_tokens)
            sources.append(KnownModels(ModelSourceKind.EMBEDDED, {EMBEDDED_NAME: entry}))
        return sources

    def _built_grpc_server(self) -> grpc.aio.Server:
        settings = self._config.settings
        server = grpc.aio.server(
            interceptors=self._interceptors(),
            options=[
                ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
                ("grpc.max_receive_message_length", 2 * settings.max_request_bytes),  # ours answers first
                ("grpc.max_send_message_length", -1),
                # Clients ping a silent call; gRPC's own limit, one ping in five minutes, would end theirs for it.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ],
        )
        caps = Caps(messages=settings.max_messages, tools=settings.max_tools)
        reasoning_service_pb2_grpc.add_ReasoningServiceServicer_to_server(ReasoningService(self._engine, caps), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.reflection:
            names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
            pool: Any = ReflectionPool()
            reflection.enable_server_reflection(names, server, pool=pool)
        self.address = _bound(server, self._config)
        return server

    def _interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        """The outermost first."""
        calls = CallInterceptor(
            service=SERVICE,
            callers=Callers(self._config.callers.values()),
            tracker=self._tracker,
            max_request_bytes=self._config.settings.max_request_bytes,
        )
        if self._telemetry.tracer_provider is None:
            return [calls]
        from reasoning_grpc.rpc.server_spans import ServerSpans  # which imports the instrumentation

        return [ServerSpans(SERVICE, self._telemetry.tracer_provider), calls]

    async def _warm_up(self) -> None:
        await self._model.warm_up()
        if problems := unknown_providers(self._config):
            raise StartError("; ".join(problems))
        # A full collection over litellm's objects would stop the loop for a tenth of a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)

    async def _start_embedded(self) -> None:
        if self._embedded is not None:
            await self._embedded.start()

    async def _set_health(self, status: int) -> None:
        for name in ("", SERVICE, READINESS):
            await self._health.set(name, status)


def _prompt(file: Path | None, name: str) -> str:
    """The agent's prompt of this name: the operator's own, or that of the package."""
    return packaged_prompt(name) if file is None else file.read_text("utf-8").strip()


class _BindError(Exception):
    """The address cannot be listened on, or a TLS file cannot be used."""


def _bound(server: grpc.aio.Server, config: Config) -> str:
    settings = config.settings
    try:
        if settings.tls_certificate is not None and settings.tls_key is not None:
            client_ca = settings.tls_client_ca
            credentials = grpc.ssl_server_credentials(
                [(settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())],
                root_certificates=None if client_ca is None else client_ca.read_bytes(),
                require_client_auth=client_ca is not None,
            )
            port = server.add_secure_port(settings.listen, credentials)
        else:
            port = server.add_insecure_port(settings.listen)
    except OSError as exc:
        raise _BindError(f"{exc.filename}: cannot be read: {exc.strerror}") from exc
    except RuntimeError as exc:
        hint = ", or the TLS files are not valid" if settings.tls_certificate else ""
        raise _BindError(f"{settings.listen} cannot be listened on: it is in use or not ours{hint}") from exc
    return f"{settings.listen.rpartition(':')[0]}:{port}"
