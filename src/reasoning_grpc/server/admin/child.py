"""The program of the child that serves the admin ports: `python -m reasoning_grpc.server.admin.child`.

Its standard input is one end of a `Channel`. It ends when the server has ended.
"""

import asyncio
import logging
import os
import signal
import socket
import traceback
from typing import Final

from aiohttp import web

from reasoning_grpc.server.admin.health import HealthPort
from reasoning_grpc.server.admin.messages import EndedMetrics, LogLine, OpenPorts, PortsOpen, PortsProblem, ToChild
from reasoning_grpc.server.admin.pages import build_pages
from reasoning_grpc.server.admin.workers import KnownWorkers
from reasoning_grpc.server.channel import Channel
from reasoning_grpc.server.process_identity import ProcessIdentity
from reasoning_grpc.v1 import reasoning_service_pb2

SERVICE: Final = reasoning_service_pb2.DESCRIPTOR.services_by_name["ReasoningService"].full_name
_CHECK_SECONDS: Final = 0.5
_IGNORED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""The signals that may reach a whole group of processes: only the server answers them, and this process answers on."""


class _SendingHandler(logging.Handler):
    """Sends each log line to the server, which writes it like its own."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        text = record.getMessage()
        if record.exc_info:
            text = "\n".join([text, *traceback.format_exception(*record.exc_info)])
        self._channel.send(LogLine(record.levelno, record.name, text))


async def main() -> None:
    """Opens the ports that the server requests, and answers until the server has ended."""
    channel = await Channel.open(socket.socket(fileno=0), ToChild)
    logging.basicConfig(handlers=[_SendingHandler(channel)], level=logging.WARNING)
    workers = KnownWorkers()
    ports = _Ports(workers)
    async for message in channel.messages():
        match message:
            case OpenPorts():
                try:
                    channel.send(await ports.open(message))
                except _PortError as exc:
                    channel.send(PortsProblem(str(exc)))
                    await channel.flush()
                    return
            case EndedMetrics():
                workers.add_ended(message.metrics)
            case _:
                workers.record(message)
                await ports.refresh()


class _PortError(Exception):
    """A port cannot be listened on; the message is one line that says which."""


class _Ports:
    """The two ports, of which either may not be wanted."""

    def __init__(self, workers: KnownWorkers) -> None:
        self._workers = workers
        self._health: HealthPort | None = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self, wanted: OpenPorts) -> PortsOpen:
        """Listens, and returns the addresses. Raises _PortError."""
        admin = await self._open_pages(wanted.admin_listen) if wanted.admin_listen else ""
        health = await self._open_health(wanted.health_listen) if wanted.health_listen else ""
        return PortsOpen(admin, health)

    async def _open_pages(self, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        pages = build_pages(self._workers, ProcessIdentity.read(os.getppid()))
        runner = web.AppRunner(pages, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as exc:
            raise _PortError(_explain("admin_listen", listen)) from exc
        return f"{host}:{runner.addresses[0][1]}"

    async def _open_health(self, listen: str) -> str:
        health = HealthPort(self._workers, SERVICE)
        try:
            address = await health.start(listen)
        except RuntimeError as exc:
            raise _PortError(_explain("health_listen", listen)) from exc
        self._health = health
        self._watching = asyncio.create_task(self._watch())
        return address

    async def refresh(self) -> None:
        """Reports the health that is known now to those who watch it."""
        if self._health is not None:
            await self._health.refresh()

    async def _watch(self) -> None:
        """Finds out when a process has been silent for too long."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            await self.refresh()


def _explain(option: str, listen: str) -> str:
    return f"{option}: {listen} cannot be listened on: it is in use, or it is not an address of this machine"


if __name__ == "__main__":
    for number in _IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(main())
    os._exit(0)  # an orderly end would wait for clients that watch the health
