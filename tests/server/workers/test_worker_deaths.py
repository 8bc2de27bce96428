"""A worker that dies is replaced, and one that cannot start ends the server with an error."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from tests.support.commands import run
from tests.support.server_process import wait_for_end
from tests.support.upstream import FakeUpstream
from tests.support.workers import (
    are_serving,
    create_folder,
    hold_calls,
    name_options,
    serving_workers,
    wait_until_closed,
    wait_until_ended,
)

pytestmark = [pytest.mark.process, pytest.mark.serial]

WORKERS_MODULE: Final = "grpc_reflection"
"""A package that a worker imports, and its supervisor does not."""


async def test_a_worker_that_is_killed_is_replaced(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The calls of a killed worker fail, those of the other go on, and soon two workers serve again."""
    async with serving_workers(create_folder(tmp_path, upstream)) as running, AsyncExitStack() as stack:
        (killed, cut), (_, kept) = (await hold_calls(running, upstream, stack)).items()

        os.kill(killed, signal.SIGKILL)
        failures = await asyncio.gather(*(call.answer for call in cut), return_exceptions=True)
        workers = await running.wait_for_workers(are_serving(2, without=killed))
        for call in kept:
            call.gate.open_all()

        assert [failure.code for failure in failures if isinstance(failure, CallFailed)] == [
            grpc.StatusCode.UNAVAILABLE
        ] * len(cut)
        for call in kept:
            assert (await call.answer).message.content[0].text == "Hello"
        assert [worker["worker"] for worker in workers] == [1, 2]
        (died,) = running.lines("worker died")
        assert (died["process_id"], died["exit_code"], died["next_start_seconds"]) == (killed, -signal.SIGKILL, 0)
        _, metrics = await running.fetch("/metrics")
        assert "\nreasoning_grpc_worker_restarts_total 1.0\n" in metrics


async def test_a_worker_that_gets_sigterm_drains_and_is_replaced(upstream: FakeUpstream, tmp_path: Path) -> None:
    """An operator may end one worker by SIGTERM: its calls end well, and another one takes its place."""
    async with serving_workers(create_folder(tmp_path, upstream)) as running, AsyncExitStack() as stack:
        ended, (call, *others) = next(iter((await hold_calls(running, upstream, stack)).items()))

        os.kill(ended, signal.SIGTERM)
        await running.wait_for_workers(lambda found: "draining" in {each["state"] for each in found})
        for each in (call, *others):
            each.gate.open_all()

        assert (await call.answer).message.content[0].text == "Hello"
        await running.wait_for_workers(are_serving(2, without=ended))


async def test_a_worker_that_never_starts_ends_the_server(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A worker that dies at start five times in a row ends the server with an error, and leaves no process behind."""
    (tmp_path / f"{WORKERS_MODULE}.py").write_text("import os\nos._exit(7)\n")
    folder = create_folder(tmp_path, upstream)

    finished = await run(
        *("serve", "--config", folder.config, "--listen", "127.0.0.1:0", "--log-format", "text"),
        variables={"PYTHONPATH": str(tmp_path), "REASONING_WORKERS": "2"},
    )

    assert (finished.code, finished.out) == (1, "")
    last = finished.err.splitlines()[-1]
    assert last in {
        f"reasoning-grpc: worker {number} did not start 5 times in a row: it ended with exit code 7"
        for number in (1, 2)
    }


async def test_a_worker_reports_why_it_cannot_start(upstream: FakeUpstream, tmp_path: Path) -> None:
    """What keeps every worker from its start ends the server at once, with the sentence of a server without workers."""
    folder = create_folder(tmp_path, upstream)
    (tmp_path / "junk.pem").write_text("junk")
    tls = {"tls_certificate": str(tmp_path / "junk.pem"), "tls_key": str(tmp_path / "junk.pem")}

    finished = await run(
        *("serve", "--config", folder.config, "--listen", "127.0.0.1:0", "--log-format", "text"),
        variables=name_options({"workers": "2", **tls}),
    )

    assert (finished.code, finished.out) == (1, "")
    junk = tmp_path / "junk.pem"
    assert finished.err.splitlines()[-1] == (
        f"reasoning-grpc: {junk} and {junk}: are not a certificate in PEM and its private key"
    )


async def test_workers_end_with_their_supervisor(upstream: FakeUpstream, tmp_path: Path) -> None:
    """When the supervisor is killed, the workers end, the admin ports close, and the port is free again."""
    async with serving_workers(create_folder(tmp_path, upstream, grace_seconds="0")) as running:
        workers = [worker["process_id"] for worker in await running.describe()]
        admin = running.admin_address()

        running.server.process.kill()
        await wait_for_end(running.server.process)

        for address in (running.address, admin):
            await wait_until_closed(address)
        for process_id in workers:
            await wait_until_ended(process_id)
