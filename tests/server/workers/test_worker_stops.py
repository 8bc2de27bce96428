"""Signals drain all workers of a server at once."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from reasoning_grpc.client import CallFailed
from tests.support.health import NOT_SERVING, SERVING, wait_for_status
from tests.support.server_process import list_stops, wait_for_end
from tests.support.upstream import FakeUpstream
from tests.support.workers import create_folder, hold_calls, serving_workers, wait_until_ended

pytestmark = [pytest.mark.process, pytest.mark.serial]

HELD_MODULE = "distro"
"""A module that litellm imports, by way of openai, and that nothing else does."""


@pytest.mark.parametrize("is_for_all", [False, True], ids=["supervisor", "all processes"])
async def test_sigterm_drains_all_workers(upstream: FakeUpstream, tmp_path: Path, is_for_all: bool) -> None:
    """After SIGTERM health is NOT_SERVING, the calls of all workers end well, and the exit code is 0.

    A service manager may send it to all processes, which is no second signal.
    """
    async with (
        serving_workers(create_folder(tmp_path, upstream)) as running,
        running.watching_health("readiness") as watch,
        AsyncExitStack() as stack,
    ):
        calls = await hold_calls(running, upstream, stack)
        await wait_for_status(watch, SERVING)

        process = running.server.process
        if is_for_all:
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.send_signal(signal.SIGTERM)
        await wait_for_status(watch, NOT_SERVING)
        for call in chain(*calls.values()):
            call.gate.open_all()

        for call in chain(*calls.values()):
            assert (await call.answer).message.content[0].text == "Hello"
        assert await wait_for_end(process) == 0
    assert list_stops(running.server) == [("info", 0)] * 2
    assert running.lines("workers have ended")
    assert "Traceback" not in running.server.log.read_text()


async def test_a_second_signal_ends_all_workers_at_once(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A second SIGTERM ends the supervisor with 143, and its workers with it, whatever the grace is."""
    async with (
        serving_workers(create_folder(tmp_path, upstream)) as running,
        running.watching_health("readiness") as watch,
        AsyncExitStack() as stack,
    ):
        calls = await hold_calls(running, upstream, stack)
        await wait_for_status(watch, SERVING)
        process = running.server.process
        process.send_signal(signal.SIGTERM)
        await wait_for_status(watch, NOT_SERVING)

        process.send_signal(signal.SIGTERM)

        assert await wait_for_end(process) == 128 + signal.SIGTERM
        for worker in calls:
            await wait_until_ended(worker)
        for call in chain(*calls.values()):
            with pytest.raises(CallFailed, match="UNAVAILABLE"):
                await call.answer
    assert list_stops(running.server) == []


async def test_sigterm_does_not_wait_for_an_import_of_the_supervisor(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A supervisor that is told to stop while it imports litellm ends although the import does not."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / f"{HELD_MODULE}.py").write_text(f"open({str(gate)!r}).read()\n")
    folder = create_folder(tmp_path, upstream, workers="2")
    folder = replace(folder, variables={**folder.variables, "PYTHONPATH": str(tmp_path)})
    async with folder.starting() as (process, log):
        with await asyncio.to_thread(gate.open, "w"):  # it opens when the import opens the other end
            process.send_signal(signal.SIGTERM)

            assert await wait_for_end(process) == 0
        assert "Traceback" not in log.read_text()
