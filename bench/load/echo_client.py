"""Calls the echo. Usage: python -m bench.load.echo_client TARGET"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from bench.load.driver import WORD, serve_orders


class EchoClient:
    """Calls the echo over one connection."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._complete: Any = self._channel.unary_unary("/bench.Echo/Complete")
        self._stream: Any = self._channel.unary_stream("/bench.Echo/Stream")

    async def complete(self, model: str, prompt: str) -> int:
        """Returns the words of the answer."""
        return len(await self._complete(f"{model}-{prompt}".encode())) // len(WORD)

    async def stream(self, model: str, prompt: str) -> AsyncIterator[int]:
        """Yields the words of each message."""
        async for message in self._stream(f"{model}-{prompt}".encode()):
            yield len(message) // len(WORD)

    async def think(self, model: str, prompt: str, steps: int) -> int:
        """Fails, because the service has no agent."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._channel.close()


async def _create() -> EchoClient:
    return EchoClient(sys.argv[1])


if __name__ == "__main__":
    asyncio.run(serve_orders(_create))
