"""Fixtures for the tests of the gRPC server side."""

from typing import Any

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2
from tests.support.bad_requests import ExpectRefusal
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure


@pytest.fixture
def expect_refusal(upstream: FakeUpstream, stub: Any) -> ExpectRefusal:
    """Sends a request to `Complete` that must be refused before an upstream is called."""

    async def send(request: completion_pb2.CompleteRequest) -> CallFailed:
        failed = await expect_failure(stub.Complete(request))
        assert upstream.connections == 0
        return failed

    return send
