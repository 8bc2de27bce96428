"""Has the reasoning agent use a tool of an MCP server, and shows each step.

The server must know the MCP server: examples/agent_with_mcp.toml has it.

.venv/bin/reasoning-grpc serve --config examples/agent_with_mcp.toml
.venv/bin/python examples/agent_with_mcp.py "How many plums are in stock?"
"""

import asyncio
import os
import sys
from contextlib import aclosing

from reasoning_grpc.client import ReasoningClient, text_request
from reasoning_grpc.v1 import agent_pb2, events_pb2, routing_pb2

TARGET = os.environ.get("REASONING_TARGET", "127.0.0.1:50051")


def show(event: events_pb2.StreamCompleteResponse) -> None:
    """Prints what an event says about the agent's work."""
    match event.WhichOneof("kind"):
        case "step_planned":
            print(f"step {event.step}: {event.step_planned.thought}")
        case "step_finished":
            outcome = agent_pb2.StepOutcome.Name(event.step_finished.outcome).removeprefix("STEP_OUTCOME_")
            print(f"step {event.step} ended: {outcome}")
        case "tool_finished":
            execution = event.tool_finished.execution
            print(f"tool: {execution.name} {execution.arguments} -> {execution.result or execution.error}")
        case "reasoning_finished":
            end = agent_pb2.ReasoningEnd.Name(event.reasoning_finished.reason).removeprefix("REASONING_END_")
            print(f"stopped thinking: {end}\nanswer: ", end="")
        case "content_delta":
            print(event.content_delta.text, end="", flush=True)
        case "completed":
            print()


async def main(question: str) -> None:
    """Asks one question in the mode REASONING."""
    request = text_request(question)
    request.routing.mode = routing_pb2.ROUTING_MODE_REASONING
    request.agent.max_steps = 2
    request.agent.allowed_tools.names.append("stock__count_fruit")
    request.include.thoughts = request.include.tool_results = True
    async with (
        ReasoningClient(TARGET) as client,
        aclosing(client.stream(request, timeout_seconds=240)) as events,
    ):
        async for event in events:
            show(event)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "How many plums are in stock?"))
