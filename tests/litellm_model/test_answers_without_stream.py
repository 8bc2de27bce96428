"""What callers of both RPCs see of a 200 that has no stream, or a stream without an answer."""

from typing import Any

import pytest

from reasoning_grpc.v1 import completion_pb2, usage_pb2
from tests.support.checked_server import (
    BOTH_RPCS,
    EVERY_PROTOCOL,
    INTERNAL,
    PROMPT_TOKENS,
    UNAVAILABLE,
    CheckedServer,
    make_estimated_usage,
    progress,
)
from tests.support.upstream import FakeUpstream, chunk

pytestmark = pytest.mark.thorough


@BOTH_RPCS
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param({"data": b'{"choices": [{'}, "UPSTREAM_MALFORMED_RESPONSE", id="malformed-json"),
        pytest.param(
            {"data": b"<html>busy</html>", "content_type": "text/html"}, "UPSTREAM_MALFORMED_RESPONSE", id="html"
        ),
        pytest.param({"data": b"<html>busy</html>"}, "UPSTREAM_MALFORMED_RESPONSE", id="html-called-json"),
        pytest.param(
            {"data": b"<html>busy</html>", "content_type": "text/event-stream"},
            "UPSTREAM_MALFORMED_RESPONSE",
            id="html-called-stream",
        ),
        pytest.param({"data": b"{}"}, "UPSTREAM_MALFORMED_RESPONSE", id="empty-object"),
        pytest.param(
            {"data": b"{}", "content_type": "text/plain"}, "UPSTREAM_MALFORMED_RESPONSE", id="empty-object-called-text"
        ),
        pytest.param(
            {"data": b'{"choices": [{', "content_type": "text/event-stream"},
            "UPSTREAM_MALFORMED_RESPONSE",
            id="malformed-json-called-stream",
        ),
        pytest.param(
            {"data": b"busy", "content_type": "application/vnd.api+json"},
            "UPSTREAM_MALFORMED_RESPONSE",
            id="text-called-another-json",
        ),
        pytest.param({"data": b"[" * 5000}, "UPSTREAM_MALFORMED_RESPONSE", id="deeply-nested"),
        pytest.param({"data": b"[]"}, "UPSTREAM_MALFORMED_RESPONSE", id="no-object"),
        pytest.param(
            {"data": b"data: \xff\n\n", "content_type": "text/event-stream"},
            "UPSTREAM_MALFORMED_RESPONSE",
            id="no-utf-8",
        ),
        pytest.param({"data": b""}, "UPSTREAM_EMPTY_RESPONSE", id="empty-json-body"),
        pytest.param(
            {"data": b"", "content_type": "text/event-stream"}, "UPSTREAM_EMPTY_RESPONSE", id="empty-stream-body"
        ),
        pytest.param({"data": b'{"choices": []}'}, "UPSTREAM_EMPTY_RESPONSE", id="no-choices"),
        pytest.param({"data": b'{"choices": null}'}, "UPSTREAM_EMPTY_RESPONSE", id="null-choices"),
        pytest.param(
            {"data": b'{"choices": [{"message": {"content": null}, "finish_reason": null}]}'},
            "UPSTREAM_EMPTY_RESPONSE",
            id="null-content-unfinished",
        ),
    ],
)
async def test_success_without_an_answer(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str, script: dict[str, Any], reason: str
) -> None:
    """A 200 without an answer of the protocol is tried once more."""
    upstream.always.body(**script)

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (INTERNAL, reason, {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(2 * PROMPT_TOKENS, 0), attempt_count=2, last_sequence=1
    )
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_error_object_in_a_200(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """An error object in a 200 counts as the status that it names, and is retried like it."""
    upstream.always.body(b'{"error": {"message": "upstream-secret-7f3a", "code": 503}}')

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_OVERLOADED", {"model": "fake", "http_status": "503"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 3


@BOTH_RPCS
@pytest.mark.parametrize(
    ("content_type", "before"),
    [
        ("application/json", b""),
        ("text/plain", b""),
        ("text/plain; charset=utf-8", b"\r\n \n"),
        ("application/problem+json", b""),
        ("application/vnd.api+json", b"\n"),
        ("text/event-stream", b""),
        ("text/html", b""),
        ("", b""),
    ],
)
async def test_whole_answer_instead_of_a_stream(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str, content_type: str, before: bytes
) -> None:
    """An upstream that answers a streaming request with one JSON body is understood, whatever type it gives."""
    upstream.body(
        before + b'{"choices": [{"message": {"content": "Hello"},\n "finish_reason": "length"}],'
        b' "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}}\n',
        content_type=content_type,
    )

    answer = await checked_server.answer(rpc)

    assert answer.text == "Hello"
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_LENGTH
    assert (answer.end.usage.total_tokens, answer.end.usage.source) == (6, usage_pb2.USAGE_SOURCE_PROVIDER)


@BOTH_RPCS
@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([{"choices": []}], id="no-choices"),
        pytest.param([chunk({"content": None})], id="null-content"),
        pytest.param([chunk({"role": "assistant"})], id="role-only"),
        pytest.param([chunk({"content": ""})], id="empty-content"),
    ],
)
async def test_stream_of_nothing(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str, chunks: list[dict[str, Any]]
) -> None:
    """A stream with neither text nor finish reason is an empty answer, and is tried once more."""
    upstream.always.chunks(*chunks, done=True)

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (INTERNAL, "UPSTREAM_EMPTY_RESPONSE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 2


@BOTH_RPCS
async def test_null_content_with_a_finish_reason(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str
) -> None:
    """An empty answer with a real finish reason is OK."""
    upstream.chunks(chunk({"content": None}), finish="stop", done=True)

    answer = await checked_server.answer(rpc)

    assert answer.text == ""
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert len(upstream.requests) == 1
