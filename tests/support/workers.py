"""Server processes with workers, and what can be seen of them from outside: their log, their ports, their memory."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc

from reasoning_grpc.client import ReasoningClient
from tests.support.commands import PATIENCE_SECONDS
from tests.support.factories import a_wire_request
from tests.support.health import watch_health
from tests.support.server_process import ServerFolder, ServerProcess
from tests.support.upstream import FakeUpstream, Gate

OWN_CONNECTION: Final = [("grpc.use_local_subchannel_pool", 1)]
"""The options of a channel that shares its connection with no other channel of this process."""
POLL_SECONDS: Final = 0.05


def create_folder(folder: Path, upstream: FakeUpstream, **variables: str) -> ServerFolder:
    """Creates a configuration with one model; `variables` are options of the server."""
    (folder / "reasoning.toml").write_text(f"""
        grace_seconds = 600
        [models.fake]
        litellm_model = "openai/fake"
        api_base = "{upstream.api_base}"
    """)
    return ServerFolder(folder, upstream, variables=name_options(variables))


def name_options(options: dict[str, str]) -> dict[str, str]:
    """Returns the variables of the environment that set these options."""
    return {f"REASONING_{name.upper()}": value for name, value in options.items()}


@asynccontextmanager
async def serving_workers(folder: ServerFolder, workers: str = "2", **options: str) -> AsyncIterator["RunningWorkers"]:
    """Starts a server with workers and admin ports, in a session of its own, and yields it when all workers serve.

    A server serves before that where one of its workers takes seconds longer to start than another. `options` are
    options of the server.
    """
    chosen = name_options({"workers": workers, "admin_listen": "0", "health_listen": "0", **options})
    folder = replace(folder, variables={**folder.variables, **chosen})
    async with folder.serving(start_new_session=True) as server:
        running = RunningWorkers(server)
        await running.wait_for_workers(are_serving(int(workers)))
        yield running


@dataclass(frozen=True)
class RunningWorkers:
    """A server process with workers, or with one process that serves, and its admin ports."""

    server: ServerProcess

    @property
    def address(self) -> str:
        """The address of the service."""
        return self.server.address

    def client(self, *, retries: bool = True) -> ReasoningClient:
        """Returns a client with a connection of its own, which one of the workers takes."""
        return ReasoningClient(self.address, options=[*OWN_CONNECTION, ("grpc.enable_retries", int(retries))])

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Returns the lines of the log with this message."""
        return [line for line in self.server.lines() if line["message"] == message]

    def admin_address(self) -> str:
        """Returns the address of the HTTP port."""
        return str(self.lines("admin ports are open")[-1]["admin_address"])

    def health_address(self) -> str:
        """Returns the address of the gRPC port."""
        return str(self.lines("admin ports are open")[-1]["health_address"])

    @asynccontextmanager
    async def watching_health(self, name: str) -> AsyncIterator[Any]:
        """Watches a name of the health of all workers."""
        async with grpc.aio.insecure_channel(self.health_address()) as channel:
            yield watch_health(channel, name)

    async def fetch(self, page: str, **options: Any) -> tuple[int, str]:
        """Returns the status and the text of a page of the HTTP port; `options` are for the request."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.admin_address()}{page}", **options) as response,
        ):
            return response.status, await response.text()

    async def describe(self) -> list[dict[str, Any]]:
        """Returns what the server says of its workers."""
        _, text = await self.fetch("/healthz")
        workers: list[dict[str, Any]] = json.loads(text)["workers"]
        return workers

    async def wait_for_workers(self, is_wanted: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Waits until what the server says of its workers is as wanted, and returns it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_wanted(workers := await self.describe()):  # noqa: ASYNC110 - another process changes
                await asyncio.sleep(POLL_SECONDS)
        return workers


@dataclass(frozen=True)
class HeldCall:
    """A call in progress, whose answer waits for a gate."""

    client: ReasoningClient
    """The client that made it, with a connection of its own."""
    answer: "asyncio.Task[Any]"
    gate: Gate


async def hold_calls(
    running: RunningWorkers, upstream: FakeUpstream, stack: AsyncExitStack
) -> dict[int, list[HeldCall]]:
    """Begins calls until each of two workers has one, and returns the calls by the process ids of the workers.

    No other call may be in progress. One that has ended is shown until its worker's next report.
    """
    await running.wait_for_workers(lambda workers: not any(each["calls_in_flight"] for each in workers))
    held = dict[int, list[HeldCall]]()
    while len(held) < 2:
        gate = upstream.gated("Hel", "lo")
        stack.callback(gate.open_all)
        client = await stack.enter_async_context(running.client())
        answer = asyncio.create_task(client.complete(a_wire_request()))
        taken = await _find_next_call(running, held)
        held.setdefault(taken, []).append(HeldCall(client, answer, gate))
    return held


async def _find_next_call(running: RunningWorkers, held: dict[int, list[HeldCall]]) -> int:
    """Waits until a worker has one call more than is held, and returns the id of its process."""

    def find_next(workers: list[dict[str, Any]]) -> list[int]:
        return [
            each["process_id"] for each in workers if each["calls_in_flight"] > len(held.get(each["process_id"], ()))
        ]

    return find_next(await running.wait_for_workers(lambda workers: bool(find_next(workers))))[0]


def are_serving(count: int, *, without: int | None = None) -> Callable[[list[dict[str, Any]]], bool]:
    """Returns a condition: this many workers serve, and there are no others, nor the process `without`.

    A worker that was killed is shown as serving until its supervisor has noticed its end.
    """
    return lambda workers: (
        [worker["state"] for worker in workers] == ["serving"] * count
        and without not in {worker["process_id"] for worker in workers}
    )


def list_children(process_id: int) -> list[int]:
    """Returns the ids of the child processes of a process."""
    return [
        int(child)
        for thread in os.listdir(f"/proc/{process_id}/task")
        for child in Path(f"/proc/{process_id}/task/{thread}/children").read_text().split()
    ]


def has_loaded(process_id: int, library: str) -> bool:
    """Whether a process has loaded a library of machine code, by a part of its name."""
    return library in Path(f"/proc/{process_id}/maps").read_text()


def is_running(process_id: int) -> bool:
    """Whether a process runs; one that has ended may still wait for its parent."""
    try:
        return "(zombie)" not in Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return False


async def wait_until_ended(process_id: int) -> None:
    """Waits until a process has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while is_running(process_id):  # noqa: ASYNC110 - another process changes
            await asyncio.sleep(POLL_SECONDS)


async def wait_until_closed(address: str) -> None:
    """Waits until nobody listens on an address."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while _is_open(host, int(port)):  # noqa: ASYNC110 - another process changes
            await asyncio.sleep(POLL_SECONDS)


def _is_open(host: str, port: int) -> bool:
    with socket.socket() as end:
        return end.connect_ex((host, port)) == 0
