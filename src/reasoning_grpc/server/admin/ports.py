"""`AdminPorts`: starts the child that serves the admin ports, restarts it, and passes reports on to it."""

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from typing import Final

import msgspec

from reasoning_grpc.config import Settings
from reasoning_grpc.server.admin.messages import EndedMetrics, FromChild, LogLine, OpenPorts, PortsOpen, PortsProblem
from reasoning_grpc.server.channel import Channel
from reasoning_grpc.server.reports import Report, SupervisorReport, WorkerEnded, WorkerReport
from reasoning_grpc.server.start_error import StartError
from reasoning_grpc.telemetry import Snapshot, WorkerSnapshots

_PROGRAM: Final = (sys.executable, "-P", "-m", "reasoning_grpc.server.admin.child")
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 2.0
_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 30.0

logger = logging.getLogger("reasoning_grpc.server")


class AdminPorts:
    """Owns the child process. What is reported before the child listens, or while it restarts, reaches it then."""

    def __init__(self, *, admin_listen: str, health_listen: str) -> None:
        """The addresses are HOST:PORT; empty where there is no such port."""
        self._wanted = OpenPorts(admin_listen, health_listen)
        self._process: Process | None = None
        self._channel: Channel | None = None
        self._watching: asyncio.Task[None] | None = None
        self._last = dict[int, Report]()
        """The last report of each worker that runs, and of the supervisor, which has the number 0."""
        self._ended = WorkerSnapshots()
        """The metrics of the workers that have ended."""

    async def start(self) -> None:
        """Starts the child, and returns when it listens. Raises StartError."""
        try:
            await self._launch()
        except BaseException:
            await self._end_process()
            raise
        self._watching = asyncio.create_task(self._watch(), name="admin-ports")

    def publish(self, report: Report) -> None:
        """Passes a report on to the child."""
        match report:
            case WorkerReport():
                self._last[report.worker] = _keep_metrics(report, self._last.get(report.worker))
            case WorkerEnded():
                self._end_worker(report)
            case SupervisorReport():
                self._last[0] = report
        if self._channel is not None:
            self._channel.send(report)

    def _end_worker(self, ended: WorkerEnded) -> None:
        """Keeps the metrics of a worker that has ended."""
        last = self._last.pop(ended.worker, None)
        if isinstance(last, WorkerReport) and last.metrics:
            self._ended.update(str(ended.process_id), Snapshot.decode(last.metrics))
            self._ended.retire(str(ended.process_id))

    async def aclose(self) -> None:
        """Ends the child."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._end_process()

    async def _launch(self) -> None:
        """Starts a child that listens. Raises StartError."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *_PROGRAM,
                stdin=theirs.fileno(),
                stdout=DEVNULL,
                # A copy: a thread that sets variables, as one that imports litellm does, moves those of the process.
                env=os.environ.copy(),
            )
        channel = await Channel.open(ours, FromChild)
        channel.send(self._wanted)
        try:
            async with asyncio.timeout(_START_SECONDS):
                opened = await self._read_until_open(channel)
        except BaseException as exc:
            await channel.aclose()
            if isinstance(exc, TimeoutError):
                raise StartError(f"the admin ports did not open within {_START_SECONDS:g} seconds") from exc
            raise
        # A child that takes the place of one that died keeps its ports, which others know.
        self._wanted = OpenPorts(opened.admin_address, opened.health_address)
        self._channel = channel
        channel.send(EndedMetrics(self._ended.merge().encode()))
        for report in self._last.values():
            channel.send(report)
        logger.info(
            "admin ports are open",
            extra={
                "admin_address": opened.admin_address,
                "health_address": opened.health_address,
                "child_process_id": self._process.pid,
            },
        )

    async def _read_until_open(self, channel: Channel) -> PortsOpen:
        async for message in channel.messages():
            match message:
                case PortsOpen():
                    return message
                case PortsProblem():
                    raise StartError(message.problem)
                case LogLine():
                    _write(message)
        raise StartError("the process of the admin ports ended at its start")

    async def _watch(self) -> None:
        """Writes what the child logs, and starts it again whenever it has ended."""
        delay_seconds = _FIRST_DELAY_SECONDS
        while True:
            if self._channel is not None:
                async for message in self._channel.messages():
                    if isinstance(message, LogLine):
                        _write(message)
                await self._channel.aclose()
                self._channel = None
            exit_code = await self._wait_for_end()
            logger.warning("the process of the admin ports died", extra={"exit_code": exit_code})
            await asyncio.sleep(delay_seconds)
            try:
                await self._launch()
                delay_seconds = _FIRST_DELAY_SECONDS
            except StartError as exc:
                delay_seconds = min(2 * delay_seconds, _LONGEST_DELAY_SECONDS)
                logger.warning("the admin ports did not open again", extra={"problem": str(exc)})

    async def _wait_for_end(self) -> int | None:
        """Waits for the end of a child that has closed its channel, and returns its exit code."""
        assert self._process is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        await self._end_process()
        return self._process.returncode

    async def _end_process(self) -> None:
        """Ends the child, if there is one."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()  # it has nothing to lose
            await self._process.wait()


def _keep_metrics(report: WorkerReport, last: Report | None) -> WorkerReport:
    """Returns a report with the metrics of the last one of the same process, if it has none itself."""
    if report.metrics or not isinstance(last, WorkerReport) or last.process_id != report.process_id:
        return report
    return msgspec.structs.replace(report, metrics=last.metrics)


def _write(line: LogLine) -> None:
    logging.getLogger(line.logger).log(line.level, "%s", line.message)


def build_admin_ports(settings: Settings) -> AdminPorts | None:
    """Builds the admin ports of the settings; returns None when there are none."""
    if not settings.admin_listen and not settings.health_listen:
        return None
    return AdminPorts(
        admin_listen=_add_loopback(settings.admin_listen), health_listen=_add_loopback(settings.health_listen)
    )


def _add_loopback(listen: str) -> str:
    """Returns the address as HOST:PORT; a port alone is one of loopback."""
    return f"127.0.0.1:{listen}" if listen.isdecimal() else listen
