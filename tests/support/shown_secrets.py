"""A check that a fault shows no secret: no prompt, no key and no text of an upstream."""

import logging

import grpc
import pytest

from reasoning_grpc.cli.logs import JsonFormatter
from reasoning_grpc.client import CallFailed
from tests.support.checked_server import PROMPT
from tests.support.serving import UPSTREAM_KEY
from tests.support.upstream import UPSTREAM_SECRET


def check_nothing_is_shown(caplog: pytest.LogCaptureFixture, *failures: CallFailed) -> None:
    """Checks the log of the test so far, which has no error either, and everything that these failures say."""
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records if record.levelno >= logging.ERROR] == []
    shown = [JsonFormatter().format(record) for record in records]
    for failure in failures:
        assert isinstance(failure.__cause__, grpc.aio.AioRpcError)
        shown += [str(failure), repr(failure.__cause__.trailing_metadata())]
    for secret in (UPSTREAM_KEY, UPSTREAM_SECRET, PROMPT):
        assert secret not in "\n".join(shown)
