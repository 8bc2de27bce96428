"""Which error of ours an HTTP status becomes, where the body says no more."""

from typing import Final

import pytest

from reasoning_grpc.domain import errors
from reasoning_grpc.domain.errors import UpstreamError
from tests.support.failures import CALLERS_KEY, SECRET, STATUSES, convert, http_failure, openai_body

MEANINGLESS: Final[dict[str, object]] = {
    "openai": openai_body("The request failed.", "some_code", "some_type", "some_param"),
    "code-is-the-status-of-another": openai_body("The request failed.", "200"),
    "nothing": b"",
    "html": b"<html>" + SECRET.encode() + b"</html>",
    "cut": b'{"error": {"message": "' + SECRET.encode(),
    "not-utf-8": b'{"error": "\xff"}',
    "deep": b"[" * 50_000,
    "list": [openai_body("The request failed.")],
    "null": None,
    "error-null": {"error": None},
    "error-text": {"error": SECRET},
    "error-list": {"error": [SECRET]},
    "detail-text": {"detail": SECRET},
    "detail-list": {"detail": [{"loc": ["body"], "msg": SECRET}]},
    "fields-of-another-type": {"error": {"message": 7, "code": [], "type": {}, "param": 7, "status": "x"}},
}
"""Bodies that say no more than the status does."""


@pytest.mark.parametrize("body", MEANINGLESS.values(), ids=MEANINGLESS.keys())
@pytest.mark.parametrize(("status", "expected"), STATUSES.items(), ids=map(str, STATUSES))
def test_the_status_decides_without_a_meaningful_body(status: int, body: object, expected: type[UpstreamError]) -> None:
    """Where the body says no more than the status, the status decides."""
    error = convert(http_failure(status, body))

    assert type(error) is expected
    assert error.http_status == status
    assert error.is_upstream_reached
    assert error.violations == ()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_of_the_caller_is_the_callers_failure(status: int) -> None:
    """A refused key that belongs to the caller is a failure that the caller can fix."""
    error = convert(http_failure(status, openai_body("Incorrect API key provided.", "invalid_api_key")), CALLERS_KEY)

    assert type(error) is errors.UpstreamKeyRejected
