"""Status, headers and body of an error of an upstream: an input is two bytes of status, a line of headers, the body."""

from typing import Final

from multidict import CIMultiDict

from reasoning_grpc.domain.errors import ReasoningError
from reasoning_grpc.litellm_model import HttpFailure, convert_failure
from reasoning_grpc.rpc import call_status
from tests.support.factories import a_call, a_deployment

STATUSES: Final = (400, 401, 402, 403, 404, 407, 408, 409, 413, 418, 422, 424, 429, 498, 500, 502, 503, 504, 529, 302)
HEADERS: Final = ("retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-amzn-errortype", "date")
_DEPLOYMENT: Final = a_deployment()


def read_refusal(data: bytes) -> None:
    """Converts the error to a status, which is never INTERNAL."""
    if not data:
        return
    line, _, body = data[1:].partition(b"\n")
    values = line.decode("latin-1").split("\t")
    headers = CIMultiDict(zip(HEADERS, values, strict=False))
    failure = HttpFailure(STATUSES[data[0] % len(STATUSES)], headers, body)

    error = convert_failure(failure, _DEPLOYMENT, is_upstream_reached=True, call=a_call())

    assert isinstance(error, ReasoningError)
    status = call_status(error, "req_1", passes_upstream_messages=True)
    assert status.reason != "INTERNAL"
    assert status.message
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds < 1e9
