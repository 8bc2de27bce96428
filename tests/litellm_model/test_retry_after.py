"""Which delay before another attempt is read from headers and bodies of an upstream."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from reasoning_grpc.domain import errors
from reasoning_grpc.litellm_model.failures.retry_after import MAX_RETRY_AFTER_SECONDS, read_reset, read_retry_after
from tests.support.failures import STATUSES, convert, google_body, http_failure


@pytest.mark.parametrize(
    ("headers", "seconds"), [({}, 34.5), ({"retry-after": "7"}, 7.0)], ids=["alone", "beside-a-header"]
)
def test_google_reports_the_delay_in_the_body(headers: Mapping[str, str], seconds: float) -> None:
    """Google's error body reports the delay before the next attempt, which a header overrides."""
    body = google_body("Quota exceeded.", 429, "RESOURCE_EXHAUSTED", retryDelay="34.5s")

    assert convert(http_failure(429, body, headers)).retry_after_seconds == seconds


NOW: Final = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
RETRY_AFTER: Final[dict[str, tuple[dict[str, str], float | None]]] = {
    "seconds": ({"retry-after": "7"}, 7.0),
    "zero": ({"retry-after": "0"}, 0.0),
    "fraction": ({"retry-after": "2.5"}, 2.5),
    "spaces": ({"retry-after": " 7 "}, 7.0),
    "at-the-limit": ({"retry-after": "300"}, 300.0),
    "clamped": ({"retry-after": "3600"}, 300.0),
    "word": ({"retry-after": "abc"}, None),
    "empty": ({"retry-after": ""}, None),
    "negative": ({"retry-after": "-1"}, None),
    "infinite": ({"retry-after": "inf"}, None),
    "nan": ({"retry-after": "nan"}, None),
    "exponent": ({"retry-after": "1e3"}, None),
    "a-hundred-digits": ({"retry-after": "9" * 100}, None),
    "date": ({"retry-after": "Sun, 01 Nov 2026 12:00:30 GMT"}, 30.0),
    "date-without-a-zone": ({"retry-after": "Sun, 01 Nov 2026 12:00:30 -0000"}, 30.0),
    "date-of-another-zone": ({"retry-after": "Sun, 01 Nov 2026 13:00:30 +0100"}, 30.0),
    "date-far-away": ({"retry-after": "Mon, 02 Nov 2026 12:00:00 GMT"}, 300.0),
    "date-past": ({"retry-after": "Sun, 01 Nov 2026 11:00:00 GMT"}, 0.0),
    "date-impossible": ({"retry-after": "Sun, 31 Feb 2026 12:00:00 GMT"}, None),
    "date-of-a-huge-year": ({"retry-after": f"Sun, 01 Nov {'9' * 20} 12:00:00 GMT"}, None),
    "date-of-a-huge-zone": ({"retry-after": f"Sun, 01 Nov 2026 12:00:00 +{'9' * 20}"}, None),
    "proxy": ({"llm_provider-retry-after": "9"}, 9.0),
    "both": ({"retry-after": "7", "llm_provider-retry-after": "9"}, 7.0),
    "proxy-where-its-own-is-of-no-use": ({"retry-after": "abc", "llm_provider-retry-after": "9"}, 9.0),
    "proxy-where-its-own-is-negative": ({"retry-after": "-1", "llm_provider-retry-after": "9"}, 9.0),
    "milliseconds": ({"retry-after-ms": "7000"}, 7.0),
    "milliseconds-beside-seconds": ({"retry-after-ms": "6500", "retry-after": "7"}, 6.5),
    "milliseconds-of-no-use": ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
    "milliseconds-of-azure": ({"x-ms-retry-after-ms": "250"}, 0.25),
    "milliseconds-of-a-proxy": ({"llm_provider-retry-after-ms": "9000"}, 9.0),
    "duration": ({"retry-after": "1m30.5s"}, 90.5),
    "duration-in-milliseconds": ({"retry-after": "120ms"}, 0.12),
    "timestamp": ({"retry-after": str(int(NOW.timestamp()) + 30)}, 30.0),
    "timestamp-in-milliseconds": ({"retry-after": str((int(NOW.timestamp()) + 30) * 1000)}, 30.0),
    "iso-date": ({"retry-after": "2026-11-01T12:00:30Z"}, 30.0),
    "iso-duration": ({"retry-after": "PT7S"}, 7.0),
    "iso-duration-of-minutes": ({"retry-after": "PT1M30.5S"}, 90.5),
    "iso-duration-with-a-comma": ({"retry-after": "PT0,5S"}, 0.5),
    "iso-duration-of-a-day": ({"retry-after": "P1D"}, 300.0),
    "iso-duration-of-nothing": ({"retry-after": "PT"}, None),
    "list": ({"retry-after": "7, 9"}, 9.0),
    "list-whose-first-is-longer": ({"retry-after": "9,7"}, 9.0),
    "list-with-values-of-no-use": ({"retry-after": "soon, 7, -1"}, 7.0),
    "list-with-a-date": ({"retry-after": "9, Sun, 01 Nov 2026 12:00:30 GMT"}, 30.0),
    "list-of-milliseconds": ({"retry-after-ms": "7000, 250"}, 7.0),
    "none": ({}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER.keys())
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """A usable time in Retry-After is returned, at most five minutes; any other value is ignored."""
    assert read_retry_after(headers, NOW) == seconds


RESETS: Final[dict[str, tuple[dict[str, str], float | None]]] = {
    "of-openai": (
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "12s",
            "x-ratelimit-remaining-tokens": "99",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        12.0,
    ),
    "of-which-both-are-exhausted": (
        {
            "X-RateLimit-Remaining-Requests": "0",
            "X-RateLimit-Reset-Requests": "120ms",
            "X-RateLimit-Remaining-Tokens": "0",
            "X-RateLimit-Reset-Tokens": "1m30s",
        },
        90.0,
    ),
    "without-what-remains": ({"x-ratelimit-reset-requests": "20s", "x-ratelimit-reset-tokens": "8s"}, 8.0),
    "of-anthropic": (
        {
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-01T12:00:40Z",
        },
        40.0,
    ),
    "of-openrouter": ({"X-RateLimit-Reset": str((int(NOW.timestamp()) + 20) * 1000)}, 20.0),
    "of-cerebras": ({"x-ratelimit-reset-tokens-minute": "11.38"}, 11.38),
    "of-the-draft-standard": ({"RateLimit-Reset": "50"}, 50.0),
    "of-mistral": ({"ratelimitbysize-reset": "23"}, 23.0),
    "of-a-proxy": ({"llm_provider-x-ratelimit-reset-requests": "3s"}, 3.0),
    "clamped": ({"x-ratelimit-reset-requests": "24h0m0s"}, 300.0),
    "of-no-use": ({"x-ratelimit-reset-requests": "soon", "x-ratelimit-limit-requests": "60"}, None),
    "none": ({}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), RESETS.values(), ids=RESETS.keys())
def test_the_reset_of_a_limit_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """The reset of the limit that is exhausted is returned, in every form that providers send."""
    assert read_reset(CIMultiDict(headers), NOW) == seconds


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"message": "Rate limit reached. Please try again in 7.66s. Visit our page."}, 7.66),
        ({"message": "Please try again in 1m12.5s."}, 72.5),
        ({"message": "Please try again in 20ms."}, 0.02),
        ({"message": "Please retry after 9 seconds."}, 9.0),
        ({"message": "slow down", "retry_after": 7}, 7.0),
        ({"message": "slow down", "retry_after_ms": 7000}, 7.0),
        ({"message": "slow down", "retryAfterMs": 6500}, 6.5),
        ({"message": "slow down", "retryAfter": "PT7S"}, 7.0),
        ({"message": "slow down", "retry_after": 7, "retry_after_ms": 6500}, 6.5),
        ({"message": "slow down", "retry_after": "soon", "retry_after_ms": 6500}, 6.5),
        ({"message": "slow down", "metadata": {"retry_after_ms": "7000"}}, 7.0),
        ({"message": "slow down", "details": [{"retryAfterMs": 7000}]}, 7.0),
        ({"message": "slow down", "retry_after_ms": None}, None),
        ({"message": "slow down", "metadata": {"retry_after_seconds": 7.5}}, 7.5),
        ({"message": "slow down", "metadata": {"headers": {"Retry-After": "8"}}}, 8.0),
        ({"message": "slow down", "metadata": {"headers": {"X-RateLimit-Reset": "6"}}}, 6.0),
        ("Please try again in 7s", 7.0),
        ({"message": "slow down", "retry_after": "soon", "metadata": {"headers": [7]}}, None),
        ({"message": "slow down"}, None),
    ],
)
def test_the_delay_is_read_from_the_body(error: object, seconds: float | None) -> None:
    """The delay is read from wherever providers write it in the body of a 429."""
    assert convert(http_failure(429, {"error": error})).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("beside", "seconds"), [({"retry_after": 7}, 7.0), ({"retryAfterMs": 6500}, 6.5), ({"retry_after": "soon"}, None)]
)
def test_the_delay_is_read_from_beside_the_error(beside: Mapping[str, object], seconds: float | None) -> None:
    """Some providers write the delay beside the error's object instead of inside it."""
    body = {"error": {"message": "slow down"}, **beside}

    assert convert(http_failure(429, body)).retry_after_seconds == seconds


def test_a_reset_is_no_delay_of_another_failure() -> None:
    """A provider that sends the resets of its limits with every answer does not ask for a delay after a 500."""
    headers = CIMultiDict({"x-ratelimit-reset-requests": "12s"})

    assert convert(http_failure(429, b"", headers)).retry_after_seconds == 12.0
    assert convert(http_failure(500, b"", headers)).retry_after_seconds is None


@given(
    st.text()
    | st.from_regex(r"(P(\d+D)?T)?(\d+[HMS,. ]*)*", fullmatch=True)
    | st.from_regex(r"(Sun, )?\d+ Nov \d+ \d+:\d+(:\d+)? ([+-]\d+|GMT|[A-Z]{3})", fullmatch=True)
)
def test_any_retry_after(text: str) -> None:
    """No value of Retry-After raises an error or asks for a time outside the limits."""
    for seconds in (read_retry_after({"retry-after": text}, NOW), read_reset({"x-ratelimit-reset": text}, NOW)):
        assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@pytest.mark.parametrize("status", STATUSES, ids=str)
def test_only_some_errors_report_retry_after(status: int) -> None:
    """Retry-After is reported only for a limited rate, a failure and an overload, in whatever case it is written."""
    error = convert(http_failure(status, b"", CIMultiDict({"Retry-After": "7"})))

    timed = {errors.UpstreamRateLimited, errors.UpstreamFailed, errors.UpstreamOverloaded}
    assert error.retry_after_seconds == (7.0 if type(error) in timed else None)
