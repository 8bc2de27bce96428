"""A shortage of this server's own connections is its own, and never that of the upstream that a call waits to reach."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import models_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeUpstream, Gate

WIRES: Final = ("openai", "anthropic", "bedrock", "gemini", "responses")


@asynccontextmanager
async def occupied(
    holder: FakeUpstream, upstream: FakeUpstream, wire: str = "openai", **settings: Any
) -> AsyncIterator[tuple[RunningServer, Gate]]:
    """Runs a server whose only connection is taken by an answer of `holder`, which ends when its gate opens.

    The model "fake" is at `upstream`, and its breaker opens at its first failure.
    """
    gate = holder.gated("a", "b")
    entries = (provider_entry(upstream, wire), model_entry(holder.api_base, "held"))
    options = {"max_upstream_connections": 1, "breaker_min_calls": 1, "max_retries": 0, **settings}
    async with serving(config_for(*entries, **options)) as running:
        holding = asyncio.create_task(running.client().complete(a_wire_request(model="held")))
        gate.open()  # its first token is in time
        await gate.sent(1)
        yield running, gate
        gate.open_all()
        await holding


async def is_available(running: RunningServer) -> bool:
    """Whether no breaker keeps calls away from the model "fake"."""
    stub: Any = running.stub
    listed = await stub.ListModels(models_pb2.ListModelsRequest())
    states = {model.name: model.state for model in listed.models}
    return bool(states["fake"] == models_pb2.MODEL_STATE_AVAILABLE)


@pytest.mark.parametrize("wire", WIRES)
async def test_a_call_without_a_connection_is_refused(upstream: FakeUpstream, judge: FakeUpstream, wire: str) -> None:
    """A call that gets no connection in time ends as SERVER_OVERLOADED with a delay, and no breaker opens."""
    async with occupied(judge, upstream, wire, upstream_queue_seconds=0.05) as (running, _):
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request())
        is_called = await is_available(running)

    failure = failed.value
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
    assert failure.retry_after_seconds
    assert failure.interruption is None
    assert is_called
    assert not upstream.requests


async def test_the_wait_for_a_connection_is_no_time_of_the_upstream(
    upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """A call that waits for a connection for longer than a first token may take is answered all the same."""
    upstream.always.reply("a")
    settings: dict[str, Any] = {"upstream_queue_seconds": 60.0, "first_token_timeout_seconds": 1.5}
    async with occupied(judge, upstream, **settings) as (running, gate):
        waiting = asyncio.create_task(running.client().complete(a_wire_request()))
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(), timeout_seconds=2.0)
        is_called = await is_available(running)
        gate.open_all()
        answer = await waiting

    assert failed.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert failed.value.reason == ""
    assert is_called
    assert answer.message.content[0].text == "a"
    assert len(upstream.requests) == 1
