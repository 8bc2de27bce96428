"""What gRPC logs of an answer that could not be sent, and what it logs of anything else."""

import logging

import pytest
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from reasoning_grpc.server.lost_answers import expect_lost_answers


@pytest.mark.parametrize(("error", "is_logged"), [(cygrpc.ExecuteBatchError, False), (cygrpc.InternalError, True)])
def test_an_answer_that_could_not_be_sent_is_no_error(
    caplog: pytest.LogCaptureFixture, error: type[Exception], *, is_logged: bool
) -> None:
    """It is a line at the debug level; other failures of gRPC remain errors."""
    caplog.set_level(logging.DEBUG)
    expect_lost_answers()

    try:
        raise error("in core")
    except error:
        logging.getLogger("grpc._cython.cygrpc").exception("raised in core by servicer method")

    levels = {record.levelno for record in caplog.records}
    assert levels == ({logging.ERROR} if is_logged else {logging.DEBUG})
