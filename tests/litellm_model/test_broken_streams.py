"""What callers of both RPCs see of streams that are cut, malformed, or end with an error."""

import asyncio
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import completion_pb2, usage_pb2
from tests.support.checked_server import (
    BOTH_RPCS,
    EVERY_PROTOCOL,
    INTERNAL,
    PROMPT_TOKENS,
    PROTOCOLS,
    RESOURCE_EXHAUSTED,
    THREE_DELTAS,
    UNAVAILABLE,
    CheckedServer,
    content_texts,
    make_estimated_usage,
    progress,
)
from tests.support.upstream import (
    DEFAULT_ERROR,
    DIALECTS,
    UPSTREAM_SECRET,
    Completion,
    FakeUpstream,
    chunk,
    usage_chunk,
)

pytestmark = pytest.mark.thorough


CUTS: Final = pytest.mark.parametrize(
    ("how", "reason"),
    [
        pytest.param("reset", "UPSTREAM_UNREACHABLE", id="reset"),
        pytest.param("close", "UPSTREAM_UNREACHABLE", id="close"),
        pytest.param("end", "UPSTREAM_STREAM_TRUNCATED", id="clean-end"),
    ],
)


@CUTS
async def test_stream_cut_after_three_chunks(
    upstream: FakeUpstream, checked_server: CheckedServer, how: Any, reason: str
) -> None:
    """A stream that is cut after three deltas ends with UNAVAILABLE and the progress, without a second request."""
    gate = upstream.cut_after(3, how, gated=True)

    failure = await checked_server.failure("StreamComplete", gate=gate)

    assert failure.kinds == ["started", "content_delta", "content_delta", "content_delta"]
    assert content_texts(failure.events) == THREE_DELTAS
    assert [event.sequence for event in failure.events] == [0, 1, 2, 3]
    assert failure.verdict == (UNAVAILABLE, reason, {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )
    assert len(upstream.requests) == 1


async def fail_behind(gate: Any, checked_server: CheckedServer) -> Any:
    """Lets three deltas through the gate, one after another, and returns the failure of the unary call behind them."""
    failing = asyncio.ensure_future(checked_server.failure("Complete"))
    for number in range(3):
        gate.open()
        await gate.sent(number + 1)

    gate.open()
    return await failing


@CUTS
async def test_unary_call_of_a_cut_stream(
    upstream: FakeUpstream, checked_server: CheckedServer, how: Any, reason: str
) -> None:
    """A unary call of a cut stream fails in the same way, and reports how far its answer had come."""
    gate = upstream.cut_after(3, how, gated=True)

    failure = await fail_behind(gate, checked_server)

    assert failure.verdict == (UNAVAILABLE, reason, {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert (failure.interruption.usage, failure.interruption.content_characters) == (
        make_estimated_usage(PROMPT_TOKENS, 5),
        18,
    )
    assert len(upstream.requests) == 1


async def test_truncated_stream_with_usage_so_far(upstream: FakeUpstream, checked_server: CheckedServer) -> None:
    """The upstream's own count is reported even when its stream was cut."""
    usage = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
    upstream.chunks(chunk({"content": "Hel"}), usage_chunk(usage))

    failure = await checked_server.failure("StreamComplete")

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert failure.interruption.usage == usage_pb2.Usage(
        input_tokens=40, output_tokens=2, total_tokens=42, source=usage_pb2.USAGE_SOURCE_PROVIDER
    )


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_done_without_a_finish_reason(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """`[DONE]` alone does not finish an answer."""
    upstream.reply("Hel", "lo", finish_reason=None, usage=None)

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_STREAM_TRUNCATED", {"model": "fake"})
    assert "completed" not in failure.kinds
    assert "".join(content_texts(failure.events)) == ("Hello" if rpc == "StreamComplete" else "")
    assert len(upstream.requests) == 1


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_finish_reason_without_done(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """A finish reason finishes an answer, with or without `[DONE]`."""
    upstream.reply("Hel", "lo", done=False)

    answer = await checked_server.answer(rpc)

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert answer.end.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER


@pytest.mark.slow
async def test_comments_without_end_after_the_finish_reason(
    upstream: FakeUpstream, checked_server: CheckedServer
) -> None:
    """After the finish reason, an upstream that never ends its stream delays the answer only for a short time."""
    comments = [b": still here\n\n"] * 10_000
    gate = upstream.lines(chunk({"content": "Hello"}), chunk({}, "stop"), *comments, gated=True)

    async def send_comments() -> None:
        while True:
            gate.open()
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(send_comments())
    try:
        answer = await asyncio.wait_for(checked_server.answer("StreamComplete"), timeout=60)
    finally:
        dripping.cancel()

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert (await upstream.disconnect()).body["model"] == "fake"


async def test_content_filter_in_a_stream(upstream: FakeUpstream, checked_server: CheckedServer) -> None:
    """A content filter in the middle of a stream is how the answer ended, not a failure."""
    upstream.reply("Hel", finish_reason="content_filter")

    answer = await checked_server.answer("StreamComplete")

    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_CONTENT_FILTER
    assert answer.end.provider_finish_reason == "content_filter"


def write_junk(provider: str, junk: str, *, is_first: bool) -> list[bytes]:
    """Returns the two steps of a stream in this provider's protocol that has junk before its first or second delta."""
    hello, dialect = Completion(content=("Hel", "lo")), DIALECTS[provider]
    first, second = dialect.pieces(hello)
    ending = b"".join(dialect.ending(hello, {}))
    line = f"{junk}\n\n".encode()
    return [line, first + second + ending] if is_first else [first, line + second + ending]


JUNK: Final = {"junk-line": "junk", "empty-data": "data:", "half-an-object": "data: {", "number": "data: 7"}
"""What is malformed in every protocol."""
JUNK_OF_CHAT_COMPLETIONS: Final = {
    "no-choices-key": 'data: {"object": "x"}',
    "content-of-a-wrong-type": 'data: {"choices": [{"delta": {"content": 7}}]}',
}
"""What is malformed in OpenAI's chat protocol; other tests have the like for other protocols."""


@pytest.mark.parametrize("retried", [pytest.param(True, id="first"), pytest.param(False, id="after-a-delta")])
@pytest.mark.parametrize(
    ("provider", "junk"),
    [
        pytest.param(provider, line, id=f"{name}-{provider}")
        for lines, providers in ((JUNK, PROTOCOLS), (JUNK_OF_CHAT_COMPLETIONS, ("openai", "azure", "hosted_vllm")))
        for name, line in lines.items()
        for provider in providers
    ],
    indirect=["provider"],
)
async def test_junk_in_a_stream(
    upstream: FakeUpstream, checked_server: CheckedServer, provider: str, junk: str, retried: bool
) -> None:
    """A line that may have held text is an error, and is tried once more only before the first delta."""
    steps = write_junk(provider, junk, is_first=retried)
    gate = upstream.always.lines(*steps, gated=not retried)

    failure = await checked_server.failure("StreamComplete", gate=gate)

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.kinds == ["started", "attempt_switched" if retried else "content_delta"]
    assert failure.interruption.content_characters == (0 if retried else 3)
    assert len(upstream.requests) == (2 if retried else 1)


@EVERY_PROTOCOL
async def test_junk_in_the_stream_of_a_unary_call(
    upstream: FakeUpstream, checked_server: CheckedServer, provider: str
) -> None:
    """A unary call whose stream has a line that may have held text fails, and reports how far its answer had come."""
    upstream.lines(*write_junk(provider, "junk", is_first=False))

    failure = await checked_server.failure("Complete")

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert failure.interruption.content_characters == 3
    assert len(upstream.requests) == 1


ERRORS_IN_STREAM: Final = pytest.mark.parametrize(
    ("error", "code", "reason", "http_status", "requests"),
    [
        pytest.param(DEFAULT_ERROR, UNAVAILABLE, "UPSTREAM_ERROR", "500", 3, id="500"),
        pytest.param({"code": 429}, RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", "429", 1, id="429"),
        pytest.param({"code": None}, UNAVAILABLE, "UPSTREAM_ERROR", "", 3, id="code-null"),
        pytest.param(
            {"type": "overloaded_error", "message": UPSTREAM_SECRET},
            UNAVAILABLE,
            "UPSTREAM_OVERLOADED",
            "529",
            3,
            id="type-only",
        ),
        pytest.param(None, INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", "", 2, id="null"),
    ],
)


@BOTH_RPCS
@ERRORS_IN_STREAM
async def test_error_object_first_in_a_stream(
    upstream: FakeUpstream,
    checked_server: CheckedServer,
    rpc: str,
    error: Any,
    code: grpc.StatusCode,
    reason: str,
    http_status: str,
    requests: int,
) -> None:
    """Before the first delta, an error object is the failure that it names, and is retried like it."""
    upstream.always.error_in_stream(0, error)

    failure = await checked_server.failure(rpc)

    metadata = {"model": "fake"} | ({"http_status": http_status} if http_status else {})
    assert failure.verdict == (code, reason, metadata)
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption.attempt_count == requests
    assert len(upstream.requests) == requests


@ERRORS_IN_STREAM
async def test_error_object_after_three_deltas(
    upstream: FakeUpstream,
    checked_server: CheckedServer,
    error: Any,
    code: grpc.StatusCode,
    reason: str,
    http_status: str,
    requests: int,
) -> None:
    """After deltas, an error object ends the stream at once, and the usage is estimated."""
    gate = upstream.error_in_stream(3, error, gated=True)

    failure = await checked_server.failure("StreamComplete", gate=gate)

    metadata = {"model": "fake"} | ({"http_status": http_status} if http_status else {})
    assert failure.verdict == (code, reason, metadata)
    assert failure.forbids_retries
    assert content_texts(failure.events) == THREE_DELTAS
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(PROMPT_TOKENS, 5), attempt_count=1, last_sequence=3, content_characters=18
    )
    assert len(upstream.requests) == min(requests, 1)


@ERRORS_IN_STREAM
async def test_error_object_after_three_deltas_of_a_unary_call(
    upstream: FakeUpstream,
    checked_server: CheckedServer,
    error: Any,
    code: grpc.StatusCode,
    reason: str,
    http_status: str,
    requests: int,
) -> None:
    """A unary call fails as a stream does that had the deltas before, without a second request."""
    gate = upstream.error_in_stream(3, error, gated=True)

    failure = await fail_behind(gate, checked_server)

    metadata = {"model": "fake"} | ({"http_status": http_status} if http_status else {})
    assert failure.verdict == (code, reason, metadata)
    assert failure.forbids_retries
    assert failure.interruption.content_characters == 18
    assert len(upstream.requests) == min(requests, 1)
