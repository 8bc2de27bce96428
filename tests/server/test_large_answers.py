"""A unary call counts as in flight until its client has taken the answer, and no longer than the write timer allows."""

import asyncio
import logging
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from tests.server.test_slow_clients import stalled_client
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.process

_PIECE = "x" * 100_000
_PIECES = 200
_ANSWER_BYTES = len(_PIECE) * _PIECES
"""20 MB: more than the buffers of both sides hold."""


@asynccontextmanager
async def _frozen_client(upstream: FakeUpstream, running: RunningServer) -> AsyncIterator[Process]:
    """Starts a client and stops its process while its call waits for the upstream, which then answers to the end."""
    gate = upstream.gated(*[_PIECE] * _PIECES)
    async with stalled_client(running, "unary") as client:
        await upstream.request()
        client.send_signal(signal.SIGSTOP)
        gate.open_all()
        yield client


async def _read_size(client: Process) -> int:
    """Lets the client's process go on, and returns the bytes of the answer that it then reads."""
    client.send_signal(signal.SIGCONT)
    assert client.stdout is not None
    return int((await client.stdout.readline()).split()[0])


async def test_a_client_that_does_not_read_its_answer_is_given_up(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The call has ended well for all that the server can know, so its own line says OK, and a second one the rest."""
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")
    async with (
        serving_upstream(upstream, write_timeout_seconds=0.2) as running,
        _frozen_client(upstream, running),
    ):
        await running.wait_until(lambda: bool(caplog.records))
        await running.wait_for_calls(0)

    call, stalled = map(vars, caplog.records)
    assert (call["message"], call["code"]) == ("call", "OK")
    assert (stalled["message"], stalled["method"]) == ("client stalled", "Complete")
    assert stalled["request_id"] == call["request_id"]


async def test_an_answer_that_is_not_read_keeps_its_place(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise the answers of clients that do not read would fill the memory, whatever the bound of the calls is."""
    caplog.set_level(logging.INFO, "reasoning_grpc.calls")
    async with (
        serving_upstream(upstream, max_calls_in_flight=1, admission_queue_seconds=0.0) as running,
        _frozen_client(upstream, running) as client,
    ):
        await running.wait_until(lambda: bool(caplog.records))

        stub: Any = running.stub
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.Complete(a_wire_request())
        assert CallFailed(refusal.value).reason == "SERVER_OVERLOADED"

        assert await _read_size(client) > _ANSWER_BYTES
        await running.wait_for_calls(0)


async def test_a_drain_waits_for_an_answer_that_is_being_written(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A model has been paid for it. A client that reads within the grace has all of it."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    async with serving_upstream(upstream) as running, _frozen_client(upstream, running) as client:
        await running.wait_until(lambda: any(record.message == "call" for record in caplog.records))

        stopping = asyncio.create_task(running.server.stop(grace_seconds=60.0))
        await running.wait_until(lambda: any(record.message == "draining" for record in caplog.records))
        assert not stopping.done()

        assert await _read_size(client) > _ANSWER_BYTES
        assert await stopping == 0
