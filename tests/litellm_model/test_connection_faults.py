"""What callers of both RPCs see of refused, broken, redirected and compressed connections."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.checked_server import (
    BOTH_RPCS,
    EVERY_PROTOCOL,
    INTERNAL,
    PROMPT_TOKENS,
    UNAVAILABLE,
    CheckedServer,
    CheckedServing,
    make_estimated_usage,
    progress,
)
from tests.support.serving import entry_at
from tests.support.upstream import FakeUpstream, refusing_api_base

pytestmark = pytest.mark.thorough


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_refused_connection(checked_serving: CheckedServing, provider: str, rpc: str) -> None:
    """A refused connection is retried, and has no interruption because no upstream was reached."""
    with refusing_api_base() as api_base:
        async with checked_serving(entry_at(api_base, provider)) as checked_server:
            failure = await checked_server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo"]
    assert failure.forbids_retries
    if rpc == "StreamComplete":
        assert failure.kinds == ["started", "attempt_switched", "attempt_switched"]


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_unknown_host(checked_serving: CheckedServing, provider: str, rpc: str) -> None:
    """A host name that does not resolve is an unreachable upstream."""
    entry = entry_at("http://nonexistent.invalid/v1", provider)
    async with checked_serving(entry, max_retries=0) as checked_server:
        failure = await checked_server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo"]


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_closed_on_accept(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """A connection that the upstream closes at once is tried three times."""
    upstream.close_on_accept()

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.forbids_retries
    assert failure.interruption.attempt_count == 3
    assert upstream.connections == 3
    assert upstream.requests == []


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize(
    "break_off",
    [
        pytest.param(lambda script: script.drop("close"), id="close-before-headers"),
        pytest.param(lambda script: script.drop("reset"), id="reset-before-headers"),
        pytest.param(lambda script: script.cut_after(0, "close"), id="close-after-headers"),
        pytest.param(lambda script: script.cut_after(0, "reset"), id="reset-after-headers"),
        pytest.param(lambda script: script.body(b'{"choices', content_length=99), id="short-body"),
    ],
)
async def test_broken_connection(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str, break_off: Callable[..., Any]
) -> None:
    """A connection that breaks before the first delta is tried again, and its possible usage is estimated."""
    break_off(upstream.always)

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "fake"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=make_estimated_usage(3 * PROMPT_TOKENS, 0), attempt_count=3, last_sequence=2
    )
    assert len(upstream.requests) == 3


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_redirect(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """A redirect is not followed and is no answer, so that the key goes to no other server."""
    async with FakeUpstream() as elsewhere:
        upstream.always.redirect(f"{elsewhere.api_base}/chat/completions")

        failure = await checked_server.failure(rpc)

        assert elsewhere.connections == 0
    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake", "http_status": "307"})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
async def test_compressed_answer(upstream: FakeUpstream, checked_server: CheckedServer) -> None:
    """An answer that is compressed although we asked for none is understood."""
    upstream.compressed_bomb(megabytes=1)

    answer = await checked_server.answer("StreamComplete")

    assert answer.text == "x" * 2**20
    assert upstream.requests[0].headers["Accept-Encoding"] == "identity"


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_compressed_bomb(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """An event that expands without end is malformed, and never held in memory as a whole."""
    upstream.always.compressed_bomb(megabytes=256, event_megabytes=256)

    tracemalloc.start()
    try:
        failure = await checked_server.failure(rpc)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert peak_bytes < 100 * 2**20
    assert len(upstream.requests) == 2


@EVERY_PROTOCOL
async def test_unknown_compression(upstream: FakeUpstream, checked_server: CheckedServer) -> None:
    """An unknown encoding that was not requested is malformed."""
    upstream.always.body(b"\x28\xb5\x2f\xfd", headers={"Content-Encoding": "zstd"})

    failure = await checked_server.failure("Complete")

    assert failure.verdict == (INTERNAL, "UPSTREAM_MALFORMED_RESPONSE", {"model": "fake"})
    assert len(upstream.requests) == 2
