"""Has the reasoning agent answer a question, and shows how it does.

The answer goes to standard output, all else to standard error. REASONING_TARGET and REASONING_TOKEN give the server,
else 127.0.0.1:50051, and the token.

python ask.py [--target HOST:PORT] "What is 23 times 19?"
"""

import argparse
import asyncio
import os
import sys
from contextlib import aclosing

from reasoning_grpc.client import CallFailed, Folder, ReasoningClient, text_request
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, routing_pb2


async def ask(target: str, token: str, question: str) -> None:
    """Asks, and prints what happens. Raises CallFailed."""
    request = text_request(question)
    request.routing.mode = routing_pb2.ROUTING_MODE_REASONING
    request.include.thoughts = request.include.tool_results = True
    folder = Folder()
    async with (
        ReasoningClient(target, token=token) as client,
        aclosing(client.stream(request, timeout_seconds=120)) as events,
    ):
        async for event in events:
            folder.add(event)
            show(event)
    print()
    note(totals(folder.response()))


def show(event: events_pb2.StreamCompleteResponse) -> None:
    """Prints what an event tells a person."""
    match event.WhichOneof("kind"):
        case "step_planned":
            note(f"step {event.step}: {event.step_planned.thought}")
        case "tool_started":
            note(f"  {event.tool_started.name} {event.tool_started.arguments}")
        case "tool_finished":
            done = event.tool_finished.execution
            status = agent_pb2.ToolStatus.Name(done.status).removeprefix("TOOL_STATUS_")
            note(f"  {status} in {done.duration.ToMilliseconds()} ms: {done.error or done.result}")
        case "reasoning_finished":
            end = agent_pb2.ReasoningEnd.Name(event.reasoning_finished.reason).removeprefix("REASONING_END_")
            note(f"stopped thinking: {end}")
        case "content_delta":
            print(event.content_delta.text, end="", flush=True)


def note(line: str) -> None:
    """Prints a line that is not the answer."""
    print(line, file=sys.stderr)


def totals(answer: completion_pb2.CompleteResponse) -> str:
    """One line of tokens, cost and time."""
    usage = answer.usage
    cost = f"${answer.cost.total_nano_usd / 1e9:.6f}" if answer.HasField("cost") else "unknown cost"
    seconds = answer.timings.total_duration.ToMilliseconds() / 1000
    return f"{usage.input_tokens} tokens in, {usage.output_tokens} out, {cost}, {seconds:.1f} s, {answer.model}"


def main() -> int:
    """Runs the example; 1 when the call fails."""
    parser = argparse.ArgumentParser(description="Have the reasoning agent answer a question.")
    target = os.environ.get("REASONING_TARGET") or "127.0.0.1:50051"
    parser.add_argument("--target", default=target, help="the server, HOST:PORT; else REASONING_TARGET")
    parser.add_argument("question")
    options = parser.parse_args()
    try:
        asyncio.run(ask(options.target, os.environ.get("REASONING_TOKEN", ""), options.question))
    except CallFailed as failed:
        note(f"\n{failed.code.name} {failed.reason}: {failed.message}")
        for violation in failed.violations:
            note(f"  {violation.field}: {violation.description}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
