"""A call that its caller ends disconnects the upstream, and the log says how the call ended."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import events_pb2
from tests.support.call_log import CallLog, recording_calls
from tests.support.checked_server import EVERY_PROTOCOL
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.leftovers import leaving_nothing_behind
from tests.support.serving import RunningServer, config_for, provider_entry, serving, serving_upstream
from tests.support.unread_stream import unread_stream
from tests.support.upstream import FakeUpstream, Gate

pytestmark = pytest.mark.thorough


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> str:
    """Returns litellm's prefix of the server's model."""
    return str(getattr(request, "param", "openai"))


@pytest.fixture
async def running_server(upstream: FakeUpstream, provider: str) -> AsyncIterator[RunningServer]:
    """Runs a server whose one model is the fake upstream, with the protocol of this provider.

    At the end it checks that the test's calls have left nothing behind.
    """
    async with leaving_nothing_behind(), serving(config_for(provider_entry(upstream, provider))) as running:
        yield running


@pytest.fixture
def call_log(caplog: pytest.LogCaptureFixture) -> Iterator[CallLog]:
    """Collects the log lines of calls during the test."""
    with recording_calls(caplog) as log:
        yield log


async def read_kinds(call: AsyncIterator[events_pb2.StreamCompleteResponse]) -> list[str | None]:
    """Returns the kinds of all events of a stream."""
    return [event.WhichOneof("kind") async for event in call]


HANGS: Final = pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(lambda fake: fake.hang(), id="before-headers"),
        pytest.param(lambda fake: fake.hang_after(0), id="before-the-first-chunk"),
    ],
)


@EVERY_PROTOCOL
@HANGS
@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_cancelling_a_silent_call_disconnects_the_upstream(
    upstream: FakeUpstream,
    running_server: RunningServer,
    call_log: CallLog,
    method: str,
    misbehave: Callable[[FakeUpstream], Gate],
) -> None:
    """Cancelling a call while the upstream is silent closes the connection to the upstream."""
    misbehave(upstream)
    request: Any = a_wire_request() if method == "Complete" else a_stream_request()
    call: Any = getattr(running_server.stub, method)(request)
    await upstream.request()

    call.cancel()

    await upstream.disconnect()
    line = await call_log.wait_for_line()
    assert (line["method"], line["code"], line["levelname"]) == (method, "CANCELLED", "INFO")
    assert running_server.server.calls_in_flight == 0
    assert await call.code() == grpc.StatusCode.CANCELLED


@EVERY_PROTOCOL
async def test_cancelling_a_unary_call_logs_what_it_used(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """Cancelling a unary call during its answer disconnects the upstream, and the log estimates its usage."""
    gate = upstream.hang_after(3)
    call: Any = running_server.stub.Complete(a_wire_request())
    await gate.sent(3)

    call.cancel()

    await upstream.disconnect()
    line = await call_log.wait_for_line()
    assert (line["code"], line["usage_source"], line["attempts"]) == ("CANCELLED", "ESTIMATED", 1)
    assert running_server.server.calls_in_flight == 0


@EVERY_PROTOCOL
async def test_cancelling_during_comments_disconnects_the_upstream(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """Cancelling a stream while the upstream sends only comments closes the connection to the upstream."""
    gate = upstream.comments_forever()
    call: Any = running_server.stub.StreamComplete(a_stream_request())
    await gate.sent(5)

    call.cancel()

    await upstream.disconnect()
    assert (await call_log.wait_for_line())["code"] == "CANCELLED"


@EVERY_PROTOCOL
@pytest.mark.parametrize("heartbeat_seconds", [pytest.param(None, id="plain"), pytest.param(60.0, id="heartbeats")])
async def test_closing_the_generator_cancels_the_call(
    upstream: FakeUpstream,
    running_server: RunningServer,
    call_log: CallLog,
    provider: str,
    heartbeat_seconds: float | None,
) -> None:
    """Closing the client's generator after a few deltas cancels the call.

    The log has the input that Anthropic and Google count at the start, and estimates whatever nobody has counted.
    """
    upstream.hang_after(3)
    stream = running_server.client().stream(a_wire_request(), heartbeat_seconds=heartbeat_seconds)
    text = ""

    async with aclosing(stream) as events:
        async for event in events:
            text += event.content_delta.text
            if text == "word0 word1 word2 ":
                break

    await upstream.disconnect()
    line = await call_log.wait_for_line()
    assert (line["code"], line["model"], line["usage_source"]) == ("CANCELLED", "fake", "ESTIMATED")
    counted_input = 11 if provider in {"anthropic", "gemini"} else 1
    assert (line["input_tokens"], line["output_tokens"]) == (counted_input, 5)
    assert running_server.server.calls_in_flight == 0


@EVERY_PROTOCOL
async def test_cancelling_the_reading_task_cancels_the_call(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """Cancelling the task that reads a stream cancels the call and disconnects the upstream."""
    gate = upstream.hang_after(1)
    reading = asyncio.create_task(read_kinds(running_server.client().stream(a_wire_request())))
    await gate.sent(1)

    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    await upstream.disconnect()
    assert (await call_log.wait_for_line())["code"] == "CANCELLED"


@EVERY_PROTOCOL
@pytest.mark.parametrize("heartbeat", [pytest.param(False, id="plain"), pytest.param(True, id="heartbeats")])
async def test_a_client_that_does_not_read_can_cancel(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog, heartbeat: bool
) -> None:
    """A client that does not read blocks a write of the server; cancelling still disconnects the upstream."""
    request = a_stream_request()
    if heartbeat:
        request.stream_options.heartbeat_interval.FromSeconds(60)
    async with unread_stream(running_server, upstream, request) as call:
        assert running_server.server.calls_in_flight == 1

        call.cancel()

        await upstream.disconnect()
        line = await call_log.wait_for_line()
    assert line["code"] == "CANCELLED"
    assert line["events"] == len(["started", "content_delta"])
    assert running_server.server.calls_in_flight == 0


@pytest.mark.slow
@EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("misbehave", "steps"),
    [
        pytest.param(lambda fake: fake.hang(), 0, id="before-headers"),
        pytest.param(lambda fake: fake.hang_after(3), 3, id="in-mid-stream"),
    ],
)
@pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])
async def test_a_deadline_ends_the_call(
    upstream: FakeUpstream,
    running_server: RunningServer,
    call_log: CallLog,
    rpc: str,
    misbehave: Callable[[FakeUpstream], Gate],
    steps: int,
) -> None:
    """At the caller's deadline grpc ends the call without details, the upstream is disconnected and the log says so."""
    client, request, calls = running_server.client(), a_wire_request(), itertools.count(1)

    async def cut(seconds: float) -> tuple[CallFailed, dict[str, Any]] | None:
        upstream.forget()
        gate = misbehave(upstream)
        call = (
            read_kinds(client.stream(request, timeout_seconds=seconds))
            if rpc == "StreamComplete"
            else client.complete(request, timeout_seconds=seconds)
        )
        with pytest.raises(CallFailed) as failed:
            await call
        line = await call_log.wait_for_line(next(calls))
        return (failed.value, line) if upstream.requests and gate.steps_sent >= steps else None

    failed, line = await try_deadlines(cut)

    await upstream.disconnect()
    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    assert failed.interruption is None
    assert (line["method"], line["code"], line["levelname"]) == (rpc, "DEADLINE_EXCEEDED", "INFO")
    assert line["usage_source"] == "ESTIMATED"
    assert running_server.server.calls_in_flight == 0


@EVERY_PROTOCOL
async def test_cancelling_ends_the_delay_of_a_retry(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """Cancelling a call during the delay before a retry ends it at once, without another attempt."""
    upstream.always.fail(503, headers={"Retry-After": "5"})
    call: Any = running_server.stub.StreamComplete(a_stream_request())
    async for event in call:
        if event.WhichOneof("kind") == "attempt_switched":
            assert event.attempt_switched.delay.ToMilliseconds() == 5000
            break

    cancelled = time.monotonic()
    call.cancel()

    line = await call_log.wait_for_line()
    assert time.monotonic() - cancelled < 5
    assert (line["code"], line["attempts"]) == ("CANCELLED", 1)
    assert len(upstream.requests) == 1
    assert running_server.server.calls_in_flight == 0


@pytest.mark.slow
async def test_many_deadlines_do_not_exceed_the_pool(upstream: FakeUpstream) -> None:
    """Two hundred calls whose deadlines expire never hold more connections than the pool has.

    The fixture of the server checks at its end that no call is in flight.
    """
    upstream.always.hang()
    calls, pool = 200, 20
    dice = random.Random(7)
    shares = [dice.uniform(0.1, 1.0) for _ in range(calls)]

    async def let_expire(seconds: float) -> tuple[list[grpc.StatusCode], list[int]] | None:
        upstream.forget()
        async with serving_upstream(upstream, max_upstream_connections=pool, upstream_queue_seconds=60.0) as running:
            connections: list[int] = []
            watching = asyncio.create_task(_record_connections(upstream, connections))
            codes = await asyncio.gather(*(_read_code(running, timeout_seconds=share * seconds) for share in shares))
            await running.wait_for_calls(0)
            await upstream.all_closed()
            await upstream.idle()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        return (codes, connections) if len(connections) > pool else None  # connections were replaced

    codes, connections = await try_deadlines(let_expire, least_seconds=2.0)

    assert codes == [grpc.StatusCode.DEADLINE_EXCEEDED] * calls
    # The server may reuse the place of a closed connection before the fake upstream has seen its end.
    assert max(connections) <= 2 * pool
    assert upstream.disconnects == len(upstream.requests)


async def _read_code(running: RunningServer, timeout_seconds: float) -> grpc.StatusCode:
    with pytest.raises(CallFailed) as failed:
        await running.client().complete(a_wire_request(), timeout_seconds=timeout_seconds)
    return failed.value.code


async def _record_connections(upstream: FakeUpstream, counts: list[int]) -> None:
    """Records how many connections are open when each request arrives."""
    while True:
        await upstream.request(len(counts) + 1)
        counts.append(upstream.open_connections)
