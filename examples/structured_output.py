"""Asks for JSON that follows a schema, and reads it.

.venv/bin/python examples/structured_output.py "Great coffee, slow service."
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass

from reasoning_grpc.client import ReasoningClient, text_of, text_request
from reasoning_grpc.v1 import completion_pb2

TARGET = os.environ.get("REASONING_TARGET", "127.0.0.1:50051")
SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "enum": ["good", "mixed", "bad"]},
        "stars": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
    },
    "required": ["mood", "stars"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Rating:
    """What a review amounts to."""

    mood: str
    stars: int


async def rate(client: ReasoningClient, review: str) -> Rating:
    """Returns the rating that the model gives to a review. Raises ValueError when the answer was cut."""
    request = text_request(review, system="Rate the review of a restaurant. Answer in JSON.")
    request.response_format.json_schema.name = "rating"
    request.response_format.json_schema.schema = json.dumps(SCHEMA)

    answer = await client.complete(request, timeout_seconds=120)

    if answer.finish_reason != completion_pb2.FINISH_REASON_STOP:
        raise ValueError(f"the answer is not complete: {answer.finish_reason}")
    return Rating(**json.loads(text_of(answer.message)))


async def main(review: str) -> None:
    """Rates one review, and prints the rating."""
    async with ReasoningClient(TARGET) as client:
        print(await rate(client, review))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "Great coffee, but the service was slow."))
