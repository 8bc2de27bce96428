"""Calls a build of ours with the stubs of that build: run it with the interpreter of the build's environment.

Usage: python -m bench.load.grpc_client TARGET TOKEN
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence

import grpc

from bench.load.driver import WORD, serve_orders
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2, reasoning_service_pb2_grpc, routing_pb2

_LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class GrpcClient:
    """Calls one server over one connection."""

    def __init__(self, target: str, token: str, options: Sequence[tuple[str, int]] = ()) -> None:
        """`options` are further options of the channel."""
        self._channel = grpc.aio.insecure_channel(target, options=[*_LIMITS, *options])
        self._stub = reasoning_service_pb2_grpc.ReasoningServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def complete(self, model: str, prompt: str) -> int:
        """Returns the words of the answer of `Complete`."""
        answer = await self._stub.Complete(_build_request(model, prompt), metadata=self._metadata)
        return sum(len(part.text) for part in answer.message.content) // len(WORD)

    async def stream(self, model: str, prompt: str) -> AsyncIterator[int]:
        """Yields the words of each message of `StreamComplete` that has any."""
        request = events_pb2.StreamCompleteRequest(request=_build_request(model, prompt))
        is_complete = False
        async for event in self._stub.StreamComplete(request, metadata=self._metadata):
            kind = event.WhichOneof("kind")
            is_complete = kind == "completed"
            if kind == "content_delta":
                yield len(event.content_delta.text) // len(WORD)
        if not is_complete:
            raise ValueError("the stream has no end")

    async def think(self, model: str, prompt: str, steps: int) -> int:
        """Returns the steps of an answer of the agent."""
        request = _build_request(model, prompt)
        request.routing.mode = routing_pb2.ROUTING_MODE_REASONING
        request.agent.max_steps = steps
        answer = await self._stub.Complete(request, metadata=self._metadata)
        if len(answer.steps) != steps:
            raise ValueError("the agent has taken fewer steps")
        return steps

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._channel.close()


def _build_request(model: str, prompt: str) -> completion_pb2.CompleteRequest:
    part = messages_pb2.Part(text=prompt)
    message = messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[part])
    return completion_pb2.CompleteRequest(model=model, messages=[message])


async def _create() -> GrpcClient:
    return GrpcClient(sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    asyncio.run(serve_orders(_create))
