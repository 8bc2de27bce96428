"""A reload lets all workers switch to another configuration, or none of them."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import hash_token
from tests.support.commands import PATIENCE_SECONDS
from tests.support.factories import a_wire_request
from tests.support.mcp_server import Reports, build_command, open_reports
from tests.support.server_process import ServerFolder
from tests.support.upstream import FakeUpstream
from tests.support.workers import OWN_CONNECTION, POLL_SECONDS, RunningWorkers, are_serving, serving_workers

pytestmark = [pytest.mark.process, pytest.mark.serial]

CONNECTIONS: Final = 16


def write_config(folder: Path, upstream: FakeUpstream, token: str, more: str = "") -> None:
    """Writes a configuration with one caller."""
    (folder / "reasoning.toml").write_text(f"""
        {more}
        [models.fake]
        litellm_model = "openai/fake"
        api_base = "{upstream.api_base}"
        [callers.alice]
        token_hash = "{hash_token(token)}"
    """)


async def call_all(running: RunningWorkers, token: str) -> list[str]:
    """Calls over several connections, which all workers share, and returns the reason of each refusal."""

    async def call() -> str:
        async with ReasoningClient(running.address, token=token, options=OWN_CONNECTION) as client:
            try:
                await client.complete(a_wire_request())
            except CallFailed as failed:
                return failed.reason
            return ""

    return await asyncio.gather(*(call() for _ in range(CONNECTIONS)))


async def reload(running: RunningWorkers, message: str) -> dict[str, Any]:
    """Reloads the server, and returns the line of its log that reports the outcome."""
    before = len(running.lines(message))
    running.server.process.send_signal(signal.SIGHUP)
    return await wait_for_line(running, message, before)


async def wait_for_line(running: RunningWorkers, message: str, before: int) -> dict[str, Any]:
    """Waits for another line of the log with this message, of which there are some before, and returns it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(lines := running.lines(message)) == before:  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(POLL_SECONDS)
    return lines[-1]


def debugging_workers(running: RunningWorkers) -> list[int]:
    """Returns the worker of each line of the log at the debug level."""
    return [line["worker"] for line in running.server.lines() if line["level"] == "debug" and "worker" in line]


async def wait_for_readiness(running: RunningWorkers, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Waits until the body of /readyz is as wanted, and returns it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            body: dict[str, Any] = json.loads((await running.fetch("/readyz"))[1])
            if is_wanted(body):
                return body
            await asyncio.sleep(POLL_SECONDS)


async def test_all_workers_switch_to_another_configuration(upstream: FakeUpstream, tmp_path: Path) -> None:
    """After a reload every worker takes the new token alone, and so does a worker that starts later."""
    write_config(tmp_path, upstream, "rgt_old")
    async with serving_workers(ServerFolder(tmp_path, upstream)) as running:
        before = await call_all(running, "rgt_old")
        write_config(tmp_path, upstream, "rgt_new")

        await reload(running, "reloaded")
        old, new = await call_all(running, "rgt_old"), await call_all(running, "rgt_new")
        killed = (await running.describe())[0]["process_id"]
        os.kill(killed, signal.SIGKILL)
        await running.wait_for_workers(are_serving(2, without=killed))
        later = await call_all(running, "rgt_new")

        assert (before, old, new, later) == (
            [""] * CONNECTIONS,
            ["CREDENTIALS_INVALID"] * CONNECTIONS,
            [""] * CONNECTIONS,
            [""] * CONNECTIONS,
        )
        assert not running.lines("options need a restart, and keep their values")


async def test_the_log_of_each_worker_follows_its_configuration(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A reload switches the debug lines of all workers on and off."""
    write_config(tmp_path, upstream, "rgt_old")
    async with serving_workers(ServerFolder(tmp_path, upstream)) as running:
        await call_all(running, "rgt_old")
        before = debugging_workers(running)

        write_config(tmp_path, upstream, "rgt_old", 'log_level = "debug"')
        await reload(running, "reloaded")
        await call_all(running, "rgt_old")
        during = debugging_workers(running)

        write_config(tmp_path, upstream, "rgt_old")
        await reload(running, "reloaded")
        await call_all(running, "rgt_old")

        assert (before, sorted(set(during))) == ([], [1, 2])
        assert debugging_workers(running) == during


def require_held_server(reports: Reports) -> str:
    """Returns the entry of a required MCP server, which begins to answer only when the test says so."""
    command, *arguments = build_command("stdio", reports, "--held")
    return f'[mcp_servers.held]\ncommand = "{command}"\nargs = {json.dumps(arguments)}\nrequired = true'


async def release_each(reports: Reports, count: int) -> None:
    """Lets this many held MCP servers answer, each as soon as it has been started."""
    for _ in range(count):
        await reports.wait_for("pid")
        reports.release()


async def test_a_worker_that_starts_during_a_reload_serves_the_new_configuration_alone(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    """A worker that has started with the old configuration takes no call, and is replaced when they switch."""
    async with AsyncExitStack() as stack:
        old, new = [await stack.enter_async_context(open_reports()) for _ in range(2)]
        write_config(tmp_path, upstream, "rgt_old", require_held_server(old))
        starting = asyncio.create_task(release_each(old, 2))
        running = await stack.enter_async_context(serving_workers(ServerFolder(tmp_path, upstream)))
        await starting
        os.kill((await running.describe())[0]["process_id"], signal.SIGKILL)
        await old.wait_for("pid")  # that of the worker in its place, which has the old configuration, and waits
        write_config(tmp_path, upstream, "rgt_new", require_held_server(new))

        reloading = asyncio.create_task(reload(running, "reloaded"))
        await new.wait_for("pid")
        old.release()
        warm = await running.wait_for_workers(
            lambda workers: [each["state"] for each in workers] == ["warm", "serving"]
        )
        new.release()
        await reloading
        await release_each(new, 1)  # that of the worker that takes its place
        workers = await running.wait_for_workers(are_serving(2, without=warm[0]["process_id"]))

        assert workers[1] | {"silent_seconds": 0} == warm[1] | {"silent_seconds": 0}
        assert await call_all(running, "rgt_old") == ["CREDENTIALS_INVALID"] * CONNECTIONS
        assert await call_all(running, "rgt_new") == [""] * CONNECTIONS
        assert len(running.lines("worker died")) == 1


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param("max_retries = -1", "max_retries: must be at least 0 and at most 10", id="a bad value"),
        pytest.param(
            '[mcp_servers.gone]\nurl = "http://127.0.0.1:9/mcp"\nrequired = true', "gone", id="a server that is down"
        ),
    ],
)
async def test_no_worker_switches_to_a_bad_configuration(
    upstream: FakeUpstream, tmp_path: Path, more: str, problem: str
) -> None:
    """A configuration that the supervisor refuses, or a worker, changes nothing, and /readyz says why."""
    write_config(tmp_path, upstream, "rgt_old")
    async with serving_workers(ServerFolder(tmp_path, upstream)) as running:
        write_config(tmp_path, upstream, "rgt_new", more)

        line = await reload(running, "reload changed nothing")
        body = await wait_for_readiness(running, lambda body: body["reload"]["failures"] == 1)

        assert any(problem in each for each in line["problems"])
        assert body["reload"]["problems"] == line["problems"]
        assert body["status"] == "ready"
        assert await call_all(running, "rgt_old") == [""] * CONNECTIONS
