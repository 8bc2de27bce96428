"""Leaves a stream early, in two ways. Both stop the model at once, so that nobody pays for text that nobody reads.

.venv/bin/python examples/cancel.py
"""

import asyncio
import os
from contextlib import aclosing

from reasoning_grpc.client import ReasoningClient, text_request

TARGET = os.environ.get("REASONING_TARGET", "127.0.0.1:50051")
LONG = text_request("Tell me a long story about the sea.")


async def read_beginning(client: ReasoningClient, characters: int) -> str:
    """Returns the beginning of an answer. Closing the generator cancels the call; `break` alone does not."""
    text = ""
    async with aclosing(client.stream(LONG, timeout_seconds=120)) as events:
        async for event in events:
            text += event.content_delta.text
            if len(text) >= characters:
                break
    return text


async def read_all(client: ReasoningClient, reading: asyncio.Event) -> None:
    """Reads a whole answer, and reports when its text begins."""
    async with aclosing(client.stream(LONG, timeout_seconds=120)) as events:
        async for event in events:
            if event.HasField("content_delta"):
                reading.set()


async def main() -> None:
    """Leaves one stream from within, and another one from outside."""
    async with ReasoningClient(TARGET) as client:
        beginning = await read_beginning(client, 40)
        print(f"left after {len(beginning)} characters")

        reading = asyncio.Event()
        task = asyncio.create_task(read_all(client, reading))
        await asyncio.wait({task, asyncio.create_task(reading.wait())}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        print("the task ended with", type(outcome).__name__)


if __name__ == "__main__":
    asyncio.run(main())
