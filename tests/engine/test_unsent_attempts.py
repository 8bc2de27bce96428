"""An attempt whose request was never sent uses nothing, however it ends; one that was sent is estimated."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.v1 import completion_pb2, errors_pb2
from tests.support.call_log import CallLog, recording_calls
from tests.support.classification import AUTO, FALLBACK, classify
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream

WIRES: Final = ("openai", "anthropic", "bedrock", "gemini", "responses")
WAITS: Final[Mapping[str, Mapping[str, Any]]] = {
    "for-a-slot": {"max_calls_per_upstream": 1, "upstream_queue_seconds": 60.0},
    "for-a-connection": {"max_upstream_connections": 1, "upstream_queue_seconds": 60.0},
}
"""Settings with which the second call has to wait before it is sent."""


@pytest.fixture
def call_log(caplog: pytest.LogCaptureFixture) -> Iterator[CallLog]:
    """The log lines of calls."""
    with recording_calls(caplog) as log:
        yield log


@asynccontextmanager
async def occupied(upstream: FakeUpstream, wire: str = "openai", **settings: Any) -> AsyncIterator[RunningServer]:
    """Runs a server that may send nothing more, because a call is in progress."""
    gate = upstream.gated("a")
    entry = provider_entry(upstream, wire)
    async with serving(config_for(entry, **settings)) as running:
        holding = asyncio.create_task(running.client().complete(a_wire_request()))
        await upstream.request()
        yield running
        gate.open_all()
        await holding


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("wait", WAITS)
async def test_an_unsent_attempt_that_is_cancelled_uses_nothing(
    upstream: FakeUpstream, call_log: CallLog, wait: str, wire: str
) -> None:
    """A call that is cancelled while it waits has no tokens in its log line."""
    async with occupied(upstream, wire, **WAITS[wait]) as running:
        stub: Any = running.stub
        call = stub.StreamComplete(a_stream_request(include=completion_pb2.IncludeOptions(model_calls=True)))
        assert [(await call.read()).WhichOneof("kind") for _ in range(2)] == ["started", "model_call_started"]
        call.cancel()
        line = await call_log.wait_for_line()

    assert line["code"] == "CANCELLED"
    assert "input_tokens" not in line
    assert len(upstream.requests) == 1


async def test_a_classifier_that_was_never_called_uses_nothing(upstream: FakeUpstream) -> None:
    """A classification that gets no connection before its deadline has the cause UPSTREAM_TIMEOUT, and no usage."""
    gate = upstream.gated("a")
    config = replace(
        config_for(provider_entry(upstream, "openai"), **WAITS["for-a-connection"]),
        classifier=ClassifierEntry(timeout_seconds=0.2),
    )
    async with serving(config) as running:
        holding = asyncio.create_task(running.client().complete(a_wire_request()))
        await upstream.request()
        decision = await classify(running, **AUTO)
        gate.open_all()
        await holding

    assert decision.source == FALLBACK
    assert decision.classification.failure == errors_pb2.ERROR_REASON_UPSTREAM_TIMEOUT
    assert not decision.classification.HasField("usage")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_a_sent_attempt_that_is_cancelled_is_estimated(
    upstream: FakeUpstream, call_log: CallLog, wire: str
) -> None:
    """A call that is cancelled before the headers of the answer may be billed, so its prompt is estimated."""
    upstream.hang()
    async with serving(config_for(provider_entry(upstream, wire))) as running:
        stub: Any = running.stub
        call = stub.Complete(a_wire_request())
        await upstream.request()
        call.cancel()
        line = await call_log.wait_for_line()

    assert (line["code"], line["usage_source"], line["output_tokens"]) == ("CANCELLED", "ESTIMATED", 0)
    assert line["input_tokens"] > 0
