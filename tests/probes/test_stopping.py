"""What a kubelet does with a container whose server drains, or some of whose processes have died."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.server.server import LIVENESS, READINESS
from tests.support.commands import PATIENCE_SECONDS
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_wire_request
from tests.support.held_imports import WORKER_MODULE, HeldImport
from tests.support.kubelet import SOON_SECONDS, Action, Answer, Kubelet
from tests.support.server_process import list_stops, wait_for_end
from tests.support.upstream import FakeUpstream
from tests.support.workers import are_serving, create_folder, serving_workers, wait_until_closed

pytestmark = [pytest.mark.probes, pytest.mark.process]

NOT_READY = [Answer.SERVING, Answer.NOT_SERVING]
"""The answers about liveness and readiness of a server that lives, and takes no calls from a load balancer."""


@dataclass(frozen=True)
class Drain:
    """What happened while a server drained."""

    while_accepting: list[Answer]
    while_refusing: list[Answer]
    refusal: str
    held: str
    """The answer to the call that was in progress all the time."""
    exit_code: int
    stops: list[tuple[str, int]]
    after: Answer


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_draining_server_is_left_alone(upstream: FakeUpstream, tmp_path: Path, workers: str) -> None:
    """From SIGTERM to its end a server is alive and not ready: it accepts late calls at first, and then refuses them.

    So a kubelet that still probes does not restart it, whether its calls end soon or late.
    """
    folder = create_folder(tmp_path, upstream)

    async def drain(delay_seconds: float) -> Drain | None:
        upstream.forget()
        async with AsyncExitStack() as stack:
            options = {"drain_delay_seconds": str(delay_seconds)}
            running = await stack.enter_async_context(serving_workers(folder, workers, **options))
            client = await stack.enter_async_context(running.client(retries=False))
            kubelet = Kubelet(running.health_address())
            await kubelet.wait_for(Action.SEND_CALLS)
            gate = upstream.gated("Hel", "lo")
            held = asyncio.create_task(client.complete(a_wire_request()))
            await upstream.request()

            running.server.process.send_signal(signal.SIGTERM)
            await kubelet.wait_for(Action.SEND_NO_CALLS)
            while_accepting = [await kubelet.probe(name) for name in (LIVENESS, READINESS)]
            was_accepted = not await find_refusal(client)
            refusal = await wait_for_refusal(client)
            while_refusing = [await kubelet.probe(name) for name in (LIVENESS, READINESS)]
            gate.open_all()
            text = (await held).message.content[0].text
            code = await wait_for_end(running.server.process)

            after = await Kubelet(running.health_address(), timeout_seconds=SOON_SECONDS).probe(LIVENESS)
            stops = list_stops(running.server)
            drained = Drain(while_accepting, while_refusing, refusal, text, code, stops, after)
            return drained if was_accepted else None

    drained = await try_deadlines(drain, least_seconds=2.0)

    assert drained.while_accepting == NOT_READY
    assert drained.while_refusing == NOT_READY
    assert drained.refusal == "SERVER_SHUTTING_DOWN"
    assert (drained.held, drained.exit_code) == ("Hello", 0)
    assert drained.stops == [("info", 0)] * int(workers)
    assert drained.after is Answer.NOT_CONNECTED


async def find_refusal(client: ReasoningClient) -> str:
    """Makes a call, and returns the reason of its failure; empty: it was answered."""
    try:
        await client.complete(a_wire_request())
    except CallFailed as failure:
        return failure.reason
    return ""


async def wait_for_refusal(client: ReasoningClient) -> str:
    """Makes calls until one fails, and returns its reason."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (reason := await find_refusal(client)):
            pass
    return reason


async def test_a_dead_worker_is_the_servers_own_affair(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A server stays ready while one worker is left, and alive when none is: it replaces them, and not the kubelet."""
    starting = HeldImport.create(tmp_path, WORKER_MODULE)
    async with serving_workers(starting.apply(create_folder(tmp_path, upstream))) as running:
        kubelet = Kubelet(running.health_address())
        await kubelet.wait_for(Action.SEND_CALLS)
        first, second = [worker["process_id"] for worker in await running.describe()]
        starting.hold()

        os.kill(first, signal.SIGKILL)
        await running.wait_for_workers(lambda workers: [each["process_id"] for each in workers] == [second])
        without_one = await kubelet.decide()
        os.kill(second, signal.SIGKILL)
        await kubelet.wait_for(Action.SEND_NO_CALLS)
        without_any = [await kubelet.probe(name) for name in (LIVENESS, READINESS)]
        starting.release()
        await kubelet.wait_for(Action.SEND_CALLS)
        replaced = await running.wait_for_workers(are_serving(2))

    assert without_one is Action.SEND_CALLS
    assert without_any == NOT_READY
    assert not {first, second} & {worker["process_id"] for worker in replaced}


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_that_is_killed_answers_no_probe(upstream: FakeUpstream, tmp_path: Path, workers: str) -> None:
    """The health port closes with the server's first process, whose end is that of the container."""
    async with serving_workers(create_folder(tmp_path, upstream, grace_seconds="0"), workers) as running:
        kubelet = Kubelet(running.health_address(), timeout_seconds=SOON_SECONDS)
        await kubelet.wait_for(Action.SEND_CALLS)

        running.server.process.kill()
        await wait_for_end(running.server.process)
        await wait_until_closed(running.health_address())

        assert await kubelet.probe(LIVENESS) is Answer.NOT_CONNECTED
        assert await kubelet.decide() is Action.RESTART
