"""Sends a question to the reasoning agent, and prints how the agent works on it.

The answer goes to standard output, everything else to standard error. The environment variable REASONING_TARGET is the
address of the server, by default 127.0.0.1:50051. REASONING_TOKEN is the bearer token; by default none is sent.

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
    """Sends the question and prints the events of the stream. Raises CallFailed."""
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
            print_event(event)
    print()
    print_aside(summarize(folder.response()))


def print_event(event: events_pb2.StreamCompleteResponse) -> None:
    """Prints one event in a form that is easy to read. It ignores kinds that have no case here."""
    match event.WhichOneof("kind"):
        case "step_planned":
            print_aside(f"step {event.step}: {event.step_planned.thought}")
        case "tool_started":
            print_aside(f"  {event.tool_started.name} {event.tool_started.arguments}")
        case "tool_finished":
            execution = event.tool_finished.execution
            status = agent_pb2.ToolStatus.Name(execution.status).removeprefix("TOOL_STATUS_")
            outcome = execution.error or execution.result
            print_aside(f"  {status} in {execution.duration.ToMilliseconds()} ms: {outcome}")
        case "reasoning_finished":
            end = agent_pb2.ReasoningEnd.Name(event.reasoning_finished.reason).removeprefix("REASONING_END_")
            print_aside(f"stopped thinking: {end}")
        case "content_delta":
            print(event.content_delta.text, end="", flush=True)


def print_aside(line: str) -> None:
    """Prints a line that is not part of the answer."""
    print(line, file=sys.stderr)


def summarize(answer: completion_pb2.CompleteResponse) -> str:
    """Returns one line with the tokens, the cost and the duration of an answer."""
    usage = answer.usage
    cost = f"${answer.cost.total_nano_usd / 1e9:.6f}" if answer.HasField("cost") else "unknown cost"
    seconds = answer.timings.total_duration.ToMilliseconds() / 1000
    return f"{usage.input_tokens} tokens in, {usage.output_tokens} out, {cost}, {seconds:.1f} s, {answer.model}"


def main() -> int:
    """Runs the example; returns 1 when the call fails."""
    parser = argparse.ArgumentParser(description="Let the reasoning agent answer a question.")
    target = os.environ.get("REASONING_TARGET") or "127.0.0.1:50051"
    parser.add_argument("--target", default=target, help="the server, as HOST:PORT (default: REASONING_TARGET)")
    parser.add_argument("question")
    options = parser.parse_args()
    try:
        asyncio.run(ask(options.target, os.environ.get("REASONING_TOKEN", ""), options.question))
    except CallFailed as failed:
        print_aside(f"\n{failed.code.name} {failed.reason}: {failed.message}")
        for violation in failed.violations:
            print_aside(f"  {violation.field}: {violation.description}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
