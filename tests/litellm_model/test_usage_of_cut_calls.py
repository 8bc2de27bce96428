"""Which usage is reported of a call that ends before its answer does: what the provider has counted so far."""

import itertools
from contextlib import suppress
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import usage_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.call_log import recording_calls
from tests.support.checked_server import CheckedServing
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request
from tests.support.native_events import START, text_block
from tests.support.serving import config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream, chunk
from tests.support.upstream.answers import Json

BOTH_READERS: Final = pytest.mark.parametrize("provider", ["openai", "hosted_vllm"], indirect=True)


def running_count(output_tokens: int) -> Json:
    """Returns the counts of an answer that is this long so far."""
    return {"prompt_tokens": 11, "completion_tokens": output_tokens, "total_tokens": 11 + output_tokens}


COUNTED_CHUNKS: Final = [
    chunk({"content": "Hello "}, usage=running_count(1)),
    chunk({"content": "world, and more"}, usage=running_count(2)),
]
"""Two chunks, each with the counts so far."""
COUNTED: Final = usage_pb2.Usage(
    input_tokens=11, output_tokens=2, total_tokens=13, source=usage_pb2.USAGE_SOURCE_PROVIDER
)


@BOTH_READERS
@pytest.mark.slow
@pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"stall_timeout_seconds": 0.5}, "UPSTREAM_STALLED"),
        ({"model_call_timeout_seconds": 0.5}, "UPSTREAM_TIMEOUT"),
    ],
    ids=["stall", "total"],
)
async def test_a_timer_keeps_what_was_counted(
    upstream: FakeUpstream, checked_serving: CheckedServing, rpc: str, settings: dict[str, Any], reason: str
) -> None:
    """When a timer ends a call, its usage is what the provider has counted so far."""
    gate = upstream.lines(*COUNTED_CHUNKS, b": silence\n\n", gated=True)
    gate.open(2)

    async with checked_serving(**settings) as checked_server:
        failure = await checked_server.failure(rpc)

    assert failure.error.reason == reason
    assert failure.interruption.usage == COUNTED


@BOTH_READERS
@pytest.mark.parametrize("ends", ["cancel", "deadline"])
async def test_a_caller_that_leaves_keeps_what_was_counted(
    upstream: FakeUpstream, provider: str, caplog: pytest.LogCaptureFixture, ends: str
) -> None:
    """When the caller leaves, the log line has what the provider has counted so far."""
    with recording_calls(caplog) as log:
        async with serving(config_for(provider_entry(upstream, provider))) as running:
            calls = itertools.count(1)

            async def leave(seconds: float) -> dict[str, Any] | None:
                upstream.forget()
                gate = upstream.lines(*COUNTED_CHUNKS, b": silence\n\n", gated=True)
                gate.open(2)
                stub: Any = ReasoningServiceStub(running.channel)
                call = stub.StreamComplete(a_stream_request(), timeout=seconds if ends == "deadline" else None)
                text = ""
                with suppress(grpc.aio.AioRpcError):
                    while "more" not in text:
                        text += (await call.read()).content_delta.text
                    if ends == "deadline":
                        await call.read()
                call.cancel()
                line = await log.wait_for_line(next(calls))
                return line if "more" in text else None

            line = await try_deadlines(leave)

    assert (line["input_tokens"], line["output_tokens"]) == (11, 2)


@BOTH_READERS
@pytest.mark.slow
async def test_text_after_the_last_count_is_estimated(upstream: FakeUpstream, checked_serving: CheckedServing) -> None:
    """What came after the provider's last count is estimated, and the usage says so."""
    gate = upstream.lines(
        chunk({"content": ""}, usage=running_count(0)),
        chunk({"content": "x" * 40}),
        b": silence\n\n",
        gated=True,
    )
    gate.open(2)

    async with checked_serving(stall_timeout_seconds=0.5) as checked_server:
        failure = await checked_server.failure("StreamComplete")

    assert failure.interruption.usage == usage_pb2.Usage(
        input_tokens=11, output_tokens=10, total_tokens=21, source=usage_pb2.USAGE_SOURCE_ESTIMATED
    )


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["anthropic"], indirect=True)
async def test_the_input_that_was_counted_at_the_start_is_kept(
    upstream: FakeUpstream, checked_serving: CheckedServing
) -> None:
    """Anthropic counts the input at the start; a timer keeps it, and the output is estimated."""
    gate = upstream.lines(START, *list(text_block(0, "x" * 40))[:2], b": silence\n\n", gated=True)
    gate.open(3)

    async with checked_serving(stall_timeout_seconds=0.5) as checked_server:
        failure = await checked_server.failure("StreamComplete")

    usage = failure.interruption.usage
    assert (usage.input_tokens, usage.output_tokens) == (11, 10)
    assert usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
