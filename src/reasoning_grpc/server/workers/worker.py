"""`run_worker`: the life of a worker's process."""

import asyncio
import logging
import pickle
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

from reasoning_grpc.catalog import find_embedded_name
from reasoning_grpc.config import Config, ConfigError
from reasoning_grpc.embedded import AttachedModel, EmbeddedEndpoint
from reasoning_grpc.pauses import PauseMemory
from reasoning_grpc.server.channel import Channel
from reasoning_grpc.server.lifetime import Stop, serve_until
from reasoning_grpc.server.process_end import end_process
from reasoning_grpc.server.reports import Reporter
from reasoning_grpc.server.server import Server
from reasoning_grpc.server.start_error import StartError
from reasoning_grpc.server.succession import Prepared
from reasoning_grpc.server.workers.messages import (
    Drain,
    EmbeddedAnswers,
    Listen,
    StartFailed,
    TaskDone,
    ToWorker,
    WorkerTask,
)
from reasoning_grpc.telemetry import Telemetry, TelemetryPlan

TaskHandler = Callable[[bytes], Awaitable[str]]
"""Does a task of the supervisor, and returns why it failed, in one line; empty: it is done."""

logger = logging.getLogger("reasoning_grpc.server")


def run_worker(
    config: Config,
    plan: TelemetryPlan,
    number: int,
    end: socket.socket,
    pause_memory: PauseMemory,
    on_config: Callable[[Config], None],
) -> NoReturn:
    """Serves as a worker until the supervisor lets it drain, or has ended, and ends the process.

    `end` is this worker's end of its channel, and all workers share `pause_memory`. `on_config` is called with each
    later configuration that takes effect.
    """
    asyncio.run(_run(config, plan, number, end, pause_memory, on_config))
    raise AssertionError("the process has ended")


async def _run(
    config: Config,
    plan: TelemetryPlan,
    number: int,
    end: socket.socket,
    pause_memory: PauseMemory,
    on_config: Callable[[Config], None],
) -> NoReturn:
    channel = await Channel.open(end, ToWorker)
    code = 0
    try:
        telemetry = Telemetry(plan)
        try:
            await _Worker(config, telemetry, number, channel, pause_memory, on_config).serve()
        finally:
            await telemetry.aclose()
    except (ConfigError, StartError) as exc:
        channel.send(StartFailed("; ".join(str(exc).splitlines())))
        await channel.flush()
        code = 1
    end_process(code)


class _Worker:
    """A server that listens when the supervisor lets it, and drains when it says so."""

    def __init__(
        self,
        config: Config,
        telemetry: Telemetry,
        number: int,
        channel: Channel,
        pause_memory: PauseMemory,
        on_config: Callable[[Config], None],
    ) -> None:
        self._channel = channel
        self._on_config = on_config
        embedded_name = find_embedded_name(config)
        self._attached = None if embedded_name is None else AttachedModel(embedded_name)
        self._server = Server(config, telemetry, attached=self._attached, pause_memory=pause_memory, shares_port=True)
        with_metrics = bool(config.settings.admin_listen)
        self._reporter = Reporter(number, self._server, channel.send, with_metrics=with_metrics)
        self._may_listen = asyncio.Event()
        self._stopping: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()
        self._prepared: Prepared | None = None
        self._handlers: Mapping[str, TaskHandler] = {
            "prepare": self._prepare,
            "switch": self._switch,
            "discard": self._discard,
        }
        """What the supervisor may let this worker do, by name."""
        self._running_tasks = set[asyncio.Task[None]]()
        self._turn = asyncio.Lock()
        """Lets one task run after the other: what ends a preparation must not overtake it."""

    async def serve(self) -> None:
        """Serves until the drain has ended. Raises StartError."""
        loop = asyncio.get_running_loop()
        # An operator may end one worker, which is then replaced. A whole service gets the signal from its manager.
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        reading = loop.create_task(self._read())
        self._reporter.report()
        try:
            start = self._server.start(before_listening=self._wait_until_listening)
            await serve_until(self._stopping, self._server, start, self._reporter.report)
        finally:
            self._reporter.report()  # with the calls that ended last
            self._reporter.stop()
            await self._channel.flush()
            await self._cancel_all([reading, *self._running_tasks])
            await self._discard(b"")

    async def _cancel_all(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _wait_until_listening(self) -> None:
        self._reporter.report()
        await self._may_listen.wait()

    async def _read(self) -> None:
        """Follows the supervisor's messages; when it has ended, this worker drains and ends too."""
        async for message in self._channel.messages():
            match message:
                case Listen():
                    self._may_listen.set()
                case EmbeddedAnswers(api_base, api_key):
                    if self._attached is not None:
                        self._attached.attach(EmbeddedEndpoint(api_base, api_key) if api_base else None)
                case Drain(delay_seconds, grace_seconds):
                    self._stop(delay_seconds, grace_seconds)
                case WorkerTask():
                    task = asyncio.create_task(self._do(message))
                    self._running_tasks.add(task)
                    task.add_done_callback(self._running_tasks.discard)
        logger.error("the supervisor has ended, so this worker ends too")
        self._stop(delay_seconds=0.0)

    async def _do(self, task: WorkerTask) -> None:
        """Does a task, and answers it."""
        try:
            async with self._turn:
                problem = await self._handlers[task.name](task.payload)
        except Exception:
            logger.exception("a task of the supervisor failed", extra={"task": task.name})
            problem = "it failed; the worker's log says why"
        self._channel.send(TaskDone(task.id, problem))

    async def _prepare(self, payload: bytes) -> str:
        """Prepares the configuration that the supervisor has read."""
        try:
            self._prepared = await self._server.prepare(pickle.loads(payload))
        except ConfigError as exc:
            return str(exc)
        return ""

    async def _switch(self, _payload: bytes) -> str:
        """Lets the configuration take effect that was prepared."""
        assert self._prepared is not None
        self._prepared.switch()
        self._prepared = None
        self._on_config(self._server.config)
        return ""

    async def _discard(self, _payload: bytes) -> str:
        """Gives up what was prepared, if anything was."""
        if self._prepared is not None:
            await self._prepared.aclose()
            self._prepared = None
        return ""

    def _stop(self, delay_seconds: float | None = None, grace_seconds: float | None = None) -> None:
        """Begins the drain; the times are those of the configuration unless they are given."""
        settings = self._server.config.settings
        if not self._stopping.done():
            self._stopping.set_result(
                Stop(
                    settings.drain_delay_seconds if delay_seconds is None else delay_seconds,
                    settings.grace_seconds if grace_seconds is None else grace_seconds,
                )
            )
