"""Asks a question that is reasoned about, and prints the steps, the tools and the answer as they come.

python ask.py [--target HOST:PORT] QUESTION
"""

import argparse
import asyncio
import sys
from contextlib import aclosing

from reasoning_grpc.client import CallFailed, Folder, ReasoningClient, text_request
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, routing_pb2


async def ask(target: str, question: str) -> None:
    """Asks, and prints what happens. Raises CallFailed."""
    request = text_request(question)
    request.routing.mode = routing_pb2.ROUTING_MODE_REASONING
    request.include.thoughts = request.include.tool_results = True
    folder = Folder()
    async with ReasoningClient(target) as client, aclosing(client.stream(request, timeout_seconds=120)) as events:
        async for event in events:
            folder.add(event)
            show(event)
    print("\n" + totals(folder.response()))


def show(event: events_pb2.StreamCompleteResponse) -> None:
    """Prints what an event tells a person."""
    match event.WhichOneof("kind"):
        case "step_planned":
            print(f"step {event.step}: {event.step_planned.thought}")
        case "tool_started":
            print(f"  {event.tool_started.name} {event.tool_started.arguments}")
        case "tool_finished":
            done = event.tool_finished.execution
            status = agent_pb2.ToolStatus.Name(done.status).removeprefix("TOOL_STATUS_")
            print(f"  {status} in {done.duration.ToMilliseconds()} ms: {done.error or done.result}")
        case "reasoning_finished":
            end = agent_pb2.ReasoningEnd.Name(event.reasoning_finished.reason).removeprefix("REASONING_END_")
            print(f"stopped thinking: {end}\n")
        case "content_delta":
            print(event.content_delta.text, end="", flush=True)


def totals(answer: completion_pb2.CompleteResponse) -> str:
    """One line of tokens, cost and time."""
    usage = answer.usage
    cost = f"${answer.cost.total_nano_usd / 1e9:.6f}" if answer.HasField("cost") else "unknown cost"
    seconds = answer.timings.total.ToMilliseconds() / 1000
    return f"{usage.input_tokens} tokens in, {usage.output_tokens} out, {cost}, {seconds:.1f} s, {answer.model}"


def main() -> int:
    """Runs the example; 1 when the call fails."""
    parser = argparse.ArgumentParser(description="Ask a question that is reasoned about.")
    parser.add_argument("--target", default="127.0.0.1:50051")
    parser.add_argument("question", nargs="?", default="What is 23 times 19?")
    options = parser.parse_args()
    try:
        asyncio.run(ask(options.target, options.question))
    except CallFailed as failed:
        print(f"\n{failed.code.name} {failed.reason}: {failed.message}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
