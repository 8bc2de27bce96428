"""What callers of both RPCs see when an upstream answers with an HTTP status that is not a success."""

from typing import Any

import grpc
import pytest

from reasoning_grpc.client import FieldViolation
from tests.support.checked_server import (
    BOTH_RPCS,
    DEADLINE_EXCEEDED,
    EVERY_PROTOCOL,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    NOTHING_USED,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    CheckedServer,
    progress,
)
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

pytestmark = pytest.mark.thorough


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize(
    ("status", "code", "reason", "requests"),
    [
        (400, INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST", 1),
        (401, INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED", 1),
        (402, RESOURCE_EXHAUSTED, "UPSTREAM_QUOTA_EXHAUSTED", 1),
        (403, INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED", 1),
        (404, FAILED_PRECONDITION, "UPSTREAM_MODEL_MISSING", 1),
        (408, DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 1),
        (409, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (413, INVALID_ARGUMENT, "CONTEXT_WINDOW_EXCEEDED", 1),
        (422, INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST", 1),
        (424, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (429, RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", 1),
        (500, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (502, UNAVAILABLE, "UPSTREAM_ERROR", 3),
        (503, UNAVAILABLE, "UPSTREAM_OVERLOADED", 3),
        (504, DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 1),
        (529, UNAVAILABLE, "UPSTREAM_OVERLOADED", 3),
    ],
)
async def test_http_statuses(
    upstream: FakeUpstream,
    checked_server: CheckedServer,
    rpc: str,
    status: int,
    code: grpc.StatusCode,
    reason: str,
    requests: int,
) -> None:
    """Each HTTP status leads to its code, reason and number of requests, and to a usage of nothing."""
    upstream.always.fail(status)

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (code, reason, {"model": "fake", "http_status": str(status)})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert failure.interruption == progress(
        failure, usage=NOTHING_USED, attempt_count=requests, last_sequence=requests - 1
    )
    assert len(upstream.requests) == requests
    if rpc == "StreamComplete":
        assert failure.kinds == ["started"] + ["attempt_switched"] * (requests - 1)


@BOTH_RPCS
@pytest.mark.parametrize(
    ("failing", "code", "reason"),
    [
        pytest.param(
            {"status": 400, "code": "context_length_exceeded"},
            INVALID_ARGUMENT,
            "CONTEXT_WINDOW_EXCEEDED",
            id="context-window",
        ),
        pytest.param(
            {"status": 400, "code": "content_policy_violation"}, INVALID_ARGUMENT, "CONTENT_POLICY", id="policy"
        ),
        pytest.param({"status": 400, "code": "content_filter"}, INVALID_ARGUMENT, "CONTENT_POLICY", id="filter"),
        pytest.param(
            {"status": 429, "code": "insufficient_quota"},
            RESOURCE_EXHAUSTED,
            "UPSTREAM_QUOTA_EXHAUSTED",
            id="insufficient-quota",
        ),
        pytest.param(
            {"status": 400, "code": "budget_exceeded"},
            RESOURCE_EXHAUSTED,
            "UPSTREAM_QUOTA_EXHAUSTED",
            id="budget-under-400",
        ),
        pytest.param(
            {"status": 400, "code": "no_db_connection"},
            INTERNAL,
            "UPSTREAM_CREDENTIALS_REJECTED",
            id="key-refused-by-a-proxy",
        ),
        pytest.param(
            {"status": 400, "message": "Invalid model name passed in model=fake"},
            FAILED_PRECONDITION,
            "UPSTREAM_MODEL_MISSING",
            id="model-unknown-to-a-proxy",
        ),
    ],
)
async def test_bodies_that_say_more_than_their_status(
    upstream: FakeUpstream,
    checked_server: CheckedServer,
    rpc: str,
    failing: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    """What a body says decides before its status, and the request is not retried."""
    upstream.always.fail(**failing)

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (code, reason, {"model": "fake", "http_status": str(failing["status"])})
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption"]
    assert failure.forbids_retries
    assert len(upstream.requests) == 1


async def test_a_parameter_that_the_model_does_not_take(upstream: FakeUpstream, checked_server: CheckedServer) -> None:
    """A refused parameter is named as a field of the request."""
    error = {"error": {"message": UPSTREAM_SECRET, "code": "unsupported_parameter", "param": "seed"}}
    upstream.fail(400, body=error)

    failure = await checked_server.failure("Complete")

    metadata = {"model": "fake", "http_status": "400"}
    assert failure.verdict == (INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER", metadata)
    assert failure.details == ["ErrorInfo", "RequestInfo", "Interruption", "BadRequest"]
    assert failure.error.violations == (FieldViolation("sampling.seed", "The model does not take it."),)


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_a_server_error_that_mentions_a_rate_limit(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str
) -> None:
    """A 500 stays a failure of the upstream, and is retried, whatever its text says."""
    upstream.always.fail(500, message="rate limit reached")

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_ERROR", {"model": "fake", "http_status": "500"})
    assert len(upstream.requests) == 3


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({"retry-after-ms": "7000"}, 7.0, id="milliseconds"),
        pytest.param({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m12s"}, 72.0, id="reset"),
    ],
)
async def test_delays_in_other_headers(
    upstream: FakeUpstream, checked_server: CheckedServer, headers: dict[str, str], seconds: float
) -> None:
    """The delay of a 429 is reported, whichever header has it."""
    upstream.fail(429, headers=headers)

    failure = await checked_server.failure("StreamComplete")

    assert failure.verdict[1] == "UPSTREAM_RATE_LIMITED"
    assert failure.error.retry_after_seconds == seconds


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        pytest.param("PT7S", 7.0, id="iso-duration"),
        pytest.param("7, 9", 9.0, id="list"),
        pytest.param("7", 7.0, id="seconds"),
        pytest.param("0.25", 0.25, id="fraction"),
        pytest.param("3600", 300.0, id="clamped"),
        pytest.param("Fri, 01 Jan 2100 00:00:00 GMT", 300.0, id="date-clamped"),
        pytest.param("Sat, 01 Jan 2000 00:00:00 GMT", 0.0, id="date-passed"),
        pytest.param("abc", None, id="no-number"),
        pytest.param("-1", None, id="negative"),
    ],
)
async def test_retry_after_of_a_rate_limit(
    upstream: FakeUpstream, checked_server: CheckedServer, rpc: str, retry_after: str, seconds: float | None
) -> None:
    """The Retry-After of a 429 is reported in the details, limited in length; the server does not retry the call."""
    upstream.fail(429, headers={"Retry-After": retry_after})

    failure = await checked_server.failure(rpc)

    assert failure.verdict == (
        RESOURCE_EXHAUSTED,
        "UPSTREAM_RATE_LIMITED",
        {"model": "fake", "http_status": "429"},
    )
    assert failure.error.retry_after_seconds == seconds
    assert failure.pushback == ""
    retry_info = [] if seconds is None else ["RetryInfo"]
    assert failure.details == ["ErrorInfo", "RequestInfo", *retry_info, "Interruption"]
    assert len(upstream.requests) == 1


@EVERY_PROTOCOL
@pytest.mark.parametrize(
    ("retry_after", "deadline_seconds", "requests"),
    [
        pytest.param("0.01", None, 3, id="soon"),
        pytest.param("6", None, 1, id="later-than-our-limit"),
        pytest.param("4", 3.0, 1, id="later-than-the-deadline"),
    ],
)
async def test_retry_after_of_an_overloaded_upstream(
    upstream: FakeUpstream,
    checked_server: CheckedServer,
    retry_after: str,
    deadline_seconds: float | None,
    requests: int,
) -> None:
    """The Retry-After of a 503 is always reported; the server retries only if the delay is short."""
    upstream.always.fail(503, headers={"Retry-After": retry_after})

    failure = await checked_server.failure("StreamComplete", timeout_seconds=deadline_seconds)

    assert failure.verdict == (UNAVAILABLE, "UPSTREAM_OVERLOADED", {"model": "fake", "http_status": "503"})
    assert failure.error.retry_after_seconds == float(retry_after)
    assert failure.pushback == str(round(float(retry_after) * 1000))
    assert failure.details == ["ErrorInfo", "RequestInfo", "RetryInfo", "Interruption"]
    assert len(upstream.requests) == requests
