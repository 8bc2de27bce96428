"""Each caller is kept within its limits, learns what is left of them, and takes nothing from anybody else."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import messages_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.limits import bearer, limited_caller, limited_config, read_limits, read_limits_of
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end, start_every_call


def complete(running: RunningServer, caller: str = "alice", text: str = "hi", **fields: Any) -> Any:
    """Starts a call of `Complete`."""
    stub: Any = running.stub
    return stub.Complete(a_wire_request(text, **fields), metadata=bearer(caller))


def stream(running: RunningServer, caller: str = "alice", text: str = "hi", **fields: Any) -> Any:
    """Starts a call of `StreamComplete`."""
    stub: Any = running.stub
    return stub.StreamComplete(a_stream_request(text, **fields), metadata=bearer(caller))


async def test_requests_a_minute_are_limited(upstream: FakeUpstream) -> None:
    """Calls of every method count. The one too many ends as CALLER_LIMIT, and no upstream hears of it."""
    config = limited_config(upstream, limited_caller(requests_per_minute=4))
    async with serving(config) as running:
        for _, call in start_every_call(running.channel, metadata=bearer("alice")):
            await call
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await complete(running)

    failed = CallFailed(refused.value)
    assert (failed.code, failed.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLER_LIMIT")
    assert failed.message == 'The caller has reached its limit "requests_per_minute", which is 4.'
    assert failed.metadata == {"limit": "requests_per_minute", "maximum": "4"}
    assert failed.retry_after_seconds is not None
    assert 0 < failed.retry_after_seconds <= 15
    assert failed.interruption is None
    (quota,) = read_details(refused.value, error_details_pb2.QuotaFailure)
    assert [(each.subject, each.description) for each in quota.violations] == [("caller", failed.message)]
    assert "grpc-retry-pushback-ms" not in dict(refused.value.trailing_metadata() or ())
    assert len(upstream.requests) == 2  # of `Complete` and `StreamComplete`


def read_details(error: grpc.aio.AioRpcError, kind: Any) -> list[Any]:
    """Returns the details of one type."""
    status = Status.FromString(dict(error.trailing_metadata() or ())["grpc-status-details-bin"])
    found = []
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            found.append(detail)
    return found


async def test_trailers_say_what_is_left(upstream: FakeUpstream) -> None:
    """Every call of a caller with limits, also one that fails, says what is left and when all of it is renewed."""
    caller = limited_caller(requests_per_minute=60, tokens_per_minute=6000, calls_in_flight=3, nano_usd_per_day=10**9)
    async with serving(limited_config(upstream, caller)) as running:
        first = await read_limits_of(complete(running))
        second = await read_limits_of(stream(running))
        third = await read_limits_of(complete(running, model="unknown"))

    assert first.pop("reset-usd") <= 86_400
    assert first.pop("reset-requests") == pytest.approx(1, abs=0.9)
    assert first.pop("reset-tokens") == pytest.approx(0.18, abs=0.18)
    assert first == {
        "limit-requests": 60,
        "remaining-requests": 59,
        "limit-calls": 3,
        "remaining-calls": 3,
        "limit-tokens": 6000,
        "remaining-tokens": pytest.approx(5982, abs=18),
        "limit-usd": 1,
        "remaining-usd": 0.999975,
    }
    assert second["remaining-usd"] == 0.99995
    assert third["remaining-usd"] == 0.99995
    assert 57 <= third["remaining-requests"] <= 59


async def test_a_caller_without_limits_gets_no_trailers(upstream: FakeUpstream) -> None:
    """The trailers of a call whose caller has no limits name none."""
    config = limited_config(upstream, limited_caller("free"), limited_caller(requests_per_minute=1))
    async with serving(config) as running:
        assert await read_limits_of(complete(running, "free")) == {}


@pytest.mark.parametrize("ends", ["whole", "cancelled", "refused"])
async def test_calls_in_flight_are_limited(upstream: FakeUpstream, ends: str) -> None:
    """The place of a call is free again however it ends; a call of another caller is not in the way."""
    callers = limited_caller(calls_in_flight=1), limited_caller("bob", calls_in_flight=1)
    async with serving(limited_config(upstream, *callers)) as running:
        gate = upstream.gated("a")
        gate.open()
        held = stream(running)
        await read_first_delta(held)
        failed = await expect_failure(complete(running))
        upstream.reply("b")
        await complete(running, "bob")
        if ends == "cancelled":
            held.cancel()
            await running.wait_for_calls(0)
        else:
            gate.open_all()
            await read_to_end(held)
        if ends == "refused":
            await expect_failure(complete(running, model="unknown"))
        upstream.reply("c")
        await complete(running)

    assert failed.reason == "CALLER_LIMIT"
    assert failed.metadata == {"limit": "calls_in_flight", "maximum": "1"}
    assert failed.retry_after_seconds is not None
    assert 0.5 <= failed.retry_after_seconds <= 1.5


async def test_a_refused_call_is_logged_with_its_caller(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of a call over a limit names the caller and the reason."""
    caplog.set_level("INFO", "reasoning_grpc.calls")
    async with serving(limited_config(upstream, limited_caller(requests_per_minute=1))) as running:
        await complete(running)
        await expect_failure(complete(running))

    lines = [record.__dict__ for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert [(line["caller"], line["code"], line.get("reason")) for line in lines] == [
        ("alice", "OK", None),
        ("alice", "RESOURCE_EXHAUSTED", "CALLER_LIMIT"),
    ]


async def test_trailers_fit_beside_the_longest_status(upstream: FakeUpstream) -> None:
    """The status of a request with a thousand mistakes reaches its caller together with the trailers of every limit."""
    caller = limited_caller(
        requests_per_minute=2**31 - 1,
        tokens_per_minute=2**31 - 1,
        calls_in_flight=2**31 - 1,
        nano_usd_per_day=999_999_123_456_789,
    )
    request = a_wire_request(messages=[messages_pb2.Message()] * 1000, request_id="r" * 128)
    async with serving(limited_config(upstream, caller)) as running:
        stub: Any = running.stub
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Complete(request, metadata=bearer("alice"))

    failed = CallFailed(refused.value)
    assert failed.reason == "INVALID_FIELD"
    assert len(failed.violations) >= 10
    assert len(read_limits(refused.value.trailing_metadata())) == 11
