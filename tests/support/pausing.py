"""Runs of the agent that pause, for tests: requests with tools of the caller's own, and the requests that go on."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reasoning_grpc.config import Config
from reasoning_grpc.domain import Secret
from reasoning_grpc.v1 import completion_pb2, messages_pb2
from tests.support.agent import reasoning_request

OWN_TOOL: Final = completion_pb2.Tool(
    name="lookup",
    description="Looks up a customer.",
    parameters_schema='{"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}',
)
YES: Final = '{"approved": true}'
NO: Final = '{"approved": false, "reason": "Not today."}'


def request_with_own_tools(prompt: str = "Who is 7?", **fields: Any) -> completion_pb2.CompleteRequest:
    """Builds a request for the agent that brings a tool of its own."""
    return reasoning_request(prompt, **{"tools": [OWN_TOOL], **fields})


def continue_request(
    request: completion_pb2.CompleteRequest, answer: messages_pb2.Message, results: Mapping[str, str] | str
) -> completion_pb2.CompleteRequest:
    """Builds the request that goes on: the same one, with the answer of the paused run and results behind it.

    `results` are the contents by call ids, or one content for every call.
    """
    calls = [part.tool_call.id for part in answer.content if part.HasField("tool_call")]
    contents = dict.fromkeys(calls, results) if isinstance(results, str) else results
    parts = [
        messages_pb2.Part(tool_result=messages_pb2.ToolResult(call_id=call_id, content=content))
        for call_id, content in contents.items()
    ]
    more = completion_pb2.CompleteRequest()
    more.CopyFrom(request)
    more.messages.append(answer)
    more.messages.add(role=messages_pb2.ROLE_TOOL, content=parts)
    return more


def with_pause_keys(config: Config, *letters: str) -> Config:
    """Returns the configuration with a key that consists of each of these letters."""
    return replace(config, pause_keys=tuple(Secret(encode_key(letter)) for letter in letters))


def encode_key(letter: str) -> str:
    """Returns the key that consists of this letter, as a configuration has it."""
    return base64.b64encode(letter.encode() * 32).decode()


def with_approval(config: Config, *tools: str) -> Config:
    """Returns the configuration in which calls of these tools need the caller's approval."""
    entries = {name: replace(config.tools[name], needs_approval=True) for name in tools}
    return replace(config, tools={**config.tools, **entries})


def find_pause(answer: messages_pb2.Message) -> messages_pb2.PausedRun:
    """Returns the paused run of an answer, which is its last part."""
    assert answer.content[-1].HasField("paused_run")
    return answer.content[-1].paused_run


def list_calls(answer: messages_pb2.Message) -> list[tuple[str, str]]:
    """Returns the names and the arguments of the tool calls in an answer."""
    return [(part.tool_call.name, part.tool_call.arguments) for part in answer.content if part.HasField("tool_call")]
