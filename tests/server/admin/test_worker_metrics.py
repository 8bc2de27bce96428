"""The page of metrics is one for all workers, and loses nothing when one of them, or the child that serves it, dies."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import PATIENCE_SECONDS
from tests.support.factories import a_wire_request
from tests.support.metrics import MetricsPage
from tests.support.ports import find_port
from tests.support.upstream import FakeUpstream
from tests.support.workers import POLL_SECONDS, RunningWorkers, are_serving, create_folder, serving_workers

pytestmark = [pytest.mark.process, pytest.mark.serial]

CALLS = "reasoning_grpc_calls_total"


async def wait_for_metrics(running: RunningWorkers, is_wanted: Callable[[MetricsPage], bool]) -> MetricsPage:
    """Waits until the page of metrics is as wanted, and returns it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            status, text = await running.fetch("/metrics")
            assert status == 200
            if is_wanted(page := MetricsPage(text)):
                return page
            await asyncio.sleep(POLL_SECONDS)


async def make_calls(running: RunningWorkers, count: int) -> None:
    """Makes calls over as many connections, of which each worker gets some."""

    async def call() -> None:
        async with running.client() as client:
            await client.complete(a_wire_request())

    await asyncio.gather(*(call() for _ in range(count)))


async def test_the_metrics_of_all_workers_are_one_page(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Calls of all workers are added, also those of a worker that was killed, and those of a child before this one."""
    ports = {"admin_listen": str(find_port()), "health_listen": str(find_port())}
    async with serving_workers(create_folder(tmp_path, upstream), **ports) as running:
        await make_calls(running, 32)
        before = await wait_for_metrics(running, lambda page: page.find(CALLS) == 32)
        killed = (await running.describe())[0]["process_id"]

        os.kill(killed, signal.SIGKILL)
        await running.wait_for_workers(are_serving(2, without=killed))
        after, text = await running.fetch("/metrics")
        await make_calls(running, 1)
        await wait_for_metrics(running, lambda page: page.find(CALLS) == 33)
        (opened,) = running.lines("admin ports are open")
        os.kill(opened["child_process_id"], signal.SIGKILL)
        while len(running.lines("admin ports are open")) == 1:  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(POLL_SECONDS)
        last = await wait_for_metrics(running, lambda page: page.find(CALLS) > 0)

        assert {line["worker"] for line in running.lines("call")} == {1, 2}
        assert before.list_values("reasoning_grpc_workers", "reasoning_grpc_worker_state")["serving"] == 2
        assert after == 200
        assert MetricsPage(text).find(CALLS) == 32
        assert last.find(CALLS) == 33
        assert last.find("reasoning_grpc_worker_restarts_total") == 1


async def test_prometheus_may_choose_the_format(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A server without workers has the same page, in OpenMetrics too where the scrape asks for it."""
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with serving_workers(create_folder(tmp_path, upstream), "1") as running:
        await make_calls(running, 1)
        await wait_for_metrics(running, lambda page: page.find(CALLS) == 1)

        status, text = await running.fetch("/metrics", headers=accept)

        assert status == 200
        assert text.endswith("# EOF\n")
        assert "reasoning_grpc_worker_restarts_total 0.0\n" in text
