"""Callers who leave: the upstream sees it, and the log says how the call ended."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import events_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, provider_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream, Gate
from tests.support.upstream.changes import Changes

PIECE_BYTES: Final = 256 * 1024
DEADLINE_SECONDS: Final = 1.0


class CallLog(logging.Handler):
    """The lines that the server writes when a call ends."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self._changes = Changes()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self.lines.append(vars(record))
        self._changes.notify()

    async def line(self, n: int = 1) -> dict[str, Any]:
        """Wait for the n-th line, counted from 1."""
        await self._changes.expect(lambda: len(self.lines) >= n, lambda: f"{n} lines expected; there are {self.lines}")
        return self.lines[n - 1]


EVERY_PROTOCOL: Final = pytest.mark.parametrize(
    "provider", ["openai", "hosted_vllm", "anthropic", "gemini"], indirect=True
)
"""Our own wire, and the plain path with each protocol that the fake upstream speaks."""


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> str:
    """litellm's prefix of the server's model."""
    return str(getattr(request, "param", "openai"))


@pytest.fixture
async def running_server(upstream: FakeUpstream, provider: str) -> AsyncIterator[RunningServer]:
    """A server whose one model is the fake upstream, of this provider."""
    async with serving(config_for(provider_entry(upstream, provider))) as running:
        yield running


@pytest.fixture
def call_log(caplog: pytest.LogCaptureFixture) -> Iterator[CallLog]:
    """The log of calls, from now on."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    log, handler = logging.getLogger("reasoning_grpc.calls"), CallLog()
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


async def kinds(call: AsyncIterator[events_pb2.StreamCompleteResponse]) -> list[str | None]:
    """The kinds of all events of a stream."""
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
async def test_cancelled_stream_before_its_first_delta(
    upstream: FakeUpstream,
    running_server: RunningServer,
    call_log: CallLog,
    misbehave: Callable[[FakeUpstream], Gate],
) -> None:
    """A stream cancelled while the upstream is silent closes the upstream's connection."""
    misbehave(upstream)
    call: Any = running_server.stub.StreamComplete(a_stream_request())
    await upstream.request()

    call.cancel()

    await upstream.disconnect()
    line = await call_log.line()
    assert (line["method"], line["code"], line["levelname"]) == ("StreamComplete", "CANCELLED", "INFO")
    assert running_server.server.calls_in_flight == 0
    assert await call.code() == grpc.StatusCode.CANCELLED


@EVERY_PROTOCOL
@HANGS
async def test_cancelled_unary_call(
    upstream: FakeUpstream,
    running_server: RunningServer,
    call_log: CallLog,
    misbehave: Callable[[FakeUpstream], Gate],
) -> None:
    """A unary call does the same."""
    misbehave(upstream)
    call: Any = running_server.stub.Complete(a_wire_request())
    await upstream.request()

    call.cancel()

    await upstream.disconnect()
    line = await call_log.line()
    assert (line["method"], line["code"], line["levelname"]) == ("Complete", "CANCELLED", "INFO")
    assert running_server.server.calls_in_flight == 0
    assert await call.code() == grpc.StatusCode.CANCELLED


@EVERY_PROTOCOL
async def test_cancelled_unary_call_in_mid_stream(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """A unary call cancelled in the middle of its answer does the same; the log knows what it used."""
    gate = upstream.hang_after(3)
    call: Any = running_server.stub.Complete(a_wire_request())
    await gate.sent(3)

    call.cancel()

    await upstream.disconnect()
    line = await call_log.line()
    assert (line["code"], line["usage_source"], line["attempts"]) == ("CANCELLED", "ESTIMATED", 1)
    assert running_server.server.calls_in_flight == 0


@EVERY_PROTOCOL
async def test_cancelled_stream_after_comments(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """Comments of the upstream change nothing."""
    gate = upstream.comments_forever()
    call: Any = running_server.stub.StreamComplete(a_stream_request())
    await gate.sent(5)

    call.cancel()

    await upstream.disconnect()
    assert (await call_log.line())["code"] == "CANCELLED"


@EVERY_PROTOCOL
@pytest.mark.parametrize("heartbeat_seconds", [pytest.param(None, id="plain"), pytest.param(60.0, id="heartbeats")])
async def test_stream_closed_in_the_middle(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog, heartbeat_seconds: float | None
) -> None:
    """Closing the client's generator after a few deltas cancels the call, and the log tells how far it came."""
    upstream.hang_after(3)
    stream = running_server.client().stream(a_wire_request(), heartbeat_seconds=heartbeat_seconds)
    text = ""

    async with aclosing(stream) as events:
        async for event in events:
            text += event.content_delta.text
            if text == "word0 word1 word2 ":
                break

    await upstream.disconnect()
    line = await call_log.line()
    assert (line["code"], line["model"], line["usage_source"]) == ("CANCELLED", "fake", "ESTIMATED")
    assert (line["input_tokens"], line["output_tokens"]) == (1, 5)
    assert running_server.server.calls_in_flight == 0


@EVERY_PROTOCOL
async def test_task_of_a_stream_is_cancelled(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """Cancelling the task that reads a stream cancels the call."""
    gate = upstream.hang_after(1)
    reading = asyncio.create_task(kinds(running_server.client().stream(a_wire_request())))
    await gate.sent(1)

    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    await upstream.disconnect()
    assert (await call_log.line())["code"] == "CANCELLED"


@EVERY_PROTOCOL
@pytest.mark.parametrize("heartbeat", [pytest.param(False, id="plain"), pytest.param(True, id="heartbeats")])
async def test_cancelled_while_a_write_waits(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog, heartbeat: bool
) -> None:
    """A client that does not read blocks the server in a write; when it leaves, the upstream is let go."""
    pieces = 400
    gate = upstream.reply(*["x" * PIECE_BYTES] * pieces)
    request = a_stream_request()
    if heartbeat:
        request.stream_options.heartbeat_interval.FromSeconds(60)
    call: Any = running_server.stub.StreamComplete(request)
    await gate.sent(24)  # grpc takes 6 MB before a write waits
    await _nothing_more_is_sent(gate)
    assert gate.steps_sent < pieces
    assert running_server.server.calls_in_flight == 1

    call.cancel()

    await upstream.disconnect()
    line = await call_log.line()
    assert line["code"] == "CANCELLED"
    assert line["events"] < pieces
    assert running_server.server.calls_in_flight == 0


async def _nothing_more_is_sent(gate: Gate) -> None:
    """Wait until the upstream is stuck: there is no event for what does not happen."""
    before = -1
    while before != gate.steps_sent:
        before = gate.steps_sent
        await asyncio.sleep(0.3)


@pytest.mark.slow
@EVERY_PROTOCOL
@pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(lambda fake: fake.hang(), id="before-headers"),
        pytest.param(lambda fake: fake.hang_after(3), id="in-mid-stream"),
    ],
)
@pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])
async def test_expired_deadline(
    upstream: FakeUpstream,
    running_server: RunningServer,
    call_log: CallLog,
    rpc: str,
    misbehave: Callable[[FakeUpstream], Gate],
) -> None:
    """At the caller's deadline grpc ends the call, without details; the upstream is let go, and the log says so."""
    misbehave(upstream)
    client, request = running_server.client(), a_wire_request()
    call = (
        kinds(client.stream(request, timeout_seconds=DEADLINE_SECONDS))
        if rpc == "StreamComplete"
        else client.complete(request, timeout_seconds=DEADLINE_SECONDS)
    )

    with pytest.raises(CallFailed) as failed:
        await call

    await upstream.disconnect()
    line = await call_log.line()
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    assert failed.value.interruption is None
    assert (line["method"], line["code"], line["levelname"]) == (rpc, "DEADLINE_EXCEEDED", "INFO")
    assert line["usage_source"] == "ESTIMATED"
    assert running_server.server.calls_in_flight == 0


@EVERY_PROTOCOL
async def test_cancel_cuts_the_delay_of_a_retry(
    upstream: FakeUpstream, running_server: RunningServer, call_log: CallLog
) -> None:
    """A call that waits to be tried again ends when it is cancelled, and is not tried again."""
    upstream.always.fail(503, headers={"Retry-After": "5"})
    call: Any = running_server.stub.StreamComplete(a_stream_request())
    async for event in call:
        if event.WhichOneof("kind") == "attempt_switched":
            assert event.attempt_switched.delay.ToMilliseconds() == 5000
            break

    call.cancel()

    line = await call_log.line()
    assert (line["code"], line["attempts"]) == ("CANCELLED", 1)
    assert line["duration_ms"] < 5000
    assert len(upstream.requests) == 1
    assert running_server.server.calls_in_flight == 0


# Cancelled while it maps a request in its thread, litellm leaves a coroutine behind that nobody awaits.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:coroutine 'OpenAIChatCompletion.async_streaming' was never:RuntimeWarning")
async def test_burst_of_deadlines(upstream: FakeUpstream) -> None:
    """Two hundred calls that run into their deadlines never hold more connections than the pool has.

    That no call is left in flight is checked where the server stops.
    """
    upstream.always.hang()
    calls, pool = 200, 20
    dice = random.Random(7)

    async with serving_upstream(upstream, max_upstream_connections=pool) as running:
        connections: list[int] = []
        watching = asyncio.create_task(_note_connections(upstream, connections))
        codes = await asyncio.gather(
            *(_code_of_call(running, timeout_seconds=dice.uniform(0.2, 2.0)) for _ in range(calls))
        )
        await upstream.all_closed()
        await upstream.idle()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    assert codes == [grpc.StatusCode.DEADLINE_EXCEEDED] * calls
    # A connection that the server has closed, and used the room of, may not have ended at the fake.
    assert max(connections) <= 2 * pool
    assert upstream.disconnects == len(upstream.requests)


async def _code_of_call(running: RunningServer, timeout_seconds: float) -> grpc.StatusCode:
    with pytest.raises(CallFailed) as failed:
        await running.client().complete(a_wire_request(), timeout_seconds=timeout_seconds)
    return failed.value.code


async def _note_connections(upstream: FakeUpstream, seen: list[int]) -> None:
    """Notes how many connections are open at the arrival of each request."""
    while True:
        await upstream.request(len(seen) + 1)
        seen.append(upstream.open_connections)
