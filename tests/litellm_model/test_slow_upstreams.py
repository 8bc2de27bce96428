"""What callers of both RPCs see of upstreams that are slow or fall silent."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from reasoning_grpc.v1 import usage_pb2
from tests.support.checked_server import (
    DEADLINE_EXCEEDED,
    EVERY_PROTOCOL,
    PROMPT_TOKENS,
    THREE_DELTAS,
    CheckedServing,
    Failure,
    content_texts,
    make_estimated_usage,
    numbered_chunk,
    progress,
)
from tests.support.deadlines import try_deadlines
from tests.support.upstream import FakeUpstream, Gate

FIRST_TOKEN: Final = "first_token_timeout_seconds"
TOTAL: Final = "model_call_timeout_seconds"


@EVERY_PROTOCOL
@pytest.mark.slow
@pytest.mark.parametrize(
    ("rpc", "misbehave", "limit"),
    [
        pytest.param("StreamComplete", lambda fake: fake.drip(0.01), TOTAL, id="drip-stream"),
        pytest.param("Complete", lambda fake: fake.drip(0.01), TOTAL, id="drip-unary"),
        pytest.param("StreamComplete", lambda fake: fake.comments_forever(), FIRST_TOKEN, id="comments-stream"),
        pytest.param("Complete", lambda fake: fake.comments_forever(), FIRST_TOKEN, id="comments-unary"),
        pytest.param("StreamComplete", lambda fake: fake.hang(), FIRST_TOKEN, id="hang-before-headers"),
        pytest.param("Complete", lambda fake: fake.hang_after(0), FIRST_TOKEN, id="hang-after-headers"),
    ],
)
async def test_slow_upstream(
    upstream: FakeUpstream,
    checked_serving: CheckedServing,
    rpc: str,
    misbehave: Callable[[FakeUpstream], Any],
    limit: str,
) -> None:
    """An upstream that is slow to begin, or to finish, is left, and is not called again."""

    async def run_out(seconds: float) -> Failure | None:
        upstream.forget()
        misbehave(upstream)
        async with checked_serving(**{limit: seconds}) as checked_server:
            failure = await checked_server.failure(rpc)
        return failure if upstream.requests else None

    failure = await try_deadlines(run_out, least_seconds=0.1)

    await upstream.disconnect()
    assert failure.verdict == (DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption.attempt_count == 1
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert failure.interruption.usage.input_tokens == PROMPT_TOKENS
    assert len(upstream.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "fall_silent",
    [
        pytest.param(lambda fake: fake.hang_after(3, gated=True), id="silence"),
        pytest.param(
            lambda fake: fake.lines(*map(numbered_chunk, range(3)), *[b": hm\n\n"] * 9, gated=True), id="comments"
        ),
    ],
)
async def test_stall_after_three_deltas(
    upstream: FakeUpstream, checked_serving: CheckedServing, fall_silent: Callable[[FakeUpstream], Gate]
) -> None:
    """Silence between tokens ends the stream with the progress so far; comments do not count as tokens."""

    async def stall(seconds: float) -> Failure | None:
        upstream.forget()
        gate = fall_silent(upstream)
        async with checked_serving(stall_timeout_seconds=seconds) as checked_server:
            failure = await checked_server.failure("StreamComplete", gate=gate)
        return failure if content_texts(failure.events) == THREE_DELTAS else None

    failure = await try_deadlines(stall)

    await upstream.disconnect()
    assert failure.verdict == (DEADLINE_EXCEEDED, "UPSTREAM_STALLED", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )


@pytest.mark.slow
async def test_stall_of_a_unary_call(upstream: FakeUpstream, checked_serving: CheckedServing) -> None:
    """Silence between tokens ends a unary call too, and it reports how far its answer had come."""

    async def stall(seconds: float) -> Failure | None:
        upstream.forget()
        upstream.hang_after(3)
        async with checked_serving(stall_timeout_seconds=seconds) as checked_server:
            failure = await checked_server.failure("Complete")
        return failure if failure.interruption.content_characters == 18 else None

    failure = await try_deadlines(stall)

    await upstream.disconnect()
    assert failure.verdict == (DEADLINE_EXCEEDED, "UPSTREAM_STALLED", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.interruption.content_characters == 18
    assert len(upstream.requests) == 1
