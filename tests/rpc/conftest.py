"""Fixtures for the tests of the gRPC server side."""

from typing import Any

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2
from tests.support.bad_requests import ExpectRefusal
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure


def describe(failure: CallFailed) -> tuple[Any, ...]:
    """Returns everything that a refusal says of the request."""
    return failure.code, failure.reason, failure.message, failure.metadata, failure.violations


@pytest.fixture
def expect_refusal(upstream: FakeUpstream, stub: Any) -> ExpectRefusal:
    """Sends a request that every method must refuse alike, and before an upstream is called."""

    async def send(request: completion_pb2.CompleteRequest) -> CallFailed:
        failed = await expect_failure(stub.Complete(request))
        streaming = stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request))
        classifying = stub.Classify(classification_pb2.ClassifyRequest(request=request))
        for other in (await expect_failure(streaming.read()), await expect_failure(classifying)):
            assert describe(other) == describe(failed)
        assert upstream.connections == 0
        return failed

    return send
