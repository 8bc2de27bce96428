"""Converts our errors to google.rpc.Status: a table of codes, and the details of each status."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
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
_DETAIL_BYTES: Final = 64
"""The bytes that a detail takes beside its own, at most: for the name of its type, and for three lengths."""
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
    code, message, metadata = CODES[type(error)], str(error), dict(error.metadata)
    if passes_upstream_messages and isinstance(error, errors.UpstreamError):
        metadata.update(_list_upstream_message(error))
    if metadata or error.violations:
        parts = [_encode_start(code, message, error_details_pb2.ErrorInfo(reason=error.reason, metadata=metadata))]
    else:
        parts = [_encode_plain_start(code, message, error.reason)]
    parts.append(_encode_request_info(request_id))
    retry_after = _retry_after_seconds(error)
    if retry_after is not None:
        parts.append(_encode_retry_info(round(retry_after * 1000)))
    if error.progress is not None:
        parts.append(_encode(convert.interruption(error.progress)))
    if isinstance(error, errors.RouteNotImplemented):
        parts.append(_encode(convert.route_decision(error.decision)))
    if isinstance(error, errors.CallerLimitReached):
        violation = error_details_pb2.QuotaFailure.Violation(subject="caller", description=message)
        parts.append(_encode(error_details_pb2.QuotaFailure(violations=[violation])))
    if error.violations:
        room = _MAX_DETAIL_BYTES - len(quote(message)) - sum(map(len, parts))
        parts.append(_encode(_bad_request(error.violations, room)))
    return _status(code, error.reason, message, parts, retry_after)


def internal_status(request_id: str, progress: errors.Progress | None) -> CallStatus:
    """Returns the status of a call with an unexpected failure. It says nothing about the failure."""
    code, reason, message = grpc.StatusCode.INTERNAL, "INTERNAL", "internal error"
    parts = [_encode_plain_start(code, message, reason), _encode_request_info(request_id)]
    if progress is not None:
        parts.append(_encode(convert.interruption(progress)))
    return _status(code, reason, message, parts)


def _list_upstream_message(error: errors.UpstreamError) -> dict[str, str]:
    """Returns the provider's own sentence as metadata, if there is one and it is about the request."""
    is_shown = error.is_about_request and bool(error.upstream_message)
    return {UPSTREAM_MESSAGE: error.upstream_message} if is_shown else {}


def _retry_after_seconds(error: errors.ReasoningError) -> float | None:
    """Returns when the client may try again; None once any delta was sent, because a retry would repeat it."""
    has_sent = error.progress is not None and error.progress.has_sent_output
    return None if has_sent else error.retry_after_seconds


def _status(
    code: grpc.StatusCode, reason: str, message: str, parts: list[bytes], retry_after: float | None = None
) -> CallStatus:
    """Returns the status whose encoding consists of these parts. Fields may follow in any number of parts."""
    trailers: list[tuple[str, str | bytes]] = [(STATUS_METADATA, b"".join(parts))]
    if code is grpc.StatusCode.UNAVAILABLE:
        trailers.append((PUSHBACK_METADATA, _pushback(retry_after)))
    return CallStatus(code, reason, message, tuple(trailers))


def _encode_start(code: grpc.StatusCode, message: str, info: error_details_pb2.ErrorInfo) -> bytes:
    """Encodes the part of a status that says what happened."""
    info.domain = DOMAIN
    return Status(code=code.value[0], message=message).SerializeToString() + _encode(info)


@lru_cache(256)
def _encode_plain_start(code: grpc.StatusCode, message: str, reason: str) -> bytes:
    """Encodes the part of a status that says what happened, where nothing in it is of the call."""
    return _encode_start(code, message, error_details_pb2.ErrorInfo(reason=reason))


def _encode_request_info(request_id: str) -> bytes:
    """Encodes the id of a request as a detail. The id is its end, and what stands before depends on its length."""
    encoded = request_id.encode()
    return _encode_request_info_before(len(encoded)) + encoded


@lru_cache(256)
def _encode_request_info_before(length: int) -> bytes:
    encoded = _encode(error_details_pb2.RequestInfo(request_id="x" * length))
    return encoded[: len(encoded) - length]


@lru_cache(2048)
def _encode_retry_info(milliseconds: int) -> bytes:
    delay = Duration()
    delay.FromMilliseconds(milliseconds)
    return _encode(error_details_pb2.RetryInfo(retry_delay=delay))


def _encode(detail: Message) -> bytes:
    """Encodes a detail as a part of a status."""
    status = Status()
    status.details.add(type_url=_TYPE_URL + detail.DESCRIPTOR.full_name, value=detail.SerializeToString())
    return status.SerializeToString()


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
        if bad_request.ByteSize() + _DETAIL_BYTES > max_bytes:
            bad_request.field_violations.remove(added)
            break
    return bad_request
