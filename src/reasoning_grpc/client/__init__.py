"""The typed asynchronous client. It uses the generated stubs, and nothing of the server.

async with ReasoningClient("127.0.0.1:50051") as client:
    answer = await client.complete(text_request("What is gRPC?"))
    print(text_of(answer.message))
    async for event in client.stream(text_request("And HTTP/2?")):
        print(event.content_delta.text, end="")

connection.py   `connect` creates a channel with retries and keepalive; `ChannelPerLoop` keeps one for each event loop
failure.py      `CallFailed` has the details of a failed call
folding.py      `Folder` and `fold` turn the events of a stream into an answer
client.py       `ReasoningClient` makes the four calls
"""

from reasoning_grpc.client.client import ReasoningClient, text_message, text_of, text_request
from reasoning_grpc.client.connection import CHANNEL_OPTIONS, SERVICE_CONFIG, connect
from reasoning_grpc.client.failure import CallFailed, FieldViolation
from reasoning_grpc.client.folding import Folder, IncompleteStream, fold

__all__ = [
    "CHANNEL_OPTIONS",
    "SERVICE_CONFIG",
    "CallFailed",
    "FieldViolation",
    "Folder",
    "IncompleteStream",
    "ReasoningClient",
    "connect",
    "fold",
    "text_message",
    "text_of",
    "text_request",
]
