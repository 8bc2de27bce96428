"""Which delay before another attempt is read from headers and bodies of an upstream."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from reasoning_grpc.domain import errors
from reasoning_grpc.litellm_model.failures.retry_after import MAX_RETRY_AFTER_SECONDS, read_retry_after
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
    "none": ({}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER.keys())
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """A usable time in Retry-After is returned, at most five minutes; any other value is ignored."""
    assert read_retry_after(headers, NOW) == seconds


@given(st.text() | st.from_regex(r"(Sun, )?\d+ Nov \d+ \d+:\d+(:\d+)? ([+-]\d+|GMT|[A-Z]{3})", fullmatch=True))
def test_any_retry_after(text: str) -> None:
    """No value of Retry-After raises an error or asks for a time outside the limits."""
    seconds = read_retry_after({"retry-after": text}, NOW)

    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@pytest.mark.parametrize("status", STATUSES, ids=str)
def test_only_some_errors_report_retry_after(status: int) -> None:
    """Retry-After is reported only for a limited rate, a failure and an overload, in whatever case it is written."""
    error = convert(http_failure(status, b"", CIMultiDict({"Retry-After": "7"})))

    timed = {errors.UpstreamRateLimited, errors.UpstreamFailed, errors.UpstreamOverloaded}
    assert error.retry_after_seconds == (7.0 if type(error) in timed else None)
