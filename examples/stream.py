"""Streams an answer: shows its route, its text as it arrives, and what it used.

.venv/bin/python examples/stream.py "What is gRPC?"
"""

import asyncio
import os
import sys
from contextlib import aclosing

from reasoning_grpc.client import Folder, ReasoningClient, text_request
from reasoning_grpc.v1 import completion_pb2

TARGET = os.environ.get("REASONING_TARGET", "127.0.0.1:50051")


async def main(question: str) -> None:
    """Asks one question, and prints the events that a person wants to see."""
    folder = Folder()
    async with (
        ReasoningClient(TARGET) as client,
        aclosing(client.stream(text_request(question), timeout_seconds=120)) as events,
    ):
        async for event in events:
            folder.add(event)
            match event.WhichOneof("kind"):
                case "started":
                    print("route:", event.started.route_decision.route, "with", event.started.model)
                case "content_delta":
                    print(event.content_delta.text, end="", flush=True)
                case _:
                    pass  # the agent's steps, retries, and kinds that only newer servers send

    answer = folder.response()  # the same response that `client.complete` returns
    finish_reason = completion_pb2.FinishReason.Name(answer.finish_reason).removeprefix("FINISH_REASON_")
    print(f"\nfinish reason: {finish_reason}, {answer.usage.total_tokens} tokens")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "In one sentence, what is gRPC?"))
