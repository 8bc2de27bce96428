"""Runs that pause in one worker go on in another, without a configured key, and each state goes on once in all."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import plan_call, write_plan
from tests.support.pausing import continue_request, request_with_own_tools
from tests.support.upstream import FakeUpstream
from tests.support.workers import RunningWorkers, are_serving, create_folder, hold_calls, serving_workers

pytestmark = pytest.mark.process


@asynccontextmanager
async def connected_to_each(
    running: RunningWorkers, upstream: FakeUpstream
) -> AsyncIterator[dict[int, ReasoningClient]]:
    """Provides a client of each of two workers, by the id of the worker's process."""
    async with AsyncExitStack() as stack:
        held = await hold_calls(running, upstream, stack)
        for call in [call for calls in held.values() for call in calls]:
            call.gate.open_all()
            await call.answer
        yield {process_id: calls[0].client for process_id, calls in held.items()}


async def pause(client: ReasoningClient, upstream: FakeUpstream) -> completion_pb2.CompleteRequest:
    """Lets a run pause, and returns the request that goes on with it."""
    upstream.reply(write_plan(plan_call("lookup", id="7")))
    request = request_with_own_tools()
    return continue_request(request, (await client.complete(request)).message, "Ada")


async def go_on(client: ReasoningClient, upstream: FakeUpstream, request: completion_pb2.CompleteRequest) -> str:
    """Goes on with a run, and returns its answer."""
    upstream.reply(write_plan())
    upstream.reply("Ada.")
    return (await client.complete(request)).message.content[0].text


async def test_a_run_goes_on_in_another_worker_and_once_in_all(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Another worker opens the state, and then neither of the two lets it go on again."""
    folder = create_folder(tmp_path, upstream)

    async with serving_workers(folder) as running, connected_to_each(running, upstream) as clients:
        first, second = clients.values()
        request = await pause(first, upstream)
        answer = await go_on(second, upstream, request)
        failures = []
        for client in (first, second):
            with pytest.raises(CallFailed) as failed:
                await client.complete(request)
            failures.append(failed.value)

    assert answer == "Ada."
    for failure in failures:
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        (violation,) = failure.violations
        assert violation.description == "It has gone on already; send the conversation again without it."
    workers = [line["worker"] for line in running.lines("call")][-4:]
    assert workers[0] != workers[1]
    assert workers[2:] == workers[:2]


async def test_a_run_goes_on_after_its_worker_has_died(tmp_path: Path, upstream: FakeUpstream) -> None:
    """A worker that takes the place of another one has the key, and knows which states have gone on."""
    folder = create_folder(tmp_path, upstream)

    async with serving_workers(folder) as running, connected_to_each(running, upstream) as clients:
        (dying, client), _ = clients.items()
        used, unused = await pause(client, upstream), await pause(client, upstream)
        assert await go_on(client, upstream, used) == "Ada."
        os.kill(dying, signal.SIGKILL)
        await running.wait_for_workers(are_serving(2, without=dying))
        async with connected_to_each(running, upstream) as after:
            (new,) = (after[process_id] for process_id in after.keys() - clients.keys())
            answer = await go_on(new, upstream, unused)
            with pytest.raises(CallFailed) as failed:
                await new.complete(used)

    assert answer == "Ada."
    assert failed.value.reason == "INVALID_FIELD"
