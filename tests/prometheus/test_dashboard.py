"""Every query of the dashboard has an answer from a real Prometheus that scrapes the admin port of a server.

The server is a process with two workers, which has something to show: it was reloaded, and a worker was replaced.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.config import hash_token
from reasoning_grpc.telemetry import FAMILIES, Family, Kind
from reasoning_grpc.v1 import reasoning_service_pb2_grpc
from scripts.dashboard import read_panels
from scripts.pages import ROOT
from tests.support.agent import TOOLS, plan_call, reasoning_request, write_plan, write_plan_without_tools
from tests.support.classification import AUTO, write_choice
from tests.support.commands import PATIENCE_SECONDS
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.orchestration import orchestration_request, plan_task, write_tasks
from tests.support.prometheus import JOB, Prometheus, has_numbers, running_prometheus
from tests.support.server_process import KEY, ServerFolder
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_to_end
from tests.support.workers import are_serving, serving_workers

pytestmark = [pytest.mark.prometheus, pytest.mark.process]

RATE_INTERVAL: Final = "5m"
"""Longer than the test takes on a busy machine, so that each rate sees what happened in it."""
TOKEN: Final = "rgt_of-alice"
METADATA: Final = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture
async def failing() -> AsyncIterator[FakeUpstream]:
    """Provides an upstream that a test lets fail."""
    async with FakeUpstream() as fake:
        yield fake


def write_config(folder: Path, upstream: FakeUpstream, judge: FakeUpstream, failing: FakeUpstream) -> None:
    """Writes a configuration with everything that metrics are about; each worker serves one call at a time."""
    prices = "input_usd_per_million = 1\noutput_usd_per_million = 2"
    (folder / "reasoning.toml").write_text(f"""
        default_model = "fake"
        max_calls_in_flight = 1
        max_queued_calls = 1
        admission_queue_seconds = 10
        max_loop_lag_seconds = 60
        max_retries = 1
        breaker_min_calls = 1000000
        [models.fake]
        litellm_model = "openai/fake"
        api_base = "{upstream.api_base}"
        {prices}
        [models.judge]
        litellm_model = "openai/judge"
        api_base = "{judge.api_base}"
        capabilities = ["json_schema"]
        {prices}
        [models.unpriced]
        litellm_model = "openai/unpriced"
        api_base = "{upstream.api_base}"
        [models.broken]
        litellm_model = "openai/broken"
        api_base = "{failing.api_base}"
        fallback_models = ["fake"]
        {prices}
        [classifier]
        strategy = "model"
        model = "judge"
        timeout_seconds = 60
        [tools.weather]
        function = "{TOOLS["weather"]}"
        [callers.alice]
        token_hash = "{hash_token(TOKEN)}"
        tokens_per_minute = 1_000_000
        usd_per_day = 50
    """)


@asynccontextmanager
async def serving_all(
    folder: Path, upstream: FakeUpstream, judge: FakeUpstream, failing: FakeUpstream
) -> AsyncIterator[tuple[Any, Prometheus]]:
    """Runs the server and Prometheus, and yields a stub with one connection, and Prometheus.

    The server was reloaded, and one of its workers took the place of another.
    """
    failing.always.fail(503)
    judge.model_info.lists("listed")
    write_config(folder, upstream, judge, failing)
    variables = {
        "PYTHONPATH": str(ROOT),
        "LITELLM_BASE_URL": f"http://127.0.0.1:{judge.port}",
        "LITELLM_API_KEY": KEY,
    }
    async with serving_workers(ServerFolder(folder, upstream, variables=variables)) as running:
        killed = (await running.describe())[0]["process_id"]
        os.kill(killed, signal.SIGKILL)
        await running.wait_for_workers(are_serving(2, without=killed))
        running.server.process.send_signal(signal.SIGHUP)
        port = int(running.admin_address().rpartition(":")[2])
        async with (
            running_prometheus(folder, port) as prometheus,
            grpc.aio.insecure_channel(running.address) as channel,
        ):
            yield reasoning_service_pb2_grpc.ReasoningServiceStub(channel), prometheus


async def make_calls(stub: Any, upstream: FakeUpstream, judge: FakeUpstream, round_number: int) -> None:
    """Makes calls of every kind: streams, classified ones, of agents, and some that fail, wait or fall back."""
    upstream.reply("one ", "two ", "three", interval_seconds=0.02)
    await read_to_end(stub.StreamComplete(a_stream_request(), metadata=METADATA))
    judge.reply(write_choice("passthrough"))
    await stub.Complete(a_wire_request(f"to be classified {round_number}", **AUTO), metadata=METADATA)
    judge.reply("nonsense")
    judge.reply("nonsense")
    await stub.Complete(a_wire_request(f"to be classified badly {round_number}", **AUTO), metadata=METADATA)
    upstream.reply(write_plan(plan_call("weather", city="Paris")))
    upstream.reply(write_plan())
    upstream.reply("It rains.")
    await stub.Complete(reasoning_request(), metadata=METADATA)
    for reply in (write_tasks(plan_task("a")), write_plan_without_tools(), "It is known.", "The answer."):
        upstream.reply(reply)
    await stub.Complete(orchestration_request(), metadata=METADATA)
    await stub.Complete(a_wire_request(model="unpriced"), metadata=METADATA)
    await stub.Complete(a_wire_request(model="broken"), metadata=METADATA)
    requests = len(upstream.requests)
    upstream.hang()
    held = stub.Complete(a_wire_request(), metadata=METADATA)
    await upstream.request(requests + 1)
    others = [stub.Complete(a_wire_request(), metadata=METADATA) for _ in range(2)]  # one waits, and one is refused
    done, _ = await asyncio.wait(
        [asyncio.ensure_future(settle(call)) for call in others], return_when=asyncio.FIRST_COMPLETED
    )
    held.cancel()
    outcomes = sorted([await settle(call) for call in others])
    assert outcomes == ["OK", "UNAVAILABLE"], done


async def settle(call: Any) -> str:
    """Awaits a call, and returns the name of its status."""
    return str((await call.code()).name)


async def find_empty(prometheus: Prometheus) -> list[str]:
    """Returns the panels with a query that has no number."""
    empty = []
    for panel in read_panels():
        for query in panel.queries:
            series = await prometheus.query(query.bind(job=JOB, rate_interval=RATE_INTERVAL))
            if not has_numbers(series):
                empty.append(f"{panel.title}: {query.legend}")
    return empty


async def find_missing(prometheus: Prometheus) -> list[str]:
    """Returns the families without a series, and the labels that no series of their family has."""
    missing = []
    for family in FAMILIES:
        series = await prometheus.query(name_series(family))
        labels = set().union(*(each["metric"] for each in series))
        wanted = {"__name__", *family.prometheus_label_names}
        missing += [f"{family.name}: {label}" for label in sorted(wanted - labels)]
    return missing


async def call_until_complete(
    find: Callable[[Prometheus], Coroutine[Any, Any, list[str]]],
    folder: Path,
    upstream: FakeUpstream,
    judge: FakeUpstream,
    failing: FakeUpstream,
) -> list[str]:
    """Makes calls until Prometheus has all that is wanted, and returns what it does not have when patience ends."""
    async with serving_all(folder, upstream, judge, failing) as (stub, prometheus):
        ends = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        round_number = 0
        while True:
            await make_calls(stub, upstream, judge, round_number)
            scrapes = await prometheus.count_scrapes()
            await prometheus.wait_for_scrapes(scrapes + 4)  # the port gets the metrics of a worker once a second
            missing = await find(prometheus)
            if not missing or asyncio.get_running_loop().time() > ends:
                return missing
            round_number += 1


async def test_every_query_of_the_dashboard_has_an_answer(
    tmp_path: Path, upstream: FakeUpstream, judge: FakeUpstream, failing: FakeUpstream
) -> None:
    """After calls of every kind no panel is empty, and Prometheus refuses none of the queries."""
    assert await call_until_complete(find_empty, tmp_path, upstream, judge, failing) == []


async def test_every_metric_is_scraped_with_its_labels(
    tmp_path: Path, upstream: FakeUpstream, judge: FakeUpstream, failing: FakeUpstream
) -> None:
    """Prometheus has each family that is declared, with each of its labels."""
    assert await call_until_complete(find_missing, tmp_path, upstream, judge, failing) == []


def name_series(family: Family) -> str:
    """Returns the name of a series that each kind of family has."""
    suffix = {Kind.COUNTER: "_total", Kind.GAUGE: "", Kind.HISTOGRAM: "_count"}[family.kind]
    return family.prometheus_name + suffix
