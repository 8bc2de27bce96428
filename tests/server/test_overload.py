"""A server under several times the calls that it can serve stays within its bounds, and nothing is left afterwards."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.agent import reasoning_request
from tests.support.classification import AUTO
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_wire_request
from tests.support.health import SERVING, check_health
from tests.support.serving import RunningServer, judging_config, serving, serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream, Standing
from tests.support.wire_calls import read_to_end

Finish = Callable[[RunningServer, completion_pb2.CompleteRequest, float | None], Coroutine[Any, Any, None]]


async def complete(
    running: RunningServer, request: completion_pb2.CompleteRequest, deadline_seconds: float | None
) -> None:
    """Makes a unary call."""
    stub: Any = running.stub
    await stub.Complete(request, timeout=deadline_seconds)


async def stream(
    running: RunningServer, request: completion_pb2.CompleteRequest, deadline_seconds: float | None
) -> None:
    """Reads a stream to its end."""
    stub: Any = running.stub
    events = await read_to_end(
        stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request), timeout=deadline_seconds)
    )
    assert events[-1].WhichOneof("kind") == "completed"


METHODS: Final[tuple[Finish, ...]] = (complete, stream)
REQUESTS: Final = (a_wire_request(), a_wire_request(**AUTO), reasoning_request())
"""Requests for an answer alone, for the classifier and for the agent."""


@asynccontextmanager
async def recording_most(upstream: FakeUpstream) -> AsyncIterator[Counter[str]]:
    """Records the most connections and the most requests in progress at the arrival of any request."""
    most = Counter[str]()

    async def record() -> None:
        for number in itertools.count(1):
            await upstream.request(number)
            most["connections"] = max(most["connections"], upstream.open_connections)
            most["active"] = max(most["active"], upstream.active)

    async with asyncio.TaskGroup() as tasks:
        recording = tasks.create_task(record())
        yield most
        recording.cancel()


async def test_five_times_the_capacity_is_refused_early(upstream: FakeUpstream) -> None:
    """A full queue refuses calls of both methods with a pushback, health answers, and what was admitted is served."""
    gate = upstream.always.gated("a")
    capacity = 8
    settings = {"max_calls_in_flight": capacity, "max_queued_calls": capacity, "admission_queue_seconds": 10.0}
    async with recording_most(upstream) as most, serving_upstream(upstream, **settings) as running:
        refusals: list[grpc.aio.AioRpcError] = []

        async def call(number: int) -> bool:
            try:
                await METHODS[number % 2](running, a_wire_request(), None)
            except grpc.aio.AioRpcError as error:
                refusals.append(error)
                return False
            return True

        outcomes = Counter[bool]()
        for ended in asyncio.as_completed([call(number) for number in range(5 * capacity)]):
            outcomes[await ended] += 1
            if outcomes[False] == 3 * capacity and not outcomes[True]:  # all others are in flight or wait
                in_flight = running.server.calls_in_flight
                health = await check_health(running.channel)
                gate.open_all()

    assert outcomes == {True: 2 * capacity, False: 3 * capacity}
    assert in_flight == 2 * capacity
    assert health == SERVING
    assert most["active"] <= capacity
    for error in refusals:
        failure = CallFailed(error)
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
        pushback = dict(error.trailing_metadata() or ())["grpc-retry-pushback-ms"]
        assert int(pushback) > 0
        assert failure.retry_after_seconds == pytest.approx(int(pushback) / 1000, abs=0.002)


@pytest.mark.slow
async def test_a_thousand_random_deadlines_leave_nothing_behind(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Each call is answered, refused or ended by its deadline; connections stay within the pool, and all is given back.

    A third of the requests meet an upstream that never answers, a third one that stops within its answer. Afterwards
    every kind of call is answered.
    """
    pool, dice = 20, random.Random(16)
    silent, stopping, answering = Standing(), Standing(), Standing()
    silent.hang()
    stopping.hang_after(2)
    answering.reply("a", "b")
    for fake in (upstream, judge):
        fake.always.choose(lambda _: dice.choice((silent, stopping, answering)))
    config = judging_config(upstream, judge)
    config = replace(config, settings=replace(config.settings, max_upstream_connections=pool))
    tasks_before = len(asyncio.all_tasks())

    async with recording_most(upstream) as most, recording_most(judge) as most_of_judge, serving(config) as running:

        async def call(number: int, longest_seconds: float) -> str:
            method, request = METHODS[number % 2], REQUESTS[number % 3]
            try:
                await method(running, request, dice.uniform(0.001, longest_seconds))
            except grpc.aio.AioRpcError as error:
                return CallFailed(error).reason or error.code().name
            return "OK"

        async def call_often(longest_seconds: float) -> Counter[str] | None:
            outcomes = Counter(await asyncio.gather(*(call(number, longest_seconds) for number in range(1000))))
            return outcomes if most["connections"] and most_of_judge["connections"] else None

        outcomes = await try_deadlines(call_often, least_seconds=2.0)
        await upstream.idle()
        await judge.idle()
        await running.wait_for_calls(0)
        health = await check_health(running.channel)
        upstream.always.reply("a")
        judge.always.reply("a")
        for method, request in itertools.product(METHODS, REQUESTS):
            await method(running, request, None)

    assert set(outcomes) <= {"OK", "DEADLINE_EXCEEDED", "UPSTREAM_OVERLOADED", "SERVER_OVERLOADED"}
    assert outcomes["DEADLINE_EXCEEDED"] > 0
    assert health == SERVING
    # The server may reuse the place of a closed connection before the fake upstream has seen its end.
    assert most["connections"] + most_of_judge["connections"] <= 2 * pool
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(asyncio.all_tasks()) > tasks_before:  # noqa: ASYNC110 - the fake upstreams close their connections
            await asyncio.sleep(0)
