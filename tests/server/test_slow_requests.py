"""Calls whose requests do not arrive whole end in time, and only so many of them are waited for."""

from typing import Any

import grpc
import pytest

from reasoning_grpc.v1 import completion_pb2
from tests.support.bad_requests import violations
from tests.support.call_log import recording_calls
from tests.support.factories import a_wire_request
from tests.support.garbage import finding_garbage
from tests.support.limits import bearer, limited_caller, limited_config
from tests.support.partial_call import encode_message, partial_call, start_without_request
from tests.support.serving import RunningServer, serving, serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure


async def test_a_call_that_sends_no_request_ends_in_time(upstream: FakeUpstream) -> None:
    """Its status names the limit, and asks for no retry."""
    async with serving_upstream(upstream, request_timeout_seconds=0.1) as running:
        failure = await expect_failure(start_without_request(running))
        await running.wait_for_calls(0)

    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert failure.violations == violations(
        ("request", "It had not arrived whole after 0.1 seconds, the longest time for that.")
    )
    assert failure.retry_after_seconds is None
    assert not upstream.requests


async def test_a_call_whose_last_byte_is_missing_ends_in_time(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The upstream is not called, and the log says why the call ended."""
    part = encode_message(a_wire_request().SerializeToString())[:-1]
    with recording_calls(caplog) as log:
        async with (
            serving_upstream(upstream, request_timeout_seconds=0.1) as running,
            partial_call(running.address) as call,
        ):
            call.send(part)
            answer = await call.read_answer()
            line = await log.wait_for_line()

    assert answer is None
    assert (line["code"], line["reason"]) == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE")
    assert not upstream.requests


async def test_a_request_that_arrives_in_parts_is_served(upstream: FakeUpstream) -> None:
    """The time limit is that of the whole request, however many parts it has."""
    upstream.reply("a")
    message = encode_message(a_wire_request().SerializeToString())
    async with serving_upstream(upstream) as running, partial_call(running.address) as call:
        call.send(message[:-1])
        await running.wait_for_calls(1)
        call.send(message[-1:], is_last=True)
        answer = await call.read_answer()

    assert answer is not None
    assert completion_pb2.CompleteResponse.FromString(answer).message.content[0].text == "a"


async def test_only_so_many_requests_are_waited_for(upstream: FakeUpstream) -> None:
    """They are as many as may be in flight and in the queue. One more call is refused, until one of them ends."""
    upstream.always.reply("a")
    async with serving_upstream(upstream, max_calls_in_flight=1, max_queued_calls=1) as running:
        stub: Any = running.stub
        async with partial_call(running.address) as first, partial_call(running.address) as second:
            for call in (first, second):
                call.send(encode_message(b"12345")[:-1])
            await running.wait_for_calls(2)

            refusals = [
                await expect_failure(stub.Complete(a_wire_request())),
                await expect_failure(start_without_request(running)),
            ]
            first.send(b"5", is_last=True)
            await first.read_answer()
            answer = await stub.Complete(a_wire_request())

    for refusal in refusals:
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
        assert refusal.retry_after_seconds is not None
    assert answer.message.content[0].text == "a"


@pytest.mark.parametrize("ends", ["connection", "cancellation"])
async def test_the_place_of_a_call_that_its_client_ends_is_given_back(upstream: FakeUpstream, ends: str) -> None:
    """A server with one place serves the next call, whose request arrives."""
    upstream.always.reply("a")
    async with serving_upstream(upstream, max_calls_in_flight=1, max_queued_calls=0) as running:
        stub: Any = running.stub
        if ends == "connection":
            async with partial_call(running.address):
                await running.wait_for_calls(1)
        else:
            silent = start_without_request(running)
            await running.wait_for_calls(1)
            silent.cancel()
        await running.wait_for_calls(0)

        answer = await stub.Complete(a_wire_request())

    assert answer.message.content[0].text == "a"


async def test_the_place_of_a_call_that_ends_in_time_is_given_back(upstream: FakeUpstream) -> None:
    """So is what the call has taken of its caller's limits."""
    upstream.always.reply("a")
    settings = {"max_calls_in_flight": 1, "max_queued_calls": 0, "request_timeout_seconds": 0.5}
    async with serving(limited_config(upstream, limited_caller(calls_in_flight=1), **settings)) as running:
        stub: Any = running.stub
        failure = await expect_failure(start_without_request(running, metadata=bearer("alice")))
        await running.wait_for_calls(0)

        answer = await stub.Complete(a_wire_request(), metadata=bearer("alice"))

    assert failure.reason == "REQUEST_TOO_LARGE"
    assert answer.message.content[0].text == "a"


async def test_a_call_that_sends_no_request_leaves_no_garbage(upstream: FakeUpstream) -> None:
    """What has ended it holds nothing of it in a circle."""

    async def let_it_end(running: RunningServer) -> None:
        for _ in range(2):  # grpc keeps the last call until the next one
            await expect_failure(start_without_request(running))
        await running.wait_for_calls(0)

    async with serving_upstream(upstream, request_timeout_seconds=0.1) as running:
        await let_it_end(running)

        with finding_garbage() as found:
            await let_it_end(running)

    assert found == set()
