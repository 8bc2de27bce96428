"""`unread_stream`: a stream whose client does not read, so that a write of the server waits for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from reasoning_grpc.v1 import events_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.factories import a_stream_request
from tests.support.narrow_window import NARROW
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

_DELTA: Final = "x" * 256 * 1024
"""A delta that no write can get rid of: it is larger than the client's window and what gRPC buffers, 64 KB each."""
_DELTAS: Final = 400


@asynccontextmanager
async def unread_stream(
    running: RunningServer, upstream: FakeUpstream, request: events_pb2.StreamCompleteRequest | None = None
) -> AsyncIterator[Any]:
    """Begins the only stream of the server, and yields the call when the write of its first delta waits.

    The upstream answers with 100 MB once `started` is written and read, so this write is the only one. It waits until
    the client reads or leaves.
    """
    gate = upstream.gated(*[_DELTA] * _DELTAS)
    async with grpc.aio.insecure_channel(running.address, options=NARROW) as channel:
        stub: Any = ReasoningServiceStub(channel)
        call = stub.StreamComplete(request or a_stream_request())
        assert (await call.read()).WhichOneof("kind") == "started"
        await running.wait_until(lambda: running.server.writes_in_progress == 0)
        gate.open_all()
        await running.wait_until(lambda: running.server.writes_in_progress == 1)
        yield call
