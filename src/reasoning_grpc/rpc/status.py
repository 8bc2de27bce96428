"""Converts our errors to google.rpc.Status: a table of codes, and the details of each status."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.domain import errors
from reasoning_grpc.rpc import convert

DOMAIN: Final = "reasoning-grpc"
PUSHBACK_METADATA: Final = "grpc-retry-pushback-ms"
UPSTREAM_MESSAGE: Final = "upstream_message"
"""The key of the provider's own sentence in the metadata of `ErrorInfo`."""
STATUS_METADATA: Final = "grpc-status-details-bin"
_TYPE_URL: Final = "type.googleapis.com/"
"""What stands before the name of a detail's type. Protobuf's own `Pack` does the same, in twice the time."""
_MAX_DETAIL_BYTES: Final = 4000
"""The limit of message and details together: grpc replaces a larger status by RESOURCE_EXHAUSTED."""

CODES: Final[Mapping[type[errors.ReasoningError], grpc.StatusCode]] = {
    errors.MalformedRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.RequestTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnsupportedParameter: grpc.StatusCode.INVALID_ARGUMENT,
    errors.CredentialsMissing: grpc.StatusCode.UNAUTHENTICATED,
    errors.CredentialsInvalid: grpc.StatusCode.UNAUTHENTICATED,
    errors.ModelNotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    errors.RouteNotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.RouteNotImplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.CallerLimitReached: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ServerOverloaded: grpc.StatusCode.UNAVAILABLE,
    errors.ServerShuttingDown: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamTimeout: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.UpstreamStalled: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.UpstreamUnreachable: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamRestarting: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamCircuitOpen: grpc.StatusCode.UNAVAILABLE,
    errors.ModelsNotListed: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamFailed: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamOverloaded: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamBusy: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamStreamTruncated: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamRateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UpstreamQuotaExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UpstreamCredentialsRejected: grpc.StatusCode.INTERNAL,
    errors.UpstreamKeyRejected: grpc.StatusCode.PERMISSION_DENIED,
    errors.UpstreamModelMissing: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ContextWindowExceeded: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ContentPolicyViolated: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UpstreamParameterUnsupported: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UpstreamRejectedRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UpstreamWireRefused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UpstreamMalformedResponse: grpc.StatusCode.INTERNAL,
    errors.UpstreamEmptyResponse: grpc.StatusCode.INTERNAL,
}
"""The status code of every error that callers can receive."""


@dataclass(frozen=True, slots=True)
class CallStatus:
    """The status of a failed call, in the form that grpc's `abort` takes."""

    code: grpc.StatusCode
    reason: str = ""
    message: str = ""
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()


def call_status(error: errors.ReasoningError, request_id: str, *, passes_upstream_messages: bool = False) -> CallStatus:
    """Returns the status of a call that failed with this error.

    `passes_upstream_messages` says whether the caller gets the provider's own sentence about the request.
    """
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    if passes_upstream_messages and isinstance(error, errors.UpstreamError):
        info.metadata.update(_list_upstream_message(error))
    details: list[Message] = [
        info,
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    retry_after = _retry_after_seconds(error)
    if retry_after is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=_duration(retry_after)))
    if error.progress is not None:
        details.append(convert.interruption(error.progress))
    if isinstance(error, errors.RouteNotImplemented):
        details.append(convert.route_decision(error.decision))
    if isinstance(error, errors.CallerLimitReached):
        violation = error_details_pb2.QuotaFailure.Violation(subject="caller", description=str(error))
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    if error.violations:
        room = _MAX_DETAIL_BYTES - len(quote(str(error))) - sum(_size(detail) for detail in details)
        details.append(_bad_request(error.violations, room))
    return _status(CODES[type(error)], error.reason, str(error), details, retry_after)


def internal_status(request_id: str) -> CallStatus:
    """Returns the status of a call with an unexpected failure. It says nothing about the failure."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    return _status(grpc.StatusCode.INTERNAL, "INTERNAL", "internal error", details, None)


def _list_upstream_message(error: errors.UpstreamError) -> dict[str, str]:
    """Returns the provider's own sentence as metadata, if there is one and it is about the request."""
    is_shown = error.is_about_request and bool(error.upstream_message)
    return {UPSTREAM_MESSAGE: error.upstream_message} if is_shown else {}


def _retry_after_seconds(error: errors.ReasoningError) -> float | None:
    """Returns when the client may try again; None once any delta was sent, because a retry would repeat it."""
    has_sent = error.progress is not None and error.progress.has_sent_output
    return None if has_sent else error.retry_after_seconds


def _status(
    code: grpc.StatusCode, reason: str, message: str, details: list[Message], retry_after: float | None
) -> CallStatus:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add(type_url=_TYPE_URL + detail.DESCRIPTOR.full_name, value=detail.SerializeToString())
    trailers: list[tuple[str, str | bytes]] = [(STATUS_METADATA, status.SerializeToString())]
    if code is grpc.StatusCode.UNAVAILABLE:
        trailers.append((PUSHBACK_METADATA, _pushback(retry_after)))
    return CallStatus(code, reason, message, tuple(trailers))


def _pushback(retry_after: float | None) -> str:
    """Returns the value of `grpc-retry-pushback-ms`: the delay before the client library retries, or -1 for no retry.

    It is sent with UNAVAILABLE alone. With other codes it does harm: grpc-java obeys a delay whatever the code, and
    delays the call instead of failing it; and -1 counts against a client's `retryThrottling`. It is never 0, because
    gRPC's core then waits for ever.
    """
    return "-1" if retry_after is None else str(max(1, round(retry_after * 1000)))


def _bad_request(violations: tuple[errors.FieldViolation, ...], max_bytes: int) -> error_details_pb2.BadRequest:
    """Returns the first violations, as many as fit into this many bytes."""
    bad_request = error_details_pb2.BadRequest()
    for violation in violations:
        added = bad_request.field_violations.add(field=violation.field, description=violation.description)
        if _size(bad_request) > max_bytes:
            bad_request.field_violations.remove(added)
            break
    return bad_request


def _size(detail: Message) -> int:
    """Returns the bytes that a detail takes in the status, including the name of its type."""
    return detail.ByteSize() + len(detail.DESCRIPTOR.full_name) + 32


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
