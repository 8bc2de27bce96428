"""`serving_engine`: the real service and its interceptor around any engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from reasoning_grpc.quotas import MemoryQuotas
from reasoning_grpc.rpc.admission import Admission
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.interceptor import CallInterceptor
from reasoning_grpc.rpc.service import ReasoningService
from reasoning_grpc.server.listener import SERVICE
from reasoning_grpc.v1.reasoning_service_pb2_grpc import add_ReasoningServiceServicer_to_server


@dataclass(frozen=True)
class ServedEngine:
    """A channel to a server around an engine, and the tracker of its calls."""

    channel: grpc.aio.Channel
    tracker: CallTracker


@asynccontextmanager
async def serving_engine(engine: Any) -> AsyncIterator[ServedEngine]:
    """Serves an engine behind the real service and interceptor, and yields the running server."""
    tracker = CallTracker()
    interceptor = CallInterceptor(
        service=SERVICE,
        callers=Callers(()),
        tracker=tracker,
        admission=Admission(),
        quotas=MemoryQuotas(),
        max_request_bytes=65_536,
    )
    server = grpc.aio.server(interceptors=[interceptor])
    add_ReasoningServiceServicer_to_server(ReasoningService(engine, Caps()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield ServedEngine(channel, tracker)
    finally:
        await server.stop(None)
