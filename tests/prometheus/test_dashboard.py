"""Every query of the dashboard has an answer from a real Prometheus that scrapes a server with something to show."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.config import Config, ToolEntry
from reasoning_grpc.telemetry import FAMILIES, Family, Kind, Telemetry
from scripts.dashboard import read_panels
from tests.support.agent import PRICES, TOOLS, plan_call, reasoning_request, write_plan
from tests.support.classification import AUTO, write_choice
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.metrics import OF_SUPERVISION
from tests.support.prometheus import JOB, Prometheus, ScrapedPage, has_numbers, running_prometheus
from tests.support.serving import RunningServer, judging_config, model_entry, proxy_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_to_end

pytestmark = [pytest.mark.prometheus, pytest.mark.process]

RATE_INTERVAL: Final = "30s"
"""Longer than the test takes on a busy machine, so that each rate sees what happened in it."""


@pytest.fixture
async def failing() -> AsyncIterator[FakeUpstream]:
    """Provides an upstream that a test lets fail."""
    async with FakeUpstream() as fake:
        yield fake


def build_config(upstream: FakeUpstream, judge: FakeUpstream, failing: FakeUpstream) -> Config:
    """Builds a configuration with everything that metrics are about, of which one call at a time is served."""
    config = judging_config(upstream, judge)
    more = (
        model_entry(upstream.api_base, "unpriced"),
        model_entry(failing.api_base, "broken", fallback_models=("fake",), prices=PRICES),
    )
    return replace(
        config,
        models={**config.models, **{entry.name: entry for entry in more}},
        tools={"weather": ToolEntry(name="weather", function=TOOLS["weather"])},
        proxy=proxy_entry(judge),
        settings=replace(
            config.settings, max_calls_in_flight=1, max_queued_calls=1, admission_queue_seconds=60.0, max_retries=1
        ),
    )


async def make_calls(running: RunningServer, upstream: FakeUpstream, judge: FakeUpstream, round_number: int) -> None:
    """Makes calls of every kind: streams, classified ones, of the agent, and some that fail, wait or fall back."""
    stub: Any = running.stub
    upstream.reply("one ", "two ", "three", interval_seconds=0.02)
    await read_to_end(stub.StreamComplete(a_stream_request()))
    judge.reply(write_choice("passthrough"))
    await stub.Complete(a_wire_request(f"to be classified {round_number}", **AUTO))
    judge.reply("nonsense")
    judge.reply("nonsense")
    await stub.Complete(a_wire_request(f"to be classified badly {round_number}", **AUTO))
    upstream.reply(write_plan(plan_call("weather", city="Paris")))
    upstream.reply(write_plan())
    upstream.reply("It rains.")
    await stub.Complete(reasoning_request())
    await stub.Complete(a_wire_request(model="unpriced"))
    await stub.Complete(a_wire_request(model="broken"))
    requests = len(upstream.requests)
    upstream.hang()
    held = stub.Complete(a_wire_request())
    await upstream.request(requests + 1)
    others = [stub.Complete(a_wire_request()) for _ in range(2)]  # one waits, and one is refused
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


async def test_every_query_of_the_dashboard_has_an_answer(
    tmp_path: Path, upstream: FakeUpstream, judge: FakeUpstream, failing: FakeUpstream
) -> None:
    """After calls of every kind no panel is empty, and Prometheus refuses none of the queries."""
    failing.always.fail(503)
    judge.model_info.lists("listed")
    telemetry = Telemetry()
    page = ScrapedPage(lambda: [telemetry.metrics.take_snapshot()])
    async with (
        serving(build_config(upstream, judge, failing), telemetry) as running,
        page.serve(),
        running_prometheus(tmp_path, page.port) as prometheus,
    ):
        for round_number in range(5):
            await make_calls(running, upstream, judge, round_number)
            await page.wait_for_scrapes(2)
            if not (empty := await find_empty(prometheus)):
                break

    assert empty == []
    assert all(each.startswith("application/openmetrics-text; version=1.0.0;") for each in page.content_types)


async def test_every_metric_is_scraped_with_its_labels(
    tmp_path: Path, upstream: FakeUpstream, judge: FakeUpstream, failing: FakeUpstream
) -> None:
    """Prometheus has each family that is declared, with each of its labels."""
    failing.always.fail(503)
    judge.model_info.lists("listed")
    telemetry = Telemetry()
    page = ScrapedPage(lambda: [telemetry.metrics.take_snapshot()])
    async with (
        serving(build_config(upstream, judge, failing), telemetry) as running,
        page.serve(),
        running_prometheus(tmp_path, page.port) as prometheus,
    ):
        await make_calls(running, upstream, judge, 0)
        await page.wait_for_scrapes(2)
        families = [family for family in FAMILIES if not family.name.startswith(OF_SUPERVISION)]
        found = {family.name: await prometheus.query(name_series(family)) for family in families}

    assert [name for name, series in found.items() if not series] == []
    for family in families:
        labels = set().union(*(each["metric"] for each in found[family.name]))
        assert set(family.prometheus_label_names) <= labels, family.name


def name_series(family: Family) -> str:
    """Returns the name of a series that each kind of family has."""
    suffix = {Kind.COUNTER: "_total", Kind.GAUGE: "", Kind.HISTOGRAM: "_count"}[family.kind]
    return family.prometheus_name + suffix
