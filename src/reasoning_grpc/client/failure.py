"""`CallFailed` has the details of a failed call."""

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
    """An invalid field of the request, and what is wrong with it."""

    field: str
    description: str


class CallFailed(Exception):
    """A call failed. The error reads the details of the status from the error of grpc that it is created from."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        status = _read_status(error)
        info = _find_detail(status, error_details_pb2.ErrorInfo)
        request_info = _find_detail(status, error_details_pb2.RequestInfo)
        retry_info = _find_detail(status, error_details_pb2.RetryInfo)
        bad_request = _find_detail(status, error_details_pb2.BadRequest)
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.reason: str = info.reason if info else ""
        """The name of a value of `ErrorReason` without its prefix; empty when gRPC itself ended the call."""
        self.domain: str = info.domain if info else ""
        """The system that gave the reason: `reasoning-grpc`, or empty without a reason."""
        self.metadata: dict[str, str] = dict(info.metadata) if info else {}
        self.request_id: str = request_info.request_id if request_info else ""
        self.retry_after_seconds: float | None = (
            retry_info.retry_delay.seconds + retry_info.retry_delay.nanos / 1e9 if retry_info else None
        )
        """The time to wait before the same call may be sent again; None means that it should not be sent again."""
        self.violations: tuple[FieldViolation, ...] = tuple(
            FieldViolation(violation.field, violation.description)
            for violation in (bad_request.field_violations if bad_request else ())
        )
        self.interruption: interruption_pb2.Interruption | None = _find_detail(status, interruption_pb2.Interruption)
        """The progress of the call before it failed; None when no upstream was reached."""
        self.route_decision: routing_pb2.RouteDecision | None = _find_detail(status, routing_pb2.RouteDecision)
        """The route decision; None unless the server does not serve the route that it chose."""
        super().__init__(self._describe())

    def _describe(self) -> str:
        """Returns code, reason and message, and the first violation unless the message has it already."""
        name = f"{self.code.name} ({self.reason})" if self.reason else self.code.name
        violations = [f"{violation.field}: {violation.description}" for violation in self.violations[:1]]
        return " ".join([f"{name}: {self.message}", *(each for each in violations if each not in self.message)])


def _read_status(error: grpc.aio.AioRpcError) -> Status:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            with suppress(DecodeError):  # broken details must not hide the status
                return Status.FromString(value)
    return Status()


def _find_detail(status: Status, kind: type[M]) -> M | None:
    for packed in status.details:
        detail = kind()
        with suppress(DecodeError):
            if packed.Unpack(detail):
                return detail
    return None
