"""The recorder tells the server's statuses from those that grpc makes up at the client."""

import grpc
import pytest
from google.rpc.status_pb2 import Status

from tests.history.recorder import is_from_server

LATE = grpc.StatusCode.DEADLINE_EXCEEDED
LIMITED = grpc.StatusCode.RESOURCE_EXHAUSTED


def an_error(code: grpc.StatusCode, text: str, sent: grpc.StatusCode | None) -> grpc.aio.AioRpcError:
    """Builds what a client gets, with the trailers of a server that has sent the status `sent`, or nothing."""
    trailers = grpc.aio.Metadata()
    if sent is not None:
        status = Status(code=sent.value[0], message="The server's text.")
        trailers.add("grpc-status-details-bin", status.SerializeToString())
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, text)


@pytest.mark.parametrize(
    ("error", "is_own"),
    [
        (an_error(LIMITED, "The server's text.", LIMITED), True),
        (an_error(LATE, "The server's text.", LATE), True),
        (an_error(LATE, "Deadline Exceeded", None), False),
        (an_error(LATE, "Stream removed (Deadline Exceeded)", LIMITED), False),
        (an_error(LATE, "Stream removed (Deadline Exceeded)", LATE), False),
    ],
    ids=["failure", "late failure", "late client", "late client of a failure", "late client of a late failure"],
)
def test_a_status_is_the_servers_by_its_code_and_text(error: grpc.aio.AioRpcError, *, is_own: bool) -> None:
    """A client whose deadline passes as a failure arrives gets the trailers of the server, and another status."""
    assert is_from_server(error) is is_own
