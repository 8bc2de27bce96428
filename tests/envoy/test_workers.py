"""A server with workers behind Envoy: each of Envoy's connections belongs to one worker, as docs/envoy.md says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.envoy import Envoy, Settings, find_cluster, running_envoy
from tests.support.factories import a_stream_request
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_first_delta
from tests.support.workers import RunningWorkers, create_folder, serving_workers

pytestmark = [pytest.mark.envoy, pytest.mark.process]


@pytest.fixture
async def workers(upstream: FakeUpstream, tmp_path: Path) -> AsyncIterator[RunningWorkers]:
    """Provides a server with two workers."""
    async with serving_workers(create_folder(tmp_path, upstream)) as running:
        yield running


async def count_calls(envoy: Envoy, workers: RunningWorkers, streams: int) -> list[int]:
    """Holds this many streams, and returns how many of them each worker has."""
    held = [envoy.stub.StreamComplete(a_stream_request()) for _ in range(streams)]
    await asyncio.gather(*map(read_first_delta, held))

    def have_all(described: list[dict[str, Any]]) -> bool:
        """Returns whether the workers have reported all of them."""
        return sum(int(worker["calls_in_flight"]) for worker in described) == streams

    described = await workers.wait_for_workers(have_all)
    for stream in held:
        stream.cancel()
    return [worker["calls_in_flight"] for worker in described]


async def test_one_connection_uses_one_worker(upstream: FakeUpstream, workers: RunningWorkers, tmp_path: Path) -> None:
    """As shipped, Envoy with one thread opens one connection to a server, and one of its workers gets all calls."""
    upstream.always.hang_after(1)
    async with running_envoy(tmp_path, [workers.address]) as envoy:
        assert sorted(await count_calls(envoy, workers, 20)) == [0, 20]


def open_more_connections(settings: Settings) -> None:
    """Lets Envoy open another connection for each four streams."""
    (protocol,) = find_cluster(settings)["typed_extension_protocol_options"].values()
    protocol["explicit_http_config"]["http2_protocol_options"]["max_concurrent_streams"] = 4


async def test_more_connections_use_all_workers(
    upstream: FakeUpstream, workers: RunningWorkers, tmp_path: Path
) -> None:
    """With few streams on each connection, the system spreads the connections, and so the calls, over the workers."""
    upstream.always.hang_after(1)
    async with running_envoy(tmp_path, [workers.address], change=open_more_connections) as envoy:
        calls = await count_calls(envoy, workers, 80)

    assert len(calls) == 2
    assert min(calls) > 0
