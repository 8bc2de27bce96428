"""Several workers serve on one port, under a supervisor that never imports grpc."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.support.commands import build_environment, run
from tests.support.factories import a_wire_request
from tests.support.server_process import ServerFolder
from tests.support.upstream import DEFAULT_PIECES, FakeUpstream
from tests.support.workers import RunningWorkers, create_folder, has_loaded, serving_workers

# All tests of this file share an event loop, with a server of two workers behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.process]

CONNECTIONS: Final = 32
GRPC_LIBRARY: Final = "cygrpc"
IN_USE: Final = "it is in use, or it is not an address of this machine"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerFolder]:
    """Provides a configuration with a fake upstream."""
    async with FakeUpstream() as upstream:
        yield create_folder(tmp_path_factory.mktemp("workers"), upstream)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(folder: ServerFolder) -> AsyncIterator[RunningWorkers]:
    """Provides a server with two workers."""
    async with serving_workers(folder) as workers:
        yield workers


async def test_connections_spread_over_the_workers(running: RunningWorkers) -> None:
    """Each worker gets some of many connections, and every call is answered."""

    async def call() -> str:
        async with running.client() as client:
            answer = await client.complete(a_wire_request())
            return answer.message.content[0].text

    answers = await asyncio.gather(*(call() for _ in range(CONNECTIONS)))

    assert answers == ["".join(DEFAULT_PIECES)] * CONNECTIONS
    assert {line["worker"] for line in running.lines("call")} == {1, 2}


async def test_the_supervisor_has_not_loaded_grpc(running: RunningWorkers) -> None:
    """The workers have loaded grpc, and their supervisor has not, although all of them have loaded litellm."""
    workers = [worker["process_id"] for worker in await running.describe()]

    assert all(has_loaded(worker, GRPC_LIBRARY) for worker in workers)
    assert not has_loaded(running.server.process.pid, GRPC_LIBRARY)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_second_server_on_the_port_does_not_start(
    folder: ServerFolder, running: RunningWorkers, workers: str
) -> None:
    """Workers share their port among themselves alone: another server, with or without workers, fails on it."""
    finished = await run(
        *("serve", "--config", folder.config, "--listen", running.address, "--log-format", "text"),
        *("--workers", workers),
    )

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.splitlines()[-1] == f"reasoning-grpc: {running.address} cannot be listened on: {IN_USE}"


async def test_workers_do_not_start_on_a_port_in_use(folder: ServerFolder) -> None:
    """A server with workers fails on the port of a server without."""
    async with folder.serving() as alone:
        finished = await run(
            *("serve", "--config", folder.config, "--listen", alone.address, "--log-format", "text"),
            *("--workers", "2"),
        )

    assert (finished.code, finished.out) == (1, "")
    assert finished.err == f"reasoning-grpc: {alone.address} cannot be listened on: {IN_USE}\n"


async def test_what_a_supervisor_imports_does_not_import_grpc() -> None:
    """Neither the command line, nor the check of a configuration, nor what workers share imports grpc."""
    program = """
import sys
from reasoning_grpc.cli import server_commands
from reasoning_grpc.config import Config
from reasoning_grpc.server.workers import run, supervisor
problems = server_commands.find_config_problems(Config())
supervisor._load_shared()
print(problems, "litellm" in sys.modules, "grpc" in sys.modules)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=PIPE, env=build_environment({})
    )
    out, _ = await process.communicate()

    assert out == b"[] True False\n"
