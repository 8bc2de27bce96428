"""Raw calls over the generated stub, for tests of what happens on the wire."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import classification_pb2, models_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_stream_request, a_wire_request


def start_every_call(channel: grpc.aio.Channel, **options: Any) -> Iterator[tuple[str, Any]]:
    """Yields each method's name with a call of it; a call starts only when it is yielded."""
    stub: Any = ReasoningServiceStub(channel)
    yield "Complete", stub.Complete(a_wire_request(), **options)
    yield "StreamComplete", read_to_end(stub.StreamComplete(a_stream_request(), **options))
    yield "Classify", stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request()), **options)
    yield "ListModels", stub.ListModels(models_pb2.ListModelsRequest(), **options)


async def read_to_end(stream: Any) -> list[Any]:
    """Returns the messages of a stream that have not been read yet."""
    messages = []
    while (message := await stream.read()) is not grpc.aio.EOF:
        messages.append(message)
    return messages


async def read_first_delta(stream: Any) -> None:
    """Reads a stream up to and including the first delta of the answer."""
    assert [(await stream.read()).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]


async def expect_failure(call: Any) -> CallFailed:
    """Awaits a call that must fail, and returns its failure."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return CallFailed(failed.value)
