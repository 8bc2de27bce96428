"""Our errors -> google.rpc.Status: one table, and the details that go with each row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.domain import errors
from reasoning_grpc.rpc import convert

DOMAIN: Final = "reasoning-grpc"
PUSHBACK_METADATA: Final = "grpc-retry-pushback-ms"
STATUS_METADATA: Final = "grpc-status-details-bin"
_MOST_DETAIL_BYTES: Final = 4000
"""grpc replaces a larger status by RESOURCE_EXHAUSTED."""

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
    errors.ModelsNotListed: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamFailed: grpc.StatusCode.UNAVAILABLE,
    errors.UpstreamOverloaded: grpc.StatusCode.UNAVAILABLE,
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
    errors.UpstreamMalformedResponse: grpc.StatusCode.INTERNAL,
    errors.UpstreamEmptyResponse: grpc.StatusCode.INTERNAL,
}
"""The code of every error that callers can meet."""


@dataclass(frozen=True, slots=True)
class CallStatus:
    """How a failed call ends: what grpc's `abort` wants."""

    code: grpc.StatusCode
    reason: str
    message: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def call_status(error: errors.ReasoningError, request_id: str) -> CallStatus:
    """How a call ends that failed with an error of ours."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata),
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
        details.append(_bad_request(error.violations, _MOST_DETAIL_BYTES - sum(_size(detail) for detail in details)))
    return _status(CODES[type(error)], error.reason, str(error), details, retry_after)


def internal_status(request_id: str) -> CallStatus:
    """How a call ends that failed in a way we did not foresee; it says nothing of what happened."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    return _status(grpc.StatusCode.INTERNAL, "INTERNAL", "internal error", details, None)


def _retry_after_seconds(error: errors.ReasoningError) -> float | None:
    """When the client may try again; None after any piece of the answer: a retry would repeat it."""
    sent = error.progress is not None and error.progress.anything_sent
    return None if sent else error.retry_after_seconds


def _status(
    code: grpc.StatusCode, reason: str, message: str, details: list[Message], retry_after: float | None
) -> CallStatus:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    trailers: list[tuple[str, str | bytes]] = [(STATUS_METADATA, status.SerializeToString())]
    if code is grpc.StatusCode.UNAVAILABLE:
        trailers.append((PUSHBACK_METADATA, _pushback(retry_after)))
    return CallStatus(code, reason, message, tuple(trailers))


def _pushback(retry_after: float | None) -> str:
    """What the client's library is to do by itself, in milliseconds; it goes with UNAVAILABLE alone.

    Elsewhere it does harm: grpc-java obeys a time whatever the code, and holds the call back instead of failing it; a
    -1 counts against a client's `retryThrottling`. Never 0, for which gRPC's core waits for ever.
    """
    return "-1" if retry_after is None else str(max(1, round(retry_after * 1000)))


def _bad_request(violations: tuple[errors.FieldViolation, ...], most_bytes: int) -> error_details_pb2.BadRequest:
    """As many violations as there is room for, in their order."""
    bad_request = error_details_pb2.BadRequest()
    for violation in violations:
        shown = bad_request.field_violations.add(field=violation.field, description=violation.description)
        if _size(bad_request) > most_bytes:
            bad_request.field_violations.remove(shown)
            break
    return bad_request


def _size(detail: Message) -> int:
    """Bytes that a detail takes in the status, its type's name included."""
    return detail.ByteSize() + len(detail.DESCRIPTOR.full_name) + 32


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
