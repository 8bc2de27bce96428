"""The embedded model runs once for all workers, in a process of the supervisor."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpc.client import ReasoningClient
from reasoning_grpc.v1 import completion_pb2, models_pb2
from tests.support.commands import PATIENCE_SECONDS
from tests.support.factories import a_wire_request
from tests.support.server_process import ServerFolder
from tests.support.upstream import FakeUpstream
from tests.support.workers import POLL_SECONDS, RunningWorkers, list_children, serving_workers

pytestmark = [pytest.mark.process, pytest.mark.serial]

SHORT = a_wire_request("Say hello.", sampling=completion_pb2.Sampling(max_output_tokens=2))


async def call_each_worker(running: RunningWorkers) -> list[dict[str, Any]]:
    """Calls over new connections until each of two workers has answered, and returns the lines of these calls."""
    before = len(running.lines("call"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len({line["worker"] for line in running.lines("call")[before:]}) < 2:
            async with running.client() as client:
                await client.complete(SHORT)
    return running.lines("call")[before:]


async def test_all_workers_call_one_embedded_model(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Both workers are answered by one child of the supervisor, also by the next one after it was killed."""
    (tmp_path / "reasoning.toml").write_text('embedded = "on"\n')
    async with serving_workers(ServerFolder(tmp_path, upstream)) as running:
        first = await call_each_worker(running)
        (answers,) = running.lines("embedded model answers")
        child = answers["child_process_id"]
        workers = [worker["process_id"] for worker in await running.describe()]

        os.kill(child, signal.SIGKILL)
        while len(running.lines("embedded model answers")) == 1:  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(POLL_SECONDS)
        await wait_until_available(running)
        second = await call_each_worker(running)

        assert {line["code"] for line in (*first, *second)} == {"OK"}
        assert child in answers.values()
        assert [list_children(worker) for worker in workers] == [[], []]
        assert workers == [worker["process_id"] for worker in await running.describe()]


async def wait_until_available(running: RunningWorkers) -> None:
    """Waits until both workers list the embedded model as available."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(16):
            async with running.client() as client:
                while not await lists_the_model(client):  # noqa: ASYNC110 - another process changes
                    await asyncio.sleep(POLL_SECONDS)


async def lists_the_model(client: ReasoningClient) -> bool:
    """Whether all models that a worker lists are available."""
    return {model.state for model in await client.list_models()} == {models_pb2.MODEL_STATE_AVAILABLE}
