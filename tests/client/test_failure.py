"""The Python client reads the details of a failed call."""

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed


def create_failure(details: bytes) -> CallFailed:
    """Creates the error of a call whose status has these details."""
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", details))
    return CallFailed(grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailers, "broken"))


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
