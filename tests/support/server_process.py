"""Server processes: the command `serve` in front of a fake upstream, as an operator runs it."""

import asyncio
import json
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from reasoning_grpc.client import ReasoningClient
from reasoning_grpc.server.server import READINESS
from tests.support.commands import PATIENCE_SECONDS, Finished, read_announced_address, run, running_process
from tests.support.health import NOT_SERVING, SERVING, next_status, watch_health
from tests.support.upstream import FakeUpstream

TOKEN: Final = "rgt_token-of-the-command-line"
KEY: Final = "sk-key-of-the-upstream"
ROUTE_LINE: Final = "route: passthrough with fake (default: The request chooses none; this is the server's default.)\n"
REFUSED_KEY: Final = 'The upstream of the model "fake" refused the server\'s key.'

_DEFAULTS: Final = {"FAKE_KEY": KEY, "REASONING_DRAIN_DELAY_SECONDS": "0", "REASONING_MAX_LOOP_LAG_SECONDS": "60"}
"""A lagging loop is no overload, because other processes may take all cores."""
_SHORT_BACKOFFS: Final = tuple((f"grpc.{name}_reconnect_backoff_ms", 100) for name in ("initial", "min", "max"))
"""How long a client waits until it connects again. gRPC's own second is longer than some servers take to start."""


async def wait_for_end(process: Process) -> int:
    """Waits for the end of a process, and returns its exit code."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await process.wait()


@dataclass(frozen=True)
class ServerProcess:
    """A server process that serves."""

    process: Process
    address: str
    log: Path
    """The file with everything that the process writes to standard error."""

    async def ask(self, *arguments: str, **options: Any) -> Finished:
        """Runs a client's command with the address and the token of this server."""
        return await run(*arguments, "--target", self.address, variables={"REASONING_TOKEN": TOKEN}, **options)

    def client(self) -> ReasoningClient:
        """Returns a client of this server, in the test's own process."""
        return ReasoningClient(self.address, token=TOKEN)

    def lines(self) -> list[dict[str, Any]]:
        """Returns the lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@dataclass(frozen=True)
class ServerFolder:
    """A folder with a configuration whose models are a fake upstream."""

    folder: Path
    upstream: FakeUpstream
    names: list[str] = field(default_factory=list)
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of the server's environment, beside the defaults of this module."""

    @property
    def config(self) -> str:
        """The configuration file."""
        return str(self.folder / "reasoning.toml")

    @asynccontextmanager
    async def starting(self, listen: str = "127.0.0.1:0", **options: Any) -> AsyncIterator[tuple[Process, Path]]:
        """Starts a server process, and yields it with its log before it serves; `options` are for the process."""
        log = self.folder / f"{len(self.names)}.log"
        self.names.append(log.name)
        arguments = ("serve", "--config", self.config, "--listen", listen)
        with log.open("wb") as errors:
            async with running_process(
                *arguments,
                variables={**_DEFAULTS, **self.variables},
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=errors,
                **options,
            ) as process:
                yield process, log

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator[ServerProcess]:
        """Starts a server process, and yields it when it serves; `options` are for the process."""
        async with self.starting(**options) as (process, log):
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_SECONDS):
                line = await process.stdout.readline()
            assert line, log.read_text()
            yield ServerProcess(process, read_announced_address(line), log)


@asynccontextmanager
async def watching_readiness(address: str) -> AsyncIterator[Any]:
    """Watches the readiness of a server, which need not listen yet. It is found soon after it does."""
    async with grpc.aio.insecure_channel(address, options=_SHORT_BACKOFFS) as channel:
        yield watch_health(channel, READINESS)


def list_stops(server: ServerProcess) -> list[tuple[str, int]]:
    """Returns the level and the number of cut calls of each log line about a stop."""
    return [(line["level"], line["calls_cut"]) for line in server.lines() if line["message"] == "stopped"]


async def expect_clean_end(server: ServerProcess, number: signal.Signals) -> None:
    """Sends a signal to an idle server, which must exit with 0 although a client watches its health."""
    async with watching_readiness(server.address) as watch:
        assert await next_status(watch) == SERVING

        server.process.send_signal(number)

        assert await next_status(watch) == NOT_SERVING
        assert await wait_for_end(server.process) == 0
    assert list_stops(server) == [("info", 0)]
    assert "Traceback" not in server.log.read_text()
