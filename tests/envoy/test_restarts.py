"""One of two server processes behind Envoy is stopped, or killed, under load."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from tests.envoy.conftest import Pair
from tests.support.envoy import Envoy
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.server_process import wait_for_end
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_first_delta, read_to_end

pytestmark = [pytest.mark.envoy, pytest.mark.process]

CALLERS = 8
BARE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL}
"""How a call ends whose server was killed, which says nothing."""


class Load:
    """Callers that each make one unary call after the other."""

    def __init__(self, envoy: Envoy) -> None:
        self._envoy = envoy
        self._ending = False
        self.outcomes: Counter[str] = Counter()

    async def run(self) -> None:
        """Makes calls until the load ends."""
        while not self._ending:
            try:
                response = await self._envoy.stub.Complete(a_wire_request())
            except grpc.aio.AioRpcError as error:
                failure = CallFailed(error)
                self.outcomes[f"{failure.code.name} {failure.reason}".strip()] += 1
            else:
                assert response.message.content
                self.outcomes["OK"] += 1

    def end(self) -> None:
        """Lets each caller make no further call."""
        self._ending = True

    async def wait_for_calls(self, count: int) -> None:
        """Waits until this many more calls have ended."""
        last = self.outcomes.total() + count
        while self.outcomes.total() < last:
            await self._envoy.read_counts()


@asynccontextmanager
async def calling(envoy: Envoy) -> AsyncIterator[Load]:
    """Runs a load during the block, and waits for its last calls."""
    load = Load(envoy)
    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(load.run())
        yield load
        load.end()


async def test_a_stop_costs_no_call(upstream: FakeUpstream, pair: Pair) -> None:
    """From SIGTERM to the exit and beyond, each unary call is answered and paid for once; streams go on to the end."""
    gates = [upstream.gated("a", "b") for _ in range(4)]
    streams = [pair.envoy.stub.StreamComplete(a_stream_request()) for _ in gates]  # two at each server
    for gate in gates:
        gate.open()
    await asyncio.gather(*map(read_first_delta, streams))
    stopped = pair.servers[0]

    async with calling(pair.envoy) as load:
        await load.wait_for_calls(20)
        stopped.process.send_signal(signal.SIGTERM)
        await pair.envoy.wait_for_servers(1)
        await load.wait_for_calls(20)
        for gate in gates:
            gate.open_all()
        assert await wait_for_end(stopped.process) == 0
        await load.wait_for_calls(20)

    assert load.outcomes.keys() == {"OK"}
    for stream in streams:
        assert [event.WhichOneof("kind") for event in await read_to_end(stream)] == ["content_delta", "completed"]
    assert len(upstream.requests) == len(streams) + load.outcomes["OK"]
    assert {line["calls_cut"] for line in stopped.lines() if line["message"] == "stopped"} == {0}


async def test_a_kill_fails_only_what_had_begun(upstream: FakeUpstream, pair: Pair) -> None:
    """Streams of the killed server end at once, and unary calls fail only if a model was called; none is paid twice."""
    upstream.always.hang_after(1)
    streams = [pair.envoy.stub.StreamComplete(a_stream_request()) for _ in range(4)]  # two at each server
    await asyncio.gather(*map(read_first_delta, streams))
    upstream.always.reply("a")
    killed, other = pair.servers

    async with calling(pair.envoy) as load:
        await load.wait_for_calls(20)
        killed.process.kill()
        await wait_for_end(killed.process)
        await load.wait_for_calls(40)

    failed = {outcome: count for outcome, count in load.outcomes.items() if outcome != "OK"}
    assert failed.keys() <= {code.name for code in BARE}
    assert sum(failed.values()) <= CALLERS
    assert len(upstream.requests) <= len(streams) + load.outcomes.total()
    await upstream.disconnect(2)
    ended = [asyncio.ensure_future(stream.code()) for stream in streams]
    for code in islice(asyncio.as_completed(ended), 2):
        assert await code in BARE
    assert [code.done() for code in ended].count(True) == 2
    assert other.process.returncode is None
    for stream in streams:
        stream.cancel()
    await asyncio.wait(ended)
