"""Which usage is reported of a call that ends before its answer does: what the provider has counted so far."""

import itertools
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import usage_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.call_log import recording_calls
from tests.support.checked_server import CheckedServing, Failure
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


async def let_timer_end(
    upstream: FakeUpstream,
    checked_serving: CheckedServing,
    rpc: str,
    lines: Sequence[Json | bytes],
    *,
    characters: int,
    timer: str = "stall_timeout_seconds",
) -> Failure:
    """Makes a call that a timer ends in the silence behind these lines of its answer, which have so many characters."""

    async def fail(seconds: float) -> Failure | None:
        upstream.forget()
        gate = upstream.lines(*lines, b": silence\n\n", gated=True)
        gate.open(len(lines))
        async with checked_serving(**{timer: seconds, "max_retries": 0}) as checked_server:
            failure = await checked_server.failure(rpc)
        progress = failure.error.interruption
        return failure if progress is not None and progress.content_characters == characters else None

    return await try_deadlines(fail, least_seconds=0.1)


@BOTH_READERS
@pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])
@pytest.mark.parametrize(
    ("timer", "reason"),
    [("stall_timeout_seconds", "UPSTREAM_STALLED"), ("model_call_timeout_seconds", "UPSTREAM_TIMEOUT")],
    ids=["stall", "total"],
)
async def test_a_timer_keeps_what_was_counted(
    upstream: FakeUpstream, checked_serving: CheckedServing, rpc: str, timer: str, reason: str
) -> None:
    """When a timer ends a call, its usage is what the provider has counted so far."""
    characters = len("Hello world, and more")
    failure = await let_timer_end(upstream, checked_serving, rpc, COUNTED_CHUNKS, characters=characters, timer=timer)

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
async def test_text_after_the_last_count_is_estimated(upstream: FakeUpstream, checked_serving: CheckedServing) -> None:
    """What came after the provider's last count is estimated, and the usage says so."""
    lines = [chunk({"content": ""}, usage=running_count(0)), chunk({"content": "x" * 40})]
    failure = await let_timer_end(upstream, checked_serving, "StreamComplete", lines, characters=40)

    assert failure.interruption.usage == usage_pb2.Usage(
        input_tokens=11, output_tokens=10, total_tokens=21, source=usage_pb2.USAGE_SOURCE_ESTIMATED
    )


@pytest.mark.parametrize("provider", ["anthropic"], indirect=True)
async def test_the_input_that_was_counted_at_the_start_is_kept(
    upstream: FakeUpstream, checked_serving: CheckedServing
) -> None:
    """Anthropic counts the input at the start; a timer keeps it, and the output is estimated."""
    lines = [START, *list(text_block(0, "x" * 40))[:2]]
    failure = await let_timer_end(upstream, checked_serving, "StreamComplete", lines, characters=40)

    usage = failure.interruption.usage
    assert (usage.input_tokens, usage.output_tokens) == (11, 10)
    assert usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
