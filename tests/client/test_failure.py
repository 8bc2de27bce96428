"""The Python client reads the details of a failed call."""

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed
from tests.support.factories import a_wire_request
from tests.support.wire_calls import expect_failure


def create_failure(details: bytes) -> CallFailed:
    """Creates the error of a call whose status has these details."""
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", details))
    return CallFailed(grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailers, "broken"))


def pack(*details: Message) -> bytes:
    """Returns a status with these details."""
    status = Status()
    for detail in details:
        status.details.add().Pack(detail)
    return status.SerializeToString()


async def test_the_text_of_a_failure_names_reason_and_field(stub: Any) -> None:
    """The text of a failure has its code, its reason and the first invalid field, once."""
    failed = await expect_failure(stub.Complete(a_wire_request(model="fake\n")))

    assert str(failed) == (
        "INVALID_ARGUMENT (INVALID_FIELD): The request has invalid fields; see the field violations. "
        "model: It must be printable."
    )


def test_the_text_of_a_failure_adds_a_field_that_its_message_lacks() -> None:
    """The text has the first invalid field also when the server's message does not name it."""
    fields = [BadRequest.FieldViolation(field=name, description="It is wrong.") for name in ("a", "b")]

    with_reason = create_failure(pack(ErrorInfo(reason="INVALID_FIELD"), BadRequest(field_violations=fields)))
    without_reason = create_failure(b"")

    assert str(with_reason) == "INTERNAL (INVALID_FIELD): broken a: It is wrong."
    assert str(without_reason) == "INTERNAL: broken"


def test_broken_details_do_not_hide_the_status() -> None:
    """When the details cannot be parsed, code and message can still be read."""
    failed = create_failure(b"\xff\xff")

    assert (failed.code, failed.message, failed.reason) == (grpc.StatusCode.INTERNAL, "broken", "")


def test_a_broken_detail_does_not_hide_the_others() -> None:
    """When one detail cannot be parsed, the other details can still be read."""
    broken, request = Packed(), Packed()
    broken.Pack(RetryInfo())
    broken.value = b"\xff\xff"
    request.Pack(RequestInfo(request_id="req_1"))

    failed = create_failure(Status(details=[broken, request]).SerializeToString())

    assert (failed.retry_after_seconds, failed.request_id) == (None, "req_1")
