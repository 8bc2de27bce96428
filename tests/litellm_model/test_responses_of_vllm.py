"""A conversation with vLLM through its Responses API, which returns the reasoning itself and encrypts nothing."""

import json
from typing import Any, Final

from reasoning_grpc.domain import Wire
from reasoning_grpc.v1 import completion_pb2, messages_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.opaque_values import remove_marks
from tests.support.serving import config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream

Json = dict[str, Any]

THOUGHT: Final = "They ask about the weather, so I call the tool."
REASONING: Final[Json] = {
    "id": "rs_ab5d1b0c5d",
    "summary": [],
    "type": "reasoning",
    "content": [{"type": "reasoning_text", "text": THOUGHT}],
    "encrypted_content": None,
    "status": "completed",
}
CALL: Final[Json] = {
    "arguments": '{"city": "Oslo"}',
    "call_id": "call_8c9e8d1e",
    "name": "weather",
    "type": "function_call",
    "id": "fc_7d2f",
    "status": "completed",
}
RESPONSE: Final[Json] = {
    "id": "resp_4b1f",
    "created_at": 1_790_000_000,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": None,
    "model": "fake",
    "object": "response",
    "output": [],
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "service_tier": "auto",
    "status": "in_progress",
    "truncation": "disabled",
    "usage": None,
}
USAGE: Final[Json] = {
    "input_tokens": 120,
    "input_tokens_details": {"cached_tokens": 64, "input_tokens_per_turn": [], "cached_tokens_per_turn": []},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 18, "tool_output_tokens": 0},
    "total_tokens": 150,
}
TOOL: Final = completion_pb2.Tool(name="weather", description="The weather.", parameters_schema='{"type":"object"}')


def write_events() -> list[str]:
    """Returns the events of an answer with reasoning and a call."""
    place: Json = {"output_index": 0, "item_id": REASONING["id"], "content_index": 0}
    pieces = (THOUGHT[:20], THOUGHT[20:])
    events: list[Json] = [
        {"type": "response.created", "response": RESPONSE},
        {"type": "response.in_progress", "response": RESPONSE},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": REASONING | {"content": None, "status": "in_progress"},
        },
        {"type": "response.reasoning_part.added", **place, "part": {"type": "reasoning_text", "text": ""}},
        *({"type": "response.reasoning_text.delta", **place, "delta": piece} for piece in pieces),
        {"type": "response.reasoning_text.done", **place, "text": THOUGHT},
        {"type": "response.reasoning_part.done", **place, "part": {"type": "reasoning_text", "text": THOUGHT}},
        {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
        {"type": "response.output_item.added", "output_index": 1, "item": CALL | {"arguments": ""}},
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 1,
            "item_id": CALL["id"],
            "delta": CALL["arguments"],
        },
        {
            "type": "response.function_call_arguments.done",
            "output_index": 1,
            "item_id": CALL["id"],
            "name": CALL["name"],
            "arguments": CALL["arguments"],
        },
        {"type": "response.output_item.done", "output_index": 1, "item": CALL},
        {
            "type": "response.completed",
            "response": RESPONSE | {"status": "completed", "output": [REASONING, CALL], "usage": USAGE},
        },
    ]
    numbered = ({"sequence_number": number, **event} for number, event in enumerate(events))
    return [f"event: {event['type']}\ndata: {json.dumps(event)}" for event in numbered]


async def test_reasoning_in_words_goes_back_in_words(upstream: FakeUpstream) -> None:
    """The reasoning is returned as the server wrote it, and goes back in the member in which it came."""
    upstream.lines(*write_events())
    upstream.reply("Cold.")
    entry = provider_entry(upstream, "hosted_vllm", wire=Wire.RESPONSES)

    async with serving(config_for(entry)) as running:
        client = running.client()
        request = a_wire_request(
            "How cold is Oslo?", tools=[TOOL], include=completion_pb2.IncludeOptions(reasoning=True)
        )
        first = await client.complete(request)
        request.messages.add().CopyFrom(first.message)
        result = messages_pb2.ToolResult(call_id=CALL["call_id"], content="4 degrees")
        request.messages.add(role=messages_pb2.ROLE_TOOL).content.add(tool_result=result)
        await client.complete(request)

    reasoning, called = remove_marks(first.message).content
    assert (reasoning.reasoning.text, called.tool_call.name) == (THOUGHT, "weather")
    assert first.usage.source == usage_pb2.USAGE_SOURCE_PROVIDER
    assert (first.usage.cached_input_tokens, first.usage.reasoning_tokens) == (64, 18)
    question, *answer = upstream.requests[1].body["input"]
    assert question["role"] == "user"
    assert answer == [
        {"type": "reasoning", "id": REASONING["id"], "summary": [], "content": REASONING["content"]},
        {"type": "function_call", **{name: CALL[name] for name in ("call_id", "name", "arguments")}},
        {"type": "function_call_output", "call_id": CALL["call_id"], "output": "4 degrees"},
    ]
    assert [captured.path for captured in upstream.requests] == ["/v1/responses"] * 2
    assert upstream.requests[0].body["store"] is False
