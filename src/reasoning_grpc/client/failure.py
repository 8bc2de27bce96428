"""`CallFailed`: what a status says."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.v1 import interruption_pb2, routing_pb2

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request, and what is wrong with it."""

    field: str
    description: str


class CallFailed(Exception):
    """A call ended with a status that is not OK. Made of grpc's own error, it reads the details of the status."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        status = _rich_status(error)
        info = _detail(status, error_details_pb2.ErrorInfo)
        request_info = _detail(status, error_details_pb2.RequestInfo)
        retry_info = _detail(status, error_details_pb2.RetryInfo)
        bad_request = _detail(status, error_details_pb2.BadRequest)
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.reason: str = info.reason if info else ""
        """A reason of `ErrorReason`, without its prefix; empty when grpc itself ended the call."""
        self.domain: str = info.domain if info else ""
        """"reasoning-grpc", whose reasons these are."""
        self.metadata: dict[str, str] = dict(info.metadata) if info else {}
        self.request_id: str = request_info.request_id if request_info else ""
        self.retry_after_seconds: float | None = (
            retry_info.retry_delay.seconds + retry_info.retry_delay.nanos / 1e9 if retry_info else None
        )
        """When to try again; None when a retry is of no use, or would repeat what was sent."""
        self.violations: tuple[FieldViolation, ...] = tuple(
            FieldViolation(violation.field, violation.description)
            for violation in (bad_request.field_violations if bad_request else ())
        )
        self.interruption: interruption_pb2.Interruption | None = _detail(status, interruption_pb2.Interruption)
        """How far the call had come, when an upstream was reached."""
        self.route_decision: routing_pb2.RouteDecision | None = _detail(status, routing_pb2.RouteDecision)
        """The decision, when this build does not serve it."""


def _rich_status(error: grpc.aio.AioRpcError) -> Status:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            with suppress(DecodeError):  # details that cannot be read must not hide the status
                return Status.FromString(value)
    return Status()


def _detail(status: Status, kind: type[M]) -> M | None:
    for packed in status.details:
        detail = kind()
        with suppress(DecodeError):
            if packed.Unpack(detail):
                return detail
    return None
