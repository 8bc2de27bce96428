"""The model's own reasoning goes to the caller, and back to the model with the next turn, as the provider wants it."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from reasoning_grpc.domain import ThinkTags
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, IncludeOptions, ReasoningOptions, Tool
from reasoning_grpc.v1.events_pb2 import StreamCompleteResponse
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
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

Json = dict[str, Any]

OPENAI, VLLM, TAGGED, ANTHROPIC = "openai", "hosted_vllm", "tagged", "anthropic"
SIGNATURE: Final = "EqQBCkgIARABGAIiQ+/x9w=="
OTHER_SIGNATURE: Final = "ErUB/K+8Zg=="
WITHHELD: Final = "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpPkNRj2YfWXGmKDxH4mPnZ5sQ7vB+=="
TOOL: Final = Tool(name="f", parameters_schema='{"type": "object", "properties": {"a": {"type": "integer"}}}')
QUESTION: Final = Message(role=ROLE_USER, content=[Part(text="q")])
GO_ON: Final = Message(role=ROLE_USER, content=[Part(text="go on")])


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of each provider, all behind the fake upstream."""
    entries = [
        model_entry(upstream.api_base, OPENAI),
        model_entry(upstream.api_base, VLLM, litellm_model=f"{VLLM}/fake"),
        model_entry(upstream.api_base, TAGGED, think_tags=ThinkTags.PAIR),
        provider_entry(upstream, ANTHROPIC, ANTHROPIC, litellm_model="anthropic/claude-sonnet-4-5"),
    ]
    async with serving(config_for(*entries)) as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a model answers in the first turn, and what it gets of that in the second."""

    model: str
    answers: Callable[[FakeUpstream], object]
    message: list[Part]
    """What the caller is told."""
    sent: Any
    """What is sent of it: the message of the assistant in the OpenAI protocol, its content in Anthropic's."""
    reasoning: ReasoningOptions = field(default_factory=ReasoningOptions)


def thought(text: str, signature: str = "") -> Part:
    """A part of reasoning."""
    return Part(reasoning=Reasoning(text=text), signature=signature)


def call(call_id: str, arguments: str) -> Part:
    """A call of the tool."""
    return Part(tool_call=ToolCall(id=call_id, name="f", arguments=arguments))


WITHHELD_PART: Final = Part(reasoning=Reasoning(redacted=WITHHELD.encode()))
CALL: Final = FakeToolCall("id1", "f", ('{"a"', ": 1}"))
WIRE_CALL: Final = {"id": "id1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
WIRE_BLOCKS: Final = [
    {"type": "thinking", "thinking": "hm", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": WITHHELD},
]


def thinking(text: str, signature: str) -> Json:
    """A block of Anthropic's, and what is sent back of it."""
    return {"type": "thinking", "thinking": text, "signature": signature}


def use(call_id: str, value: int) -> Json:
    """A block with a call of the tool."""
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {"a": value}}


def said(text: str) -> Json:
    """A block of text."""
    return {"type": "text", "text": text}


def blocks(*content: Json) -> Callable[[FakeUpstream], object]:
    """Streams these blocks as Anthropic does, in as many pieces as it can."""

    def answer(upstream: FakeUpstream) -> None:
        start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
        calls = any(block["type"] == "tool_use" for block in content)
        upstream.lines(
            {"type": "message_start", "message": start | {"stop_reason": None, "usage": {"input_tokens": 11}}},
            *(event for index, block in enumerate(content) for event in _events(index, block)),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use" if calls else "end_turn"},
                "usage": {"output_tokens": 7},
            },
            {"type": "message_stop"},
        )

    return answer


def _events(index: int, block: Json) -> Iterator[Json]:
    empty = {"thinking": "", "signature": "", "text": "", "input": {}}
    start = {name: empty.get(name, value) for name, value in block.items()}
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in _deltas(block):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _deltas(block: Json) -> Iterator[Json]:
    match block["type"]:
        case "thinking":
            for character in block["thinking"]:
                yield {"type": "thinking_delta", "thinking": character}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            for character in block["text"]:
                yield {"type": "text_delta", "text": character}
        case "tool_use":
            for character in json.dumps(block["input"]):
                yield {"type": "input_json_delta", "partial_json": character}


def of_anthropic(message: list[Part], *content: Json) -> Turn:
    """A turn of Anthropic's: what is sent back is what came."""
    options = ReasoningOptions(budget_tokens=2000)
    return Turn(model=ANTHROPIC, answers=blocks(*content), message=message, sent=[*content], reasoning=options)


TURNS: Final[dict[str, Turn]] = {
    **{
        f"{model}-unsigned": Turn(
            model=model,
            answers=lambda fake: fake.reply("4", "2", reasoning=("h", "m")),
            message=[thought("hm"), Part(text="42")],
            sent={"role": "assistant", "content": "42", "reasoning_content": "hm"},
        )
        for model in (OPENAI, VLLM)
    },
    **{
        f"{model}-unsigned-and-a-call": Turn(
            model=model,
            answers=lambda fake: fake.reply(reasoning=("h", "m"), reasoning_field="reasoning", tool_calls=(CALL,)),
            message=[thought("hm"), call("id1", '{"a": 1}')],
            sent={"role": "assistant", "tool_calls": [WIRE_CALL], "reasoning_content": "hm"},
        )
        for model in (OPENAI, VLLM)
    },
    "openai-signed": Turn(
        model=OPENAI,
        answers=lambda fake: fake.reply("42", reasoning=("h", "m"), reasoning_signature=SIGNATURE),
        message=[thought("hm", SIGNATURE), Part(text="42")],
        sent={"role": "assistant", "content": "42", "reasoning_content": "hm", "thinking_blocks": WIRE_BLOCKS[:1]},
    ),
    "openai-signed-withheld-and-a-call": Turn(
        model=OPENAI,
        answers=lambda fake: fake.reply(
            "t",
            reasoning=("h", "m"),
            reasoning_signature=SIGNATURE,
            redacted_reasoning=(WITHHELD,),
            tool_calls=(CALL,),
        ),
        message=[thought("hm", SIGNATURE), WITHHELD_PART, Part(text="t"), call("id1", '{"a": 1}')],
        sent={
            "role": "assistant",
            "content": "t",
            "tool_calls": [WIRE_CALL],
            "reasoning_content": "hm",
            "thinking_blocks": WIRE_BLOCKS,
        },
    ),
    "think-tags": Turn(
        model=TAGGED,
        answers=lambda fake: fake.reply("<think>h", "m</th", "ink>42"),
        message=[thought("hm"), Part(text="42")],
        sent={"role": "assistant", "content": "42", "reasoning_content": "hm"},
    ),
    "anthropic-signed": of_anthropic(
        [thought("hm", SIGNATURE), Part(text="42")], thinking("hm", SIGNATURE), said("42")
    ),
    "anthropic-withheld": of_anthropic(
        [WITHHELD_PART, Part(text="42")], {"type": "redacted_thinking", "data": WITHHELD}, said("42")
    ),
    "anthropic-a-signature-of-no-words": of_anthropic(
        [thought("", SIGNATURE), Part(text="42")], thinking("", SIGNATURE), said("42")
    ),
    "anthropic-and-a-call": of_anthropic(
        [thought("hm", SIGNATURE), Part(text="t"), call("id1", '{"a": 1}')],
        *(thinking("hm", SIGNATURE), said("t"), use("id1", 1)),
    ),
    "anthropic-several-and-calls": of_anthropic(
        [
            *(thought("a", SIGNATURE), WITHHELD_PART, thought("b", OTHER_SIGNATURE), Part(text="t")),
            *(call("id1", '{"a": 1}'), call("id2", '{"a": 2}')),
        ],
        *(thinking("a", SIGNATURE), {"type": "redacted_thinking", "data": WITHHELD}, thinking("b", OTHER_SIGNATURE)),
        *(said("t"), use("id1", 1), use("id2", 2)),
    ),
    "anthropic-between-texts": of_anthropic(
        [thought("a", SIGNATURE), Part(text="t"), thought("b", OTHER_SIGNATURE), Part(text="42")],
        *(thinking("a", SIGNATURE), said("t"), thinking("b", OTHER_SIGNATURE), said("42")),
    ),
    "anthropic-between-calls": of_anthropic(
        [
            *(thought("a", SIGNATURE), Part(text="t"), call("id1", '{"a": 1}')),
            *(WITHHELD_PART, thought("b", OTHER_SIGNATURE), call("id2", '{"a": 2}')),
        ],
        *(thinking("a", SIGNATURE), said("t"), use("id1", 1)),
        *({"type": "redacted_thinking", "data": WITHHELD}, thinking("b", OTHER_SIGNATURE), use("id2", 2)),
    ),
}
"""Answers of every kind that has reasoning."""


async def told(running: RunningServer, request: CompleteRequest, rpc: str) -> Message:
    """The message of an answer: the whole one, or what a caller makes of the stream."""
    if rpc == "Complete":
        return (await running.client().complete(request)).message
    return folded([event async for event in running.client().stream(request)])


def folded(events: list[StreamCompleteResponse]) -> Message:
    """The deltas of a stream put together as their comments say."""
    parts: list[Part] = []
    for event in events:
        match event.WhichOneof("kind"):
            case "reasoning_delta" if event.reasoning_delta.WhichOneof("form") == "redacted":
                parts.append(Part(reasoning=Reasoning(redacted=event.reasoning_delta.redacted)))
            case "reasoning_delta":
                if not _goes_on(parts, "reasoning"):
                    parts.append(thought(""))
                parts[-1].reasoning.text += event.reasoning_delta.text
                parts[-1].signature = event.reasoning_delta.signature
            case "content_delta":
                if not _goes_on(parts, "text"):
                    parts.append(Part(text=""))
                parts[-1].text += event.content_delta.text
            case "tool_call_delta":
                if event.tool_call_delta.name:
                    parts.append(call(event.tool_call_delta.call_id, ""))
                parts[-1].tool_call.arguments += event.tool_call_delta.arguments
    return Message(role=ROLE_ASSISTANT, content=parts)


def _goes_on(parts: list[Part], kind: str) -> bool:
    """Whether the next piece of this kind goes on with the last part."""
    last = parts[-1] if parts else Part()
    return last.WhichOneof("kind") == kind and not (last.signature or last.reasoning.redacted)


@pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])
@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
async def test_reasoning_goes_back(upstream: FakeUpstream, server: RunningServer, turn: Turn, rpc: str) -> None:
    """An answer's message, put as it is into the next request, is there what the model said, in its order."""
    turn.answers(upstream)
    request = CompleteRequest(model=turn.model, tools=[TOOL], reasoning=turn.reasoning, messages=[QUESTION])
    request.include.reasoning = True

    message = await told(server, request, rpc)
    called = [part.tool_call.id for part in message.content if part.HasField("tool_call")]
    results = [Part(tool_result=ToolResult(call_id=call_id, content="7")) for call_id in called]
    request.messages.append(message)
    if results:
        request.messages.add(role=ROLE_TOOL, content=results)
    request.messages.append(GO_ON)
    await server.client().complete(request)

    assert message == Message(role=ROLE_ASSISTANT, content=turn.message)
    body = upstream.requests[1].body
    if turn.model == ANTHROPIC:
        check_anthropic(body, turn, called)
    else:
        wire_results = [{"role": "tool", "tool_call_id": call_id, "content": "7"} for call_id in called]
        user = [{"role": "user", "content": text} for text in ("q", "go on")]
        assert body["messages"] == [user[0], turn.sent, *wire_results, user[1]]


def check_anthropic(body: Json, turn: Turn, called: list[str]) -> None:
    """The second request in Anthropic's form: results come first in the turn of the user, and the model may reason."""
    results = [{"type": "tool_result", "tool_use_id": call_id, "content": "7"} for call_id in called]
    assert body["messages"] == [
        {"role": "user", "content": [said("q")]},
        {"role": "assistant", "content": turn.sent},
        {"role": "user", "content": [*results, said("go on")]},
    ]
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}


async def test_reasoning_over_several_turns(upstream: FakeUpstream, server: RunningServer) -> None:
    """Each turn's reasoning stays with it, however many come after."""
    request = CompleteRequest(
        model=ANTHROPIC,
        tools=[TOOL],
        reasoning=ReasoningOptions(budget_tokens=2000),
        include=IncludeOptions(reasoning=True),
    )
    request.messages.append(QUESTION)
    turns = [(thinking("a", SIGNATURE), use("id1", 1)), (thinking("b", OTHER_SIGNATURE), use("id2", 2))]

    for turn in turns:
        blocks(*turn)(upstream)
        request.messages.append((await server.client().complete(request)).message)
        result = ToolResult(call_id=str(turn[1]["id"]), content="7")
        request.messages.add(role=ROLE_TOOL, content=[Part(tool_result=result)])
    await server.client().complete(request)

    sent = [message["content"] for message in upstream.requests[-1].body["messages"] if message["role"] == "assistant"]
    assert sent == [[*turn] for turn in turns]


UNSIGNED: Final = {"reasoning_content": "hm"}
SIGNED: Final = UNSIGNED | {"thinking_blocks": WIRE_BLOCKS[:1]}
NOTHING: Final[Json] = {}
KEPT: Final[dict[str, Json]] = {
    **dict.fromkeys(("openai", "litellm_proxy", "deepseek", "groq", "openrouter", "xai"), SIGNED),
    **dict.fromkeys(("hosted_vllm", "together_ai", "fireworks_ai"), UNSIGNED),
    **dict.fromkeys(("mistral", "databricks"), NOTHING),
}
"""What is sent of signed reasoning, by provider of the OpenAI protocol."""


@pytest.mark.parametrize("provider", KEPT)
async def test_what_providers_get_back(upstream: FakeUpstream, provider: str) -> None:
    """Some of litellm's translations leave out signatures, or the reasoning."""
    message = Message(role=ROLE_ASSISTANT, content=[thought("hm", SIGNATURE), Part(text="t")])

    async with serving(config_for(model_entry(upstream.api_base, litellm_model=f"{provider}/fake"))) as running:
        await running.client().complete(CompleteRequest(messages=[QUESTION, message, GO_ON]))

    assert upstream.requests[0].body["messages"][1] == {"role": "assistant", "content": "t"} | KEPT[provider]
