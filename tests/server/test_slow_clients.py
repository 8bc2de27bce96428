"""Clients that stop reading, that are killed and that freeze hold their streams and upstreams for a bounded time."""

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from scripts.pages import ROOT
from tests.support.commands import build_environment
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.process

LARGE_DELTA: Final = "x" * 100_000
LARGE_DELTAS: Final = 300
"""The deltas of an answer of 30 MB."""
MOST_BYTES_WRITTEN: Final = 400_000
"""What gRPC takes for the stalled client: its window and gRPC's write buffer have 64 KB each. One delta waits."""
MOST_BYTES_SENT: Final = 10_000_000
"""What the upstream may have sent: also the buffers of its connection, of which Linux fills 4 MB by default."""


@asynccontextmanager
async def stalled_client(running: RunningServer, kind: str = "stream") -> AsyncIterator[Process]:
    """Starts a client process that begins a call of this kind and reads no more, and kills it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.stalled_client",
        running.address,
        kind,
        cwd=ROOT,
        env=build_environment({}),
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"reads no more\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_client_that_stops_reading_is_given_up(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The write timer ends the stream and its upstream, although the client still answers pings.

    Of an answer of 30 MB the server reads no more than it can write.
    """
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")
    gate = upstream.gated("a", *[LARGE_DELTA] * LARGE_DELTAS)
    gate.open()
    async with serving_upstream(upstream, write_timeout_seconds=0.2) as running, stalled_client(running):
        gate.open_all()
        await upstream.disconnect()
        await running.wait_for_calls(0)

    (record,) = caplog.records
    facts = vars(record)
    assert (facts["code"], facts["reason"]) == ("CANCELLED", "CLIENT_STALLED")
    large_deltas = facts["events"] - len(["started", "a"])
    assert 0 < large_deltas * len(LARGE_DELTA) <= MOST_BYTES_WRITTEN
    assert gate.steps_sent * len(LARGE_DELTA) <= MOST_BYTES_SENT


EVERY_KIND: Final = pytest.mark.parametrize("kind", ["stream", "unary", "agent"])


@EVERY_KIND
async def test_a_killed_client_is_noticed(upstream: FakeUpstream, kind: str) -> None:
    """The end of its connection ends the call, and the upstream is left."""
    upstream.gated("a").open()
    async with serving_upstream(upstream) as running, stalled_client(running, kind) as client:
        await upstream.request()
        client.kill()

        await upstream.disconnect()
        await running.wait_for_calls(0)


@EVERY_KIND
async def test_a_frozen_client_is_noticed(upstream: FakeUpstream, kind: str) -> None:
    """A client whose process stands still answers no pings, so its connection is closed, with all its calls."""
    upstream.gated("a").open()
    settings = {"keepalive_seconds": 1.0, "keepalive_timeout_seconds": 0.2}
    async with serving_upstream(upstream, **settings) as running, stalled_client(running, kind) as client:
        await upstream.request()
        client.send_signal(signal.SIGSTOP)

        await upstream.disconnect()
        await running.wait_for_calls(0)
