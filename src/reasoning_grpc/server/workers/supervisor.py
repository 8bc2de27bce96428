"""`Supervisor`: starts workers, replaces those that die, and drains all of them."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from reasoning_grpc.config import Config
from reasoning_grpc.embedded import EmbeddedEndpoint, EmbeddedStartError
from reasoning_grpc.litellm_model import import_litellm
from reasoning_grpc.server.admin.ports import build_admin_ports
from reasoning_grpc.server.channel import Channel
from reasoning_grpc.server.embedded_model import build_embedded_model
from reasoning_grpc.server.interpreter import collecting_no_garbage
from reasoning_grpc.server.reload_status import ReloadStatus
from reasoning_grpc.server.reports import INTERVAL_SECONDS, SupervisorReport, WorkerEnded, WorkerReport, WorkerState
from reasoning_grpc.server.start_error import StartError
from reasoning_grpc.server.workers.handle import WorkerHandle
from reasoning_grpc.server.workers.messages import (
    Drain,
    EmbeddedAnswers,
    FromWorker,
    Listen,
    StartFailed,
    TaskDone,
)
from reasoning_grpc.server.workers.preparation import PreparedWorkers
from reasoning_grpc.server.workers.restarts import MOST_FAILED_STARTS, Restarts

_FIRST_LISTEN_SECONDS: Final = 5.0
"""How long workers that are warm wait for the others at the start, so that the first clients spread over all."""
_END_SECONDS: Final = 10.0
"""How much longer than the delay and the grace a drain may take, before what is left of the workers is killed."""

logger = logging.getLogger("reasoning_grpc.server")


class Supervisor:
    """Decides when to fork a worker, and knows all of them.

    It does not fork itself, because no event loop may run meanwhile: `run.py` forks whenever `wait_for_fork` returns.
    """

    def __init__(self, config: Config, count: int, on_serving: Callable[[str], None]) -> None:
        """`on_serving` is called once, with the address, when all workers that could start serve."""
        self.config = config
        """The configuration of the workers that start now; its address has the port that was reserved."""
        self.reload_status: ReloadStatus | None = None
        """The outcome of the reloads. Whoever reloads the workers keeps this up to date."""
        self._on_serving = on_serving
        self._restarts = {number: Restarts() for number in range(1, count + 1)}
        self._handles = dict[int, WorkerHandle]()
        self._forks = asyncio.Queue[int]()
        self._stopping: asyncio.Future[Drain] = asyncio.get_running_loop().create_future()
        """Gets the times of the drain; a StartError, when the workers cannot start."""
        self._tasks = set[asyncio.Task[Any]]()
        self._ports = build_admin_ports(config.settings)
        self._embedded = build_embedded_model(config, self._pass_on)
        self._is_listening = False
        self._is_reloading = False
        """Whether workers prepare a configuration. One that has started with the old one may not listen meanwhile."""
        self._listen_timer: asyncio.TimerHandle | None = None
        self._is_announced = False
        self._restart_count = 0
        self._life = self.start_task(self._live(), "supervisor")

    @property
    def workers(self) -> list[WorkerHandle]:
        """The workers that run now."""
        return list(self._handles.values())

    def list_descriptors(self) -> Iterator[int]:
        """Yields the descriptors of the channels to the workers, which no worker may have."""
        return (handle.channel.descriptor for handle in self._handles.values())

    async def wait_for_fork(self) -> int | None:
        """Returns the number of the next worker to fork, or None when all have ended. Raises StartError."""
        fork = asyncio.ensure_future(self._forks.get())
        await asyncio.wait([fork, self._life], return_when=asyncio.FIRST_COMPLETED)
        if not self._life.done():
            return fork.result()
        fork.cancel()
        self._life.result()
        return None

    async def adopt(self, number: int, process_id: int, end: socket.socket, config: Config) -> None:
        """Takes a worker over that was forked with this configuration; `end` is our end of its channel."""
        handle = WorkerHandle(number, process_id, await Channel.open(end, FromWorker), config)
        self._handles[number] = handle
        logger.info("worker started", extra={"worker": number, "process_id": process_id})
        if self._embedded is not None and self._embedded.endpoint is not None:
            handle.send(_describe(self._embedded.endpoint))
        if self._stopping.done() or config is not self.config:
            handle.kill()  # it was forked while the drain began, or while another configuration took effect
        self.start_task(self._attend(handle), f"worker-{number}")
        self.reap()

    def reap(self) -> None:
        """Takes note of the workers whose processes have ended; SIGCHLD calls it."""
        for handle in self._handles.values():
            if handle.ended.done():
                continue
            process_id, status = os.waitpid(handle.process_id, os.WNOHANG)
            if process_id:
                handle.ended.set_result(os.waitstatus_to_exitcode(status))

    def stop(self, delay_seconds: float) -> None:
        """Drains all workers; `delay_seconds` is how long they accept calls."""
        if not self._stopping.done():
            self._stopping.set_result(Drain(delay_seconds, self.config.settings.grace_seconds))

    def kill(self) -> None:
        """Ends all workers at once."""
        for handle in self._handles.values():
            handle.kill()

    async def prepare(self, config: Config) -> PreparedWorkers:
        """Lets all workers prepare a configuration, and changes nothing yet. Raises ConfigError."""
        config = replace(config, settings=replace(config.settings, listen=self.config.settings.listen))
        takers = [each for each in self._handles.values() if each.may_listen and not each.is_draining]
        prepared = PreparedWorkers(config, takers, self.start_task, self._switch)
        self._is_reloading = True
        try:
            await prepared.prepare()
        except BaseException:
            self._finish_reload()
            raise
        return prepared

    def _switch(self, config: Config) -> None:
        """Lets all workers that start from now on serve a configuration, and replaces those that did not prepare it."""
        self.config = config
        for handle in self._handles.values():
            if handle.config is not config and not handle.is_draining:
                handle.kill()  # it has started with the old configuration, and has no calls yet
        self._finish_reload()

    def _finish_reload(self) -> None:
        self._is_reloading = False
        self._let_listen()

    async def _live(self) -> None:
        """Starts everything, waits for the stop, and ends everything. Raises StartError."""
        starting = self.start_task(self._start(), "start")
        self._keep_reporting()
        try:
            await asyncio.wait([self._stopping])
            await self._drain(None if self._stopping.exception() else self._stopping.result())
            self._stopping.result()
        finally:
            starting.cancel()
            if self._embedded is not None:
                await self._embedded.aclose()
            if self._ports is not None:
                await self._ports.aclose()

    async def _start(self) -> None:
        """Loads what all workers share, starts what they need, and requests the first forks."""
        embedding = None if self._embedded is None else self.start_task(self._start_embedded(), "embedded-model")
        opening = None if self._ports is None else self.start_task(self._ports.start(), "admin-ports")
        logger.info("loading litellm")
        # The threads of the event loop's own pool would stay, and no fork may find a thread that could hold a lock. A
        # stop does not wait for the import.
        pool = ThreadPoolExecutor(1)
        await asyncio.get_running_loop().run_in_executor(pool, _load_shared)
        pool.shutdown()
        if opening is not None:
            await opening  # whoever meets a worker that serves finds the ports, too
        for number in self._restarts:
            self._forks.put_nowait(number)
        if embedding is not None:
            await embedding

    async def _start_embedded(self) -> None:
        assert self._embedded is not None
        logger.info("starting the embedded model")
        try:
            await self._embedded.start()
        except EmbeddedStartError as exc:
            raise StartError(str(exc)) from exc

    def _pass_on(self, endpoint: EmbeddedEndpoint | None) -> None:
        """Tells all workers where the embedded model answers now."""
        for handle in self._handles.values():
            handle.send(_describe(endpoint))

    async def _attend(self, handle: WorkerHandle) -> None:
        """Reads what a worker reports until it has ended, and lets another one take its place."""
        async for message in handle.channel.messages():
            match message:
                case WorkerReport():
                    self._record(handle, message)
                case TaskDone():
                    handle.finish_task(message)
                case StartFailed():
                    handle.problem = message.problem
        exit_code = await handle.ended
        del self._handles[handle.number]
        await handle.channel.aclose()
        if self._ports is not None:
            self._ports.publish(WorkerEnded(handle.number, handle.process_id))
        self._let_listen()  # others may wait for this one
        if self._stopping.done():
            return
        if handle.config is not self.config:
            self._forks.put_nowait(handle.number)  # a reload has ended it, and not a failure
        else:
            await self._replace(handle, exit_code)

    def _record(self, handle: WorkerHandle, report: WorkerReport) -> None:
        handle.state = report.state
        handle.has_served |= report.state is WorkerState.SERVING
        if self._ports is not None:
            self._ports.publish(report)
        if report.state is WorkerState.WARM and not handle.may_listen:
            if self._listen_timer is None:
                self._listen_timer = asyncio.get_running_loop().call_later(
                    _FIRST_LISTEN_SECONDS, self._let_listen, True
                )
            self._let_listen()
        self._announce()

    def _let_listen(self, at_once: bool = False) -> None:
        """Lets the workers listen that are warm; at the start only when all of them are, or with `at_once`."""
        waiting = [each for each in self._handles.values() if each.state is WorkerState.WARM and not each.may_listen]
        self._is_listening |= at_once or len(waiting) == len(self._restarts)
        if self._is_listening and not self._is_reloading:
            for handle in waiting:
                handle.may_listen = True
                handle.send(Listen())

    def _announce(self) -> None:
        """Calls `on_serving` once, when the workers serve that may."""
        listening = [handle for handle in self._handles.values() if handle.may_listen]
        if not self._is_announced and listening and all(handle.has_served for handle in listening):
            self._is_announced = True
            self._on_serving(self.config.settings.listen)

    async def _replace(self, handle: WorkerHandle, exit_code: int) -> None:
        """Requests the fork of the next worker with the number of one that died, after a delay."""
        if handle.problem and not self._is_announced:
            self._fail(handle.problem)
            return
        restarts = self._restarts[handle.number]
        lived_seconds = handle.lived_seconds
        delay_seconds = restarts.record_end(has_served=handle.has_served, lived_seconds=lived_seconds)
        logger.warning(
            "worker died",
            extra={
                "worker": handle.number,
                "process_id": handle.process_id,
                "exit_code": exit_code,
                "lived_seconds": round(lived_seconds, 1),
                "next_start_seconds": delay_seconds,
                **({"problem": handle.problem} if handle.problem else {}),
            },
        )
        if restarts.are_hopeless:
            why = handle.problem or f"it ended with exit code {exit_code}"
            self._fail(f"worker {handle.number} did not start {MOST_FAILED_STARTS} times in a row: {why}")
            return
        await asyncio.sleep(delay_seconds)
        self._restart_count += 1
        self._report()  # before the new worker's own reports: who sees it serve, sees it counted
        if not self._stopping.done():
            self._forks.put_nowait(handle.number)

    def _fail(self, problem: str) -> None:
        if not self._stopping.done():
            self._stopping.set_exception(StartError(problem))

    async def _drain(self, drain: Drain | None) -> None:
        """Lets all workers drain and end, and kills what is left; None: without the delay."""
        drain = drain or Drain(0.0, self.config.settings.grace_seconds)
        logger.info("draining workers", extra={"workers": len(self._handles)})
        for handle in self._handles.values():
            handle.send(drain)
        left = {handle.ended for handle in self._handles.values()}
        if left:
            patience_seconds = drain.delay_seconds + drain.grace_seconds + _END_SECONDS
            _, left = await asyncio.wait(left, timeout=patience_seconds)
        if left:
            logger.error("workers did not end in time, and are killed", extra={"workers": len(left)})
            self.kill()
            await asyncio.wait(left)
        logger.info("workers have ended")

    def _report(self) -> None:
        """Reports this process to the admin ports."""
        if self._ports is not None:
            self._ports.publish(
                SupervisorReport(
                    workers=len(self._restarts), restarts=self._restart_count, reload_status=self.reload_status
                )
            )

    def _keep_reporting(self) -> None:
        """Reports this process to the admin ports, now and for as long as its event loop turns."""
        if self._ports is not None:
            self._report()
            asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._keep_reporting)

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Starts a task without which the server cannot go on: its failure ends the server."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finish_task)
        return task

    def _finish_task(self, task: asyncio.Task[None]) -> None:
        """Ends the server when a task failed on which it depends."""
        self._tasks.discard(task)
        if task.cancelled() or (failure := task.exception()) is None or self._stopping.done():
            return
        if not isinstance(failure, StartError):
            logger.error("the supervisor failed", exc_info=failure)
        self._fail(str(failure) if isinstance(failure, StartError) else "the supervisor failed")


def _load_shared() -> None:
    """Imports what workers need and may share, but nothing that imports grpc."""
    with collecting_no_garbage():
        import_litellm()
        import reasoning_grpc.server.wiring  # noqa: F401


def _describe(endpoint: EmbeddedEndpoint | None) -> EmbeddedAnswers:
    return EmbeddedAnswers("", "") if endpoint is None else EmbeddedAnswers(endpoint.api_base, endpoint.api_key)
