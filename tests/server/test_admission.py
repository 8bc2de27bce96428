"""A full server refuses calls early and with a delay, and what it has admitted is served."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.telemetry import FactsRecord
from reasoning_grpc.v1 import classification_pb2, routing_pb2
from tests.support.classification import AUTO, REASONING
from tests.support.deadlines import let_deadline_pass, try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.health import SERVING, check_health
from tests.support.partial_call import start_without_request
from tests.support.serving import RunningServer, config_for, judging_config, model_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream, Gate
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end, start_every_call


async def hold_call(running: RunningServer, upstream: FakeUpstream, **options: Any) -> tuple[Any, Gate]:
    """Starts a stream that stays in flight until its gate is opened."""
    gate = upstream.gated("a")
    gate.open()
    stub: Any = running.stub
    stream = stub.StreamComplete(a_stream_request(), **options)
    await read_first_delta(stream)
    return stream, gate


def start_call(running: RunningServer, method: str, fields: dict[str, Any], **options: Any) -> Any:
    """Starts a call of this method with these fields of the request; a stream is read to its end."""
    stub: Any = running.stub
    if method == "StreamComplete":
        return read_to_end(stub.StreamComplete(a_stream_request(**fields), **options))
    request = a_wire_request(**fields)
    if method == "Classify":
        return stub.Classify(classification_pb2.ClassifyRequest(request=request), **options)
    return stub.Complete(request, **options)


def bearer(caller: str) -> tuple[tuple[str, str]]:
    """Returns the metadata with a caller's token, which is its name."""
    return (("authorization", f"Bearer {caller}"),)


async def test_a_full_server_refuses_every_method(upstream: FakeUpstream) -> None:
    """The status has a delay, the upstream is not called, and health goes on to be served."""
    async with serving_upstream(upstream, max_calls_in_flight=1, max_queued_calls=0) as running:
        stream, gate = await hold_call(running, upstream)

        refusals = [await expect_failure(call) for _, call in start_every_call(running.channel)]
        health = await check_health(running.channel)
        gate.open_all()
        await read_to_end(stream)

    assert len(refusals) == 4
    for refusal in refusals:
        assert refusal.code == grpc.StatusCode.UNAVAILABLE
        assert refusal.reason == "SERVER_OVERLOADED"
        assert refusal.retry_after_seconds is not None
        assert 0.5 <= refusal.retry_after_seconds <= 1.5
    assert health == SERVING
    assert len(upstream.requests) == 1


async def test_a_refused_call_is_logged_with_its_caller_and_its_ids(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused as it arrives, before grpc's own code begins it; and its line has what every call's has."""
    caplog.set_level("INFO", "reasoning_grpc.calls")
    config = config_for(model_entry(upstream.api_base), max_calls_in_flight=1, max_queued_calls=0)
    config = replace(config, callers={"alice": CallerEntry(name="alice", token_hash=hash_token("alice"))})
    async with serving(config) as running:
        stream, gate = await hold_call(running, upstream, metadata=bearer("alice"))
        stub: Any = running.stub
        metadata = (*bearer("alice"), ("x-request-id", "req_of_the_client"))
        failure = await expect_failure(stub.Complete(a_wire_request(), metadata=metadata))
        gate.open_all()
        await read_to_end(stream)

    (line,) = [
        record.facts for record in caplog.records if isinstance(record, FactsRecord) and "reason" in record.facts
    ]
    assert failure.request_id == "req_of_the_client"
    assert {name: line[name] for name in ("method", "code", "reason", "caller", "request_id")} == {
        "method": "Complete",
        "code": "UNAVAILABLE",
        "reason": "SERVER_OVERLOADED",
        "caller": "alice",
        "request_id": "req_of_the_client",
    }
    assert line["peer"].startswith("ipv4:127.0.0.1:")


async def test_a_full_server_still_asks_who_calls(upstream: FakeUpstream) -> None:
    """A caller without a valid token hears nothing of the load."""
    config = config_for(model_entry(upstream.api_base), max_calls_in_flight=1, max_queued_calls=0)
    config = replace(config, callers={"alice": CallerEntry(name="alice", token_hash=hash_token("alice"))})
    async with serving(config) as running:
        stream, gate = await hold_call(running, upstream, metadata=bearer("alice"))
        stub: Any = running.stub
        failures = [
            await expect_failure(stub.Complete(a_wire_request())),
            await expect_failure(stub.Complete(a_wire_request(), metadata=bearer("bob"))),
        ]
        gate.open_all()
        await read_to_end(stream)

    assert [failure.reason for failure in failures] == ["CREDENTIALS_MISSING", "CREDENTIALS_INVALID"]


async def test_a_refused_call_need_not_send_its_request(upstream: FakeUpstream) -> None:
    """The status comes while the client has sent nothing but headers, so a full server receives no long requests."""
    async with serving_upstream(upstream, max_calls_in_flight=1, max_queued_calls=0) as running:
        stream, gate = await hold_call(running, upstream)

        refusal = await expect_failure(start_without_request(running))
        gate.open_all()
        await read_to_end(stream)

    assert refusal.reason == "SERVER_OVERLOADED"


async def test_a_call_that_never_sends_its_request_takes_no_slot(upstream: FakeUpstream) -> None:
    """Another call is served meanwhile, and the silent one ends with its deadline."""
    upstream.always.reply("b")
    async with serving_upstream(upstream, max_calls_in_flight=1, max_queued_calls=1) as running:

        async def call_meanwhile(seconds: float) -> CallFailed | None:
            silent = asyncio.ensure_future(expect_failure(start_without_request(running, timeout=seconds)))
            await running.wait_until(lambda: silent.done() or running.server.calls_in_flight == 1)
            stub: Any = running.stub
            await stub.Complete(a_wire_request())
            was_served_meanwhile = not silent.done()
            await asyncio.wait({silent})
            await running.wait_for_calls(0)
            return silent.result() if was_served_meanwhile else None

        failure = await try_deadlines(call_meanwhile, least_seconds=0.1)

    assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_waits_a_moment_for_another_to_end(upstream: FakeUpstream) -> None:
    """It is served in its turn, and its timings say how long it waited."""
    async with serving_upstream(upstream, max_calls_in_flight=1, admission_queue_seconds=60.0) as running:
        stream, gate = await hold_call(running, upstream)
        upstream.reply("b")
        stub: Any = running.stub
        waiting = asyncio.ensure_future(stub.Complete(a_wire_request()))
        await running.wait_for_calls(2)
        gate.open_all()
        await read_to_end(stream)
        answer = await waiting

    assert answer.message.content[0].text == "b"
    assert answer.timings.queue_duration.ToMicroseconds() > 0


@pytest.mark.parametrize("method", ["Complete", "StreamComplete", "Classify"])
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="passthrough"),
        pytest.param(AUTO, id="classifier"),
        pytest.param({"routing": routing_pb2.RoutingOptions(mode=REASONING)}, id="agent"),
    ],
)
async def test_a_call_whose_deadline_passes_in_the_queue_is_never_sent(
    upstream: FakeUpstream, judge: FakeUpstream, method: str, fields: dict[str, Any]
) -> None:
    """The upstreams get only the call that was admitted, and the slot goes to the next one."""
    config = judging_config(upstream, judge)
    settings = replace(config.settings, max_calls_in_flight=1, admission_queue_seconds=60.0)
    async with serving(replace(config, settings=settings)) as running:
        stream, gate = await hold_call(running, upstream)

        failed = await let_deadline_pass(running, lambda seconds: start_call(running, method, fields, timeout=seconds))
        gate.open_all()
        await read_to_end(stream)
        upstream.reply("b")
        stub: Any = running.stub
        await stub.Complete(a_wire_request())

    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    assert len(upstream.requests) == 2
    assert judge.requests == []


async def test_callers_share_a_full_server(upstream: FakeUpstream) -> None:
    """A caller with many calls in flight and in the queue waits behind one with few."""
    callers = {name: CallerEntry(name=name, token_hash=hash_token(name)) for name in ("greedy", "modest")}
    config = config_for(
        model_entry(upstream.api_base), callers=callers, max_calls_in_flight=2, admission_queue_seconds=60.0
    )
    async with serving(config) as running:
        held = [await hold_call(running, upstream, metadata=bearer("greedy")) for _ in range(2)]
        stub: Any = running.stub
        order: list[str] = []

        async def complete(caller: str) -> None:
            upstream.reply("b")
            await stub.Complete(a_wire_request(), metadata=bearer(caller))
            order.append(caller)

        waiting = []
        for number, caller in enumerate(("greedy", "greedy", "modest")):
            waiting.append(asyncio.create_task(complete(caller)))
            await running.wait_for_calls(3 + number)
        for stream, gate in held:
            gate.open_all()
            await read_to_end(stream)
            if not order:
                await waiting[-1]
        await asyncio.gather(*waiting)

    assert order[0] == "modest"


async def test_a_full_queue_refuses_the_lowest_priority(upstream: FakeUpstream) -> None:
    """A call of a caller with a higher priority takes the place of one that waits, and is served first."""
    callers = {
        name: CallerEntry(name=name, token_hash=hash_token(name), priority=priority)
        for name, priority in (("batch", 1), ("people", 9))
    }
    config = config_for(
        model_entry(upstream.api_base),
        callers=callers,
        max_calls_in_flight=1,
        max_queued_calls=1,
        admission_queue_seconds=60.0,
    )
    async with serving(config) as running:
        stream, gate = await hold_call(running, upstream, metadata=bearer("batch"))
        upstream.reply("b")
        stub: Any = running.stub
        waiting = asyncio.create_task(expect_failure(stub.Complete(a_wire_request(), metadata=bearer("batch"))))
        await running.wait_for_calls(2)
        served = asyncio.ensure_future(stub.Complete(a_wire_request(), metadata=bearer("people")))
        refused = await waiting
        refused_too = await expect_failure(stub.Complete(a_wire_request(), metadata=bearer("batch")))
        gate.open_all()
        await read_to_end(stream)
        answer = await served

    assert [refused.reason, refused_too.reason] == ["SERVER_OVERLOADED", "SERVER_OVERLOADED"]
    assert answer.message.content[0].text == "b"


async def test_a_burst_on_one_connection_leaves_no_call_without_a_reason(upstream: FakeUpstream) -> None:
    """Each of 1,500 calls at once is served or refused as SERVER_OVERLOADED; gRPC's core ends none of them."""
    gate = upstream.always.gated("b")
    async with serving_upstream(upstream, max_calls_in_flight=20, max_queued_calls=20) as running:
        stub: Any = running.stub

        async def complete() -> str:
            try:
                await stub.Complete(a_wire_request())
            except grpc.aio.AioRpcError as error:
                return CallFailed(error).reason or error.code().name
            return "OK"

        outcomes = Counter[str]()
        for call in asyncio.as_completed([complete() for _ in range(1500)]):
            outcomes[await call] += 1
            if outcomes.total() == 1480:  # all others are in flight
                gate.open_all()

    assert outcomes == {"OK": 20, "SERVER_OVERLOADED": 1480}
