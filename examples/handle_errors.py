"""Makes calls that fail, and shows how a program decides what to do about each one.

.venv/bin/python examples/handle_errors.py
"""

import asyncio
import os

import grpc

from reasoning_grpc.client import CallFailed, ReasoningClient, text_request

TARGET = os.environ.get("REASONING_TARGET", "127.0.0.1:50051")


def decide(failed: CallFailed) -> str:
    """Returns what to do about a failed call, in words. It looks at the reason and never at the message."""
    match failed.reason:
        case "INVALID_FIELD" | "UNSUPPORTED_PARAMETER":
            return "fix " + ", ".join(violation.field for violation in failed.violations)
        case "MODEL_NOT_FOUND":
            return f"name another model, such as {failed.metadata.get('nearest') or 'one of ListModels'}"
        case "" if failed.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return "allow more time"  # gRPC itself ended the call, so there is no reason
        case _ if failed.retry_after_seconds is not None:
            return f"send the same call again after {failed.retry_after_seconds} s"
        case _:
            return f"ask the operator about request {failed.request_id}"


async def main() -> None:
    """Makes three calls that fail."""
    unknown_model = text_request("Hello", model="smollm2")
    hot = text_request("Hello")
    hot.sampling.temperature = 9
    long = text_request("Write a long story about a lighthouse.")
    async with ReasoningClient(TARGET) as client:
        for request, timeout_seconds in ((unknown_model, 60.0), (hot, 60.0), (long, 0.05)):
            try:
                await client.complete(request, timeout_seconds=timeout_seconds)
            except CallFailed as failed:
                print(f"{failed.code.name} {failed.reason}: {decide(failed)}")


if __name__ == "__main__":
    asyncio.run(main())
