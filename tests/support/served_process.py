"""A server as a person runs it: a process of the command `serve`, in front of a fake upstream."""

import asyncio
import json
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reasoning_grpc.client import ReasoningClient
from reasoning_grpc.server.server import READINESS
from tests.support.commands import PATIENCE_SECONDS, Finished, process_of, run
from tests.support.upstream import FakeUpstream

TOKEN: Final = "rgt_token-of-the-command-line"
KEY: Final = "sk-key-of-the-upstream"
ROUTE_LINE: Final = "route: passthrough with fake (default: Nothing else decided; this is the default.)\n"
REFUSED_KEY: Final = 'The upstream of the model "fake" refused the server\'s key.'
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


async def ended(process: Process) -> int:
    """The exit code of a process that is about to end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await process.wait()


@dataclass(frozen=True)
class Served:
    """A server process that serves."""

    process: Process
    address: str
    log: Path
    """What it writes to standard error."""

    async def ask(self, *arguments: str, **options: Any) -> Finished:
        """Runs a client's command with the right target and token."""
        return await run(*arguments, "--target", self.address, variables={"REASONING_TOKEN": TOKEN}, **options)

    def client(self) -> ReasoningClient:
        """A client in this process."""
        return ReasoningClient(self.address, token=TOKEN)

    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@dataclass(frozen=True)
class Place:
    """A folder with a configuration whose models are a fake upstream."""

    folder: Path
    upstream: FakeUpstream
    names: list[str] = field(default_factory=list)

    @property
    def config(self) -> str:
        """The configuration file."""
        return str(self.folder / "reasoning.toml")

    @asynccontextmanager
    async def starting(self, listen: str = "127.0.0.1:0") -> AsyncIterator[tuple[Process, Path]]:
        """A server process that starts, and its log."""
        log = self.folder / f"{len(self.names)}.log"
        self.names.append(log.name)
        arguments = ("serve", "--config", self.config, "--listen", listen)
        with log.open("wb") as errors:
            async with process_of(
                *arguments, variables={"FAKE_KEY": KEY}, stdin=DEVNULL, stdout=PIPE, stderr=errors
            ) as process:
                yield process, log

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        """A server process that serves."""
        async with self.starting() as (process, log):
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_SECONDS):
                line = (await process.stdout.readline()).decode()
            announced = re.fullmatch(r"serving on (127\.0\.0\.1:\d+)\n", line)
            assert announced is not None, log.read_text()
            yield Served(process, announced[1], log)


@asynccontextmanager
async def watched(address: str) -> AsyncIterator[Any]:
    """A watch of the readiness of a server, from before it listens if need be."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        yield stub.Watch(health_pb2.HealthCheckRequest(service=READINESS), wait_for_ready=True)


async def next_status(watch: Any) -> int:
    """The next state that a watch tells."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return int((await watch.read()).status)


def stopped_lines(served: Served) -> list[tuple[str, int]]:
    """What the log says of the stop."""
    return [(line["level"], line["calls_cut"]) for line in served.lines() if line["message"] == "stopped"]


async def is_ended_while_idle(server: Served, number: signal.Signals) -> None:
    """A signal ends it with 0, though a client watches its health, and it says that no call was cut."""
    async with watched(server.address) as watch:
        assert await next_status(watch) == SERVING

        server.process.send_signal(number)

        assert await next_status(watch) == NOT_SERVING
        assert await ended(server.process) == 0
    assert stopped_lines(server) == [("info", 0)]
    assert "Traceback" not in server.log.read_text()
