"""Calls over litellm's own connections, for the providers that allow no other: less exact, but never untrue.

Azure is the example: without a key of ours, litellm's client gets its credentials by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Secret
from reasoning_grpc.v1 import completion_pb2, events_pb2, usage_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeUpstream, chunk, refusing_api_base

PROVIDER: Final = "azure"
KEY: Final = "key-of-the-environment"
THREE_DELTAS: Final = ["word0 ", "word1 ", "word2 "]


@pytest.fixture(autouse=True)
def azure_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the credentials that litellm finds in the environment."""
    monkeypatch.setenv("AZURE_API_KEY", KEY)


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server whose model litellm reaches by a client of its own."""
    async with serving(config_for(provider_entry(upstream, PROVIDER, api_key=Secret("")))) as running:
        yield running


async def _collect_events(running: RunningServer, **fields: Any) -> list[events_pb2.StreamCompleteResponse]:
    return [event async for event in running.client().stream(a_wire_request(**fields))]


async def _expect_failure(running: RunningServer) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        await running.client().complete(a_wire_request())
    return failed.value


async def test_an_answer_arrives_whole(upstream: FakeUpstream, server: RunningServer) -> None:
    """Text, finish reason and usage arrive, and the upstream gets the request id and the trace."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    upstream.reply("Hel", "lo")

    call: Any = server.stub.StreamComplete(a_stream_request(request_id="req-7"), metadata=(("traceparent", trace),))
    events = [event async for event in call]

    assert [event.content_delta.text for event in events[1:-1]] == ["Hel", "lo"]
    completed = events[-1].completed
    assert (completed.finish_reason, completed.provider_finish_reason) == (completion_pb2.FINISH_REASON_STOP, "stop")
    assert (completed.usage.total_tokens, completed.usage.source) == (18, usage_pb2.USAGE_SOURCE_PROVIDER)
    headers = (await upstream.request()).headers
    assert (headers["api-key"], headers["traceparent"], headers["X-Client-Request-Id"]) == (KEY, trace, "req-7")


@pytest.mark.parametrize(
    ("status", "code", "reason", "requests"),
    [
        (400, grpc.StatusCode.INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST", 1),
        (401, grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED", 1),
        (404, grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_MODEL_MISSING", 1),
        (408, grpc.StatusCode.DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 1),
        (413, grpc.StatusCode.INVALID_ARGUMENT, "CONTEXT_WINDOW_EXCEEDED", 1),
        (429, grpc.StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", 1),
        (500, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (503, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED", 3),
        (529, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED", 3),
    ],
)
async def test_http_statuses(
    upstream: FakeUpstream,
    server: RunningServer,
    status: int,
    code: grpc.StatusCode,
    reason: str,
    requests: int,
) -> None:
    """The upstream's own status decides, whatever litellm converts it to, and litellm does not repeat the call."""
    upstream.always.fail(status)

    failure = await _expect_failure(server)

    assert (failure.code, failure.reason, failure.metadata.get("http_status")) == (code, reason, str(status))
    assert len(upstream.requests) == requests


async def test_retry_after(upstream: FakeUpstream, server: RunningServer) -> None:
    """The delay that the upstream names is reported."""
    upstream.fail(429, headers={"Retry-After": "7"})

    assert (await _expect_failure(server)).retry_after_seconds == 7


async def test_bodies_are_read(upstream: FakeUpstream, server: RunningServer) -> None:
    """What a body says decides before its status."""
    upstream.fail(400, code="context_length_exceeded")

    assert (await _expect_failure(server)).reason == "CONTEXT_WINDOW_EXCEEDED"


async def test_a_refused_connection_is_an_unreachable_upstream() -> None:
    """A refused connection is an unreachable upstream, and counts as not reached."""
    with refusing_api_base() as api_base:
        entry = model_entry(api_base.removesuffix("/v1"), litellm_model=f"{PROVIDER}/fake", api_key=Secret(""))
        async with serving(config_for(entry, max_retries=0)) as running:
            failure = await _expect_failure(running)

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")
    assert failure.interruption is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(lambda fake: fake.cut_after(3, "end", gated=True), "UPSTREAM_STREAM_TRUNCATED", id="clean-end"),
        pytest.param(lambda fake: fake.cut_after(3, "reset", gated=True), "UPSTREAM_UNREACHABLE", id="reset"),
        pytest.param(lambda fake: fake.error_in_stream(3, gated=True), "UPSTREAM_ERROR", id="error"),
        pytest.param(
            lambda fake: fake.lines(*_make_chunks(), "data: {", gated=True), "UPSTREAM_MALFORMED_RESPONSE", id="junk"
        ),
    ],
)
async def test_a_stream_that_fails(
    upstream: FakeUpstream, server: RunningServer, script: Callable[[FakeUpstream], Any], reason: str
) -> None:
    """What came before a failure arrives, and no failure looks like the end of an answer."""
    gate = script(upstream)
    texts: list[str] = []

    async def read() -> None:
        async for event in server.client().stream(a_wire_request()):
            texts.extend([event.content_delta.text] if event.WhichOneof("kind") == "content_delta" else [])
            gate.open()

    with pytest.raises(CallFailed) as failed:
        await read()

    assert texts == THREE_DELTAS
    assert failed.value.reason == reason
    assert failed.value.interruption is not None


async def test_the_upstream_sees_a_client_leave(upstream: FakeUpstream, server: RunningServer) -> None:
    """The upstream sees that a client leaves, before the first delta and after it."""
    upstream.hang()
    call: Any = server.stub.Complete(a_wire_request())
    await upstream.request()
    call.cancel()
    await upstream.disconnect()

    gate = upstream.gated("a", "b")
    gate.open()
    stream: Any = server.stub.StreamComplete(a_stream_request())
    async for event in stream:
        if event.WhichOneof("kind") == "content_delta":
            stream.cancel()
            break
    await upstream.disconnect(2)


async def test_connections_are_kept(upstream: FakeUpstream, server: RunningServer) -> None:
    """Successive calls share litellm's connection, whatever their deadlines; simultaneous calls have one each."""
    for number in range(6):
        await server.client().complete(a_wire_request(), timeout_seconds=30 + number / 7)
        await _collect_events(server)
    in_turn = upstream.connections
    await asyncio.gather(*(_collect_events(server) for _ in range(6)))

    assert in_turn == 1
    assert upstream.connections <= 6


def _make_chunks() -> list[Any]:
    return [chunk({"content": text}) for text in THREE_DELTAS]
