"""`Load`: a caller's calls, as fast as they are answered, from several clients."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from bench.callers.server import Server
from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.v1 import completion_pb2, messages_pb2

_CLIENTS: Final = 4
"""The clients of one caller."""
_CALLS: Final = 20
"""The calls over one connection."""


@dataclass
class Load:
    """The calls of one caller, and what became of them."""

    server: Server
    token: str
    """The token of the connections that are opened from now on."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """By OK, or the reason of the failure."""
    limits: set[str] = field(default_factory=set)
    """The limits that trailers named."""
    latencies: list[float] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Makes calls from several clients until it is stopped."""
        await asyncio.gather(*(self._run_client(stop) for _ in range(_CLIENTS)))

    async def _run_client(self, stop: asyncio.Event) -> None:
        address = f"127.0.0.1:{self.server.port}"
        part = messages_pb2.Part(text=f"the canary of {self.token}")
        message = messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[part])
        request = completion_pb2.CompleteRequest(model="mock-1", messages=[message])
        while not stop.is_set():
            async with ReasoningClient(address, token=self.token, credentials=self.server.credentials) as client:
                for _ in range(_CALLS):
                    await self._call(client, request)

    async def _call(self, client: ReasoningClient, request: completion_pb2.CompleteRequest) -> None:
        started = time.monotonic()
        call: Any = client.stub.Complete(request, metadata=client.metadata)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            failed = CallFailed(error)
            self.outcomes[failed.reason or failed.code.name] += 1
            await asyncio.sleep(0.02)
        else:
            self.outcomes["OK"] += 1
            self.latencies.append(time.monotonic() - started)
        self.limits |= {str(value) for key, value in await call.trailing_metadata() or () if "limit-requests" in key}
