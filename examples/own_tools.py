"""Lets the model call tools that this program runs itself, until it has an answer.

The model must be one that calls tools; the embedded model is not.

.venv/bin/python examples/own_tools.py "How warm is it in Oslo?"
"""

import asyncio
import json
import os
import sys

from reasoning_grpc.client import ReasoningClient, text_of, text_request
from reasoning_grpc.v1 import completion_pb2, messages_pb2

TARGET = os.environ.get("REASONING_TARGET", "127.0.0.1:50051")
TEMPERATURES = {"Oslo": 4, "Rome": 18}
MOST_TURNS = 5

GET_TEMPERATURE = completion_pb2.Tool(
    name="get_temperature",
    description="Returns the temperature in a city now, in degrees Celsius.",
    parameters_schema=json.dumps(
        {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        }
    ),
)


def run_tool(call: messages_pb2.ToolCall) -> messages_pb2.ToolResult:
    """Runs a call of the model; a call that cannot be run is a result as well, which the model reads."""
    try:
        city = json.loads(call.arguments)["city"]
        return messages_pb2.ToolResult(call_id=call.id, content=f"{TEMPERATURES[city]} degrees Celsius")
    except (ValueError, KeyError, TypeError) as exc:
        return messages_pb2.ToolResult(call_id=call.id, content=f"no temperature: {exc!r}", is_error=True)


async def ask(client: ReasoningClient, question: str) -> str:
    """Returns the answer to a question, after the tool calls that the model wants."""
    request = text_request(question)
    request.tools.append(GET_TEMPERATURE)
    request.include.reasoning = True  # a model that reasons needs its reasoning again, with the results
    for _ in range(MOST_TURNS):
        answer = await client.complete(request, timeout_seconds=120)
        if answer.finish_reason != completion_pb2.FINISH_REASON_TOOL_CALLS:
            return text_of(answer.message)

        request.messages.append(answer.message)  # as it is: reasoning and signatures go back to the model
        calls = [part.tool_call for part in answer.message.content if part.HasField("tool_call")]
        for call in calls:
            result = run_tool(call)
            print(f"tool: {call.name} {call.arguments} -> {result.content}")
            request.messages.add(role=messages_pb2.ROLE_TOOL).content.add(tool_result=result)
    raise RuntimeError(f"the model still calls tools after {MOST_TURNS} turns")


async def main(question: str) -> None:
    """Asks one question, and prints the tool calls and the answer."""
    async with ReasoningClient(TARGET) as client:
        print("answer:", await ask(client, question))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "How warm is it in Oslo?"))
