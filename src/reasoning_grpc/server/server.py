"""`Server`: the life of one server: it starts, reports its health, serves, drains and stops."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from reasoning_grpc.config import Config, ConfigError, compute_fingerprint
from reasoning_grpc.domain import McpServerInfo
from reasoning_grpc.embedded import EmbeddedStartError, EmbeddedUpstream
from reasoning_grpc.engine import Engine
from reasoning_grpc.pauses import PauseMemory
from reasoning_grpc.rpc import CallTracker, ReasoningService
from reasoning_grpc.server.config_check import find_config_problems, find_unknown_providers
from reasoning_grpc.server.health import HealthService
from reasoning_grpc.server.heap import share_one_heap
from reasoning_grpc.server.interpreter import collecting_no_garbage, tune_interpreter
from reasoning_grpc.server.listener import (
    SERVICE,
    BindError,
    bind,
    build_caps,
    build_grpc_server,
    build_interceptors,
)
from reasoning_grpc.server.metrics import observe_reloads
from reasoning_grpc.server.model_trial import Trials, try_models
from reasoning_grpc.server.reload_status import ReloadStatus
from reasoning_grpc.server.reports import WorkerState
from reasoning_grpc.server.router_embedding import RouterNotTrained, close_router_embedding, load_router_embedding
from reasoning_grpc.server.shared_threads import start_shared_threads
from reasoning_grpc.server.start_error import StartError
from reasoning_grpc.server.succession import Prepared, Succession
from reasoning_grpc.server.wiring import ServerParts
from reasoning_grpc.telemetry import Telemetry
from reasoning_grpc.tools import ThreadsNotStarted

LIVENESS: Final = "liveness"
READINESS: Final = "readiness"
_CLEANUP_SECONDS: Final = 2.0
"""How long the calls that were cut have to clean up."""
_CLOSE_SECONDS: Final = 1.0
"""How long gRPC has to write the last statuses and to close its connections. A client that has stopped reading, and an
open stream of reflection, use all of it."""

logger = logging.getLogger("reasoning_grpc.server")


class Server:
    """One server with everything that a configuration describes."""

    def __init__(
        self,
        config: Config,
        telemetry: Telemetry | None = None,
        *,
        attached: EmbeddedUpstream | None = None,
        pause_memory: PauseMemory | None = None,
        shares_port: bool = False,
    ) -> None:
        """Builds all parts and starts none. Raises ConfigError for what this build cannot serve.

        The caller owns the telemetry, and closes it after the server has stopped. None: nothing is exported.
        `attached` is an embedded model whose process is another's, and `pause_memory` is shared with other workers.
        With `shares_port` they may listen on the same address.
        """
        if problems := find_config_problems(config):
            raise ConfigError(problems)
        share_one_heap()
        self._telemetry = telemetry or Telemetry()
        self._tracker = CallTracker()
        self._succession = Succession(
            config, self._tracker, self._telemetry, attached=attached, pause_memory=pause_memory
        )
        self.reload_status: ReloadStatus | None = None
        """The outcome of the reloads; None: nothing reloads this server. Whoever reloads it keeps this up to date."""
        observe_reloads(self._telemetry.metrics, lambda: self.reload_status)
        self._health = HealthService()
        self._grpc: grpc.aio.Server | None = None
        self._shares_port = shares_port
        self.state = WorkerState.STARTING
        """The state that is reported about this process."""
        self.address = ""
        """The address on which the server listens, as HOST:PORT; empty until it is bound."""

    @property
    def _parts(self) -> ServerParts:
        return self._succession.parts

    @property
    def config(self) -> Config:
        """The configuration that serves the calls that begin now."""
        return self._parts.config

    @property
    def calls_in_flight(self) -> int:
        """The number of calls of our service that have not ended."""
        return self._tracker.in_flight

    @property
    def writes_in_progress(self) -> int:
        """The number of streams whose last response gRPC has not taken yet; it takes none for a client that is slow."""
        return self._succession.calls.writes_in_progress

    @property
    def embedded(self) -> EmbeddedUpstream | None:
        """The embedded model; None when this server does not run it."""
        return self._parts.embedded

    def encode_metrics(self) -> bytes:
        """Returns a snapshot of the metrics of this process, for another process."""
        return self._telemetry.metrics.take_snapshot().encode()

    async def start(self, before_listening: Callable[[], Awaitable[None]] | None = None) -> None:
        """Listens at once, and serves when everything is warm. Raises StartError, and leaves nothing behind.

        With `before_listening` the server listens only when it is warm, and when that has returned: so a worker takes
        no connection, which another worker would get, before it can answer.
        """
        try:
            await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
            await self._health.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
            if before_listening is None:
                await self._listen()
            facts = {"version": version("reasoning-grpc"), "fingerprint": compute_fingerprint(self.config)}
            logger.info("starting", extra={"address": self.address or self.config.settings.listen, **facts})
            await self._open()
            await self._parts.toolbox.wait_for_required()
            if before_listening is not None:
                self.state = WorkerState.WARM
                await before_listening()
                await self._listen()
        except BaseException as exc:
            await self._close()
            if isinstance(exc, EmbeddedStartError | BindError | ThreadsNotStarted | RouterNotTrained):
                raise StartError(str(exc)) from exc
            raise
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        self.state = WorkerState.SERVING
        logger.info("serving", extra={"address": self.address})

    @property
    def engine(self) -> Engine:
        """The engine that serves the calls that begin now."""
        return self._parts.engine

    def list_mcp_servers(self) -> tuple[McpServerInfo, ...]:
        """Returns the MCP servers of the configuration that serves, with their states."""
        return self._parts.toolbox.list_servers()

    async def prepare(self, config: Config) -> Prepared:
        """See `Succession.prepare`."""
        return await self._succession.prepare(config)

    async def try_models(self) -> Trials:
        """Calls every configured and embedded model once, and reads the proxy's list, without listening.

        Raises StartError.
        """
        proxy = self._parts.proxy
        names = [*self.config.models, *([self.embedded.name] if self.embedded is not None else [])]
        try:
            await self._open()
            trials = await try_models(self._parts.model, names)
            if proxy is None:
                return Trials(trials, None)
            await proxy.wait_for_first_reading()
            return Trials(trials, proxy.get_status())
        except (EmbeddedStartError, ThreadsNotStarted) as exc:
            raise StartError(str(exc)) from exc
        finally:
            await self._close()

    async def stop(
        self, grace_seconds: float, drain_delay_seconds: float = 0.0, *, closes_connections: bool = True
    ) -> int:
        """Stops the server, and returns the number of calls that were cut.

        Health becomes NOT_SERVING at once, and new calls are accepted for the delay, in which load balancers notice it.
        Then new calls are refused, and calls in progress may end within the grace. What is left is cut: such a call
        ends as ServerShuttingDown.

        gRPC's own way to close connections ends a call that arrives at that moment as CANCELLED, which no client sends
        again. Without `closes_connections` they stay open, and new calls refused, until the process ends: what arrives
        then fails as UNAVAILABLE.
        """
        self.state = WorkerState.DRAINING
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        logger.info("draining", extra={"calls": self._tracker.in_flight, "accepts_seconds": drain_delay_seconds})
        await asyncio.sleep(drain_delay_seconds)
        self._tracker.drain(grace_seconds)
        try:
            async with asyncio.timeout(grace_seconds):
                await self._tracker.wait_until_idle()
        except TimeoutError:
            pass
        calls_cut = self._tracker.in_flight
        await self._close(closes_connections=closes_connections)
        logger.info("stopped", extra={"calls_cut": calls_cut})
        return calls_cut

    async def _listen(self) -> None:
        self._grpc = self._build_bound_server()
        await self._grpc.start()

    def _build_bound_server(self) -> grpc.aio.Server:
        settings = self.config.settings
        service = ReasoningService(self._parts.engine, build_caps(settings))
        calls = self._succession.calls
        interceptors = build_interceptors(calls, self._telemetry)
        server = build_grpc_server(service, self._health, calls, interceptors, settings, shares_port=self._shares_port)
        self.address = bind(server, settings, self._succession.certificates)
        return server

    async def _open(self) -> None:
        if self._parts.proxy is not None:
            self._parts.proxy.start()
        await self._parts.toolbox.start()
        await asyncio.gather(self._warm_up(), self._start_embedded())
        await load_router_embedding(self._parts)

    async def _close(self, *, closes_connections: bool = True) -> None:
        if self._grpc is not None:
            self._tracker.cut()
            try:
                async with asyncio.timeout(_CLEANUP_SECONDS):
                    await self._health.end_watches()
                    await self._tracker.wait_until_written()
            except TimeoutError:
                logger.warning("calls did not clean up in time", extra={"calls": self._tracker.in_flight})
            if closes_connections:
                await self._grpc.stop(_CLOSE_SECONDS)
        await self._succession.close_former()
        await close_router_embedding(self._parts)
        self._parts.embedding.close()
        await self._parts.toolbox.aclose()
        await self._parts.table.aclose()
        await self._parts.model.aclose()
        if self.embedded is not None:
            await self.embedded.aclose()

    async def _warm_up(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        logger.info("loading litellm")  # a slow machine takes long for it, and would show nothing
        with collecting_no_garbage():
            await self._parts.model.warm_up()
        logger.info("litellm is loaded", extra={"seconds": round(loop.time() - started, 2)})
        if problems := find_unknown_providers(self.config):
            raise StartError("; ".join(problems))
        start_shared_threads()
        self._parts.windows.start()
        tune_interpreter()

    async def _start_embedded(self) -> None:
        if self.embedded is not None:
            logger.info("starting the embedded model", extra={"model": self.embedded.name})
            await self.embedded.start()

    async def _set_health(self, status: int) -> None:
        for name in ("", SERVICE, READINESS):
            await self._health.set(name, status)
