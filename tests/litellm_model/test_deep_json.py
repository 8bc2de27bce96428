"""JSON of a caller's that is nested more deeply than any decoder reads is a text like any other, on every wire."""

import json
from collections.abc import Sequence
from typing import Final

import pytest

from reasoning_grpc.domain import Capability
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, Tool
from reasoning_grpc.v1.messages_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Message,
    Part,
    Reasoning,
    ToolCall,
    ToolResult,
)
from tests.support.serving import config_for, entry_at, serving
from tests.support.upstream import DIALECTS, FakeUpstream

DEPTH: Final = 20_000
"""Decoders raise an error at this depth."""
OF_OPENAI: Final = ("deepseek", "groq", "mistral", "openrouter")
"""Providers of the OpenAI protocol that have forms of their own for reasoning."""
DEEP: Final = {"whole": '{"a":' * DEPTH + "1" + "}" * DEPTH, "cut": "[" * DEPTH}
OLLAMA: Final = json.dumps(
    {"model": "m", "message": {"role": "assistant", "content": "Hello world"}, "done": True, "done_reason": "stop"}
).encode()
TOOL: Final = Tool(name="f", parameters_schema="{}")


def build_request(parts: Sequence[Part], *messages: Message) -> CompleteRequest:
    """Builds a request whose conversation has an answer of these parts, and these messages after it."""
    question, go_on = (Message(role=ROLE_USER, content=[Part(text=text)]) for text in ("hi", "go on"))
    answer = Message(role=ROLE_ASSISTANT, content=parts)
    return CompleteRequest(messages=[question, answer, *messages, go_on], tools=[TOOL])


def build_requests(deep: str) -> dict[str, CompleteRequest]:
    """Builds a request for each field that may hold JSON."""
    result = ToolResult(call_id="c1", content=deep)
    return {
        "arguments and result": build_request(
            [Part(tool_call=ToolCall(id="c1", name="f", arguments=deep))],
            Message(role=ROLE_TOOL, content=[Part(tool_result=result)]),
        ),
        "signature of reasoning": build_request(
            [Part(reasoning=Reasoning(text="hm"), signature=deep), Part(text="so")]
        ),
        "signature of a text": build_request([Part(text="so", signature=deep)]),
        "redacted reasoning": build_request([Part(reasoning=Reasoning(redacted=deep.encode())), Part(text="so")]),
    }


@pytest.mark.parametrize("provider", [*DIALECTS, *OF_OPENAI, "ollama_chat"])
@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP.keys())
async def test_deep_json_is_sent(upstream: FakeUpstream, provider: str, deep: str) -> None:
    """The upstream gets a request, and the caller its answer, whichever field holds the deep JSON."""
    address = upstream.api_base_for(provider if provider in DIALECTS else "openai")
    if provider == "ollama_chat":
        address = f"http://127.0.0.1:{upstream.port}"
        upstream.always.body(OLLAMA, content_type="application/x-ndjson")
    entry = entry_at(address, provider, capabilities=frozenset(Capability), untested=True)

    async with serving(config_for(entry, max_retries=0)) as running:
        answers = {field: await running.client().complete(request) for field, request in build_requests(deep).items()}

    assert {field: answer.message.content[0].text for field, answer in answers.items()} == dict.fromkeys(
        answers, "Hello world"
    )
    assert len(upstream.requests) == len(answers)
