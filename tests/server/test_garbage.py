"""A call that ends leaves nothing which only the garbage collector could free.

What holds itself in a circle stays for thousands of calls, with the request, the answer and gRPC's own call in it.
"""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import models_pb2, routing_pb2
from tests.support.classification import AUTO, REASONING
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.garbage import finding_garbage
from tests.support.serving import RunningServer, config_for, judging_config, model_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream, refusing_api_base
from tests.support.upstream_faults import FAULTS
from tests.support.wire_calls import read_first_delta, read_to_end


async def make_calls(running: RunningServer, **fields: Any) -> None:
    """Makes two calls of both RPCs, whatever comes of them. grpc keeps the last call of each until the next one."""
    stub: Any = running.stub
    for _ in range(2):
        with suppress(grpc.aio.AioRpcError):
            await stub.Complete(a_wire_request(**fields))
        with suppress(grpc.aio.AioRpcError):
            await read_to_end(stub.StreamComplete(a_stream_request(**fields)))
    await let_calls_end(running)


async def let_calls_end(running: RunningServer) -> None:
    """Returns when the server has done with earlier calls: a client learns of their ends a moment before."""
    stub: Any = running.stub
    await stub.ListModels(models_pb2.ListModelsRequest())
    while running.server.calls_in_flight:
        await stub.ListModels(models_pb2.ListModelsRequest())


async def test_an_answered_call_leaves_no_garbage(running_server: RunningServer) -> None:
    """Neither a whole answer nor a stream does."""
    await make_calls(running_server)

    with finding_garbage() as found:
        await make_calls(running_server)

    assert found == set()


@pytest.mark.parametrize("case", FAULTS)
async def test_a_failed_attempt_leaves_no_garbage(upstream: FakeUpstream, case: str) -> None:
    """No fault of an upstream does, whether it ends the call or another attempt follows."""
    fault = FAULTS[case]
    async with serving_upstream(upstream, **fault.limit_time(0.5)) as running:
        await make_calls(running)
        fault.misbehave(upstream.always)

        with finding_garbage() as found:
            await make_calls(running)

    assert found == set()


async def test_a_refused_connection_leaves_no_garbage(upstream: FakeUpstream) -> None:
    """The fallback model answers."""
    with refusing_api_base() as api_base:
        entries = model_entry(api_base, fallback_models=("other",)), model_entry(upstream.api_base, "other")
        async with serving(config_for(*entries)) as running:
            await make_calls(running)

            with finding_garbage() as found:
                await make_calls(running)

    assert found == set()


@pytest.mark.parametrize(
    "fields",
    [{"model": "unknown"}, {"model": "fake", "routing": routing_pb2.RoutingOptions(mode=REASONING)}, {"messages": []}],
    ids=["unknown model", "agent", "invalid"],
)
async def test_other_calls_leave_no_garbage(running_server: RunningServer, fields: dict[str, Any]) -> None:
    """Refused calls, and calls of an agent whose model plans nothing that is valid, leave none."""
    await make_calls(running_server, **fields)

    with finding_garbage() as found:
        await make_calls(running_server, **fields)

    assert found == set()


@pytest.mark.parametrize("queue_seconds", [0.0, 0.01], ids=["at once", "after a wait"])
async def test_a_call_refused_by_a_full_server_leaves_no_garbage(upstream: FakeUpstream, queue_seconds: float) -> None:
    """A server that refuses a thousand calls a second would stop for a tenth of a second to collect them."""
    gate = upstream.always.gated("a")
    settings = {"max_calls_in_flight": 1, "admission_queue_seconds": queue_seconds}
    async with serving_upstream(upstream, **settings) as running, asyncio.TaskGroup() as tasks:
        stub: Any = running.stub
        answer = tasks.create_task(read_to_end(stub.StreamComplete(a_stream_request())))
        await running.wait_for_calls(1)
        reasons = set()

        async def be_refused() -> None:
            for _ in range(2):  # grpc keeps the last call until the next one
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.Complete(a_wire_request())
                reasons.add(CallFailed(caught.value).reason)

        await be_refused()

        with finding_garbage() as found:
            await be_refused()
        gate.open_all()
        await answer

    assert reasons == {"SERVER_OVERLOADED"}
    assert found == set()


async def test_a_failed_classifier_leaves_no_garbage(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The call goes on without it."""
    judge.always.body(b'{"choices": [{')
    async with serving(judging_config(upstream, judge)) as running:
        await make_calls(running, **AUTO)

        with finding_garbage() as found:
            await make_calls(running, **AUTO)

    assert found == set()


@pytest.mark.parametrize("ends", ["cancelled", "deadline"])
async def test_a_call_that_its_client_ends_leaves_no_garbage(upstream: FakeUpstream, ends: str) -> None:
    """Neither a cancelled stream does, nor one whose deadline passes."""
    upstream.always.hang_after(1)
    async with serving_upstream(upstream) as running:
        stub: Any = running.stub

        async def cut(seconds: float) -> bool | None:
            stream = stub.StreamComplete(a_stream_request(), timeout=seconds if ends == "deadline" else None)
            has_begun = None
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await read_first_delta(stream)
                has_begun = True
                if ends == "cancelled":
                    stream.cancel()
                await read_to_end(stream)
            await upstream.idle()
            await let_calls_end(running)
            return has_begun

        async def end_early() -> None:
            await try_deadlines(cut, least_seconds=0.1)

        await end_early()

        with finding_garbage() as found:
            await end_early()
            await end_early()

    assert found == set()
