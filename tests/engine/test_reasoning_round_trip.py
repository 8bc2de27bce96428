"""The model's own reasoning goes to the caller, and back to the model in the next turn, in the provider's form."""

from collections.abc import AsyncIterator, Callable
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
from tests.support.anthropic_blocks import Json, stream_blocks, text_block, thinking_block, tool_use
from tests.support.opaque_values import remove_marks
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream

OPENAI, VLLM, TAGGED, ANTHROPIC = "openai", "hosted_vllm", "tagged", "anthropic"
SIGNATURE: Final = "EqQBCkgIARABGAIiQ+/x9w=="
OTHER_SIGNATURE: Final = "ErUB/K+8Zg=="
WITHHELD: Final = "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpPkNRj2YfWXGmKDxH4mPnZ5sQ7vB+=="
TOOL: Final = Tool(name="f", parameters_schema='{"type": "object", "properties": {"a": {"type": "integer"}}}')
QUESTION: Final = Message(role=ROLE_USER, content=[Part(text="q")])
GO_ON: Final = Message(role=ROLE_USER, content=[Part(text="go on")])


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Runs a server with a model of each provider, all behind the fake upstream."""
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
    """The answer of a model in the first turn, and the part of the second request that repeats it."""

    model: str
    script_answer: Callable[[FakeUpstream], object]
    message: list[Part]
    """The parts that the caller receives."""
    sent: Any
    """The part that is sent back: the assistant's message in the OpenAI protocol, or its content in Anthropic's."""
    reasoning: ReasoningOptions = field(default_factory=ReasoningOptions)


def a_thought(text: str, signature: str = "") -> Part:
    """Creates a part of reasoning."""
    return Part(reasoning=Reasoning(text=text), signature=signature)


def a_call(call_id: str, arguments: str) -> Part:
    """Creates a part with a call of the tool."""
    return Part(tool_call=ToolCall(id=call_id, name="f", arguments=arguments))


WITHHELD_PART: Final = Part(reasoning=Reasoning(redacted=WITHHELD.encode()))
CALL: Final = FakeToolCall("id1", "f", ('{"a"', ": 1}"))
WIRE_CALL: Final = {"id": "id1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
WIRE_BLOCKS: Final = [
    {"type": "thinking", "thinking": "hm", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": WITHHELD},
]

WORDS: Final = {"reasoning_content": "hm", "reasoning": "hm"}
"""Reasoning in words for a server of which only the address is known."""


def anthropic_turn(message: list[Part], *content: Json) -> Turn:
    """Creates a turn of a model of Anthropic's, in which the blocks of the answer are sent back unchanged."""
    options = ReasoningOptions(budget_tokens=2000)
    return Turn(
        model=ANTHROPIC, script_answer=stream_blocks(*content), message=message, sent=[*content], reasoning=options
    )


TURNS: Final[dict[str, Turn]] = {
    **{
        f"{model}-unsigned": Turn(
            model=model,
            script_answer=lambda fake: fake.reply("4", "2", reasoning=("h", "m")),
            message=[a_thought("hm"), Part(text="42")],
            sent={"role": "assistant", "content": "42", **WORDS},
        )
        for model in (OPENAI, VLLM)
    },
    **{
        f"{model}-unsigned-and-a-call": Turn(
            model=model,
            script_answer=lambda fake: fake.reply(
                reasoning=("h", "m"), reasoning_field="reasoning", tool_calls=(CALL,)
            ),
            message=[a_thought("hm"), a_call("id1", '{"a": 1}')],
            sent={"role": "assistant", "tool_calls": [WIRE_CALL], **WORDS},
        )
        for model in (OPENAI, VLLM)
    },
    "openai-signed": Turn(
        model=OPENAI,
        script_answer=lambda fake: fake.reply("42", reasoning=("h", "m"), reasoning_signature=SIGNATURE),
        message=[a_thought("hm", SIGNATURE), Part(text="42")],
        sent={"role": "assistant", "content": "42", **WORDS, "thinking_blocks": WIRE_BLOCKS[:1]},
    ),
    "openai-signed-withheld-and-a-call": Turn(
        model=OPENAI,
        script_answer=lambda fake: fake.reply(
            "t",
            reasoning=("h", "m"),
            reasoning_signature=SIGNATURE,
            redacted_reasoning=(WITHHELD,),
            tool_calls=(CALL,),
        ),
        message=[a_thought("hm", SIGNATURE), WITHHELD_PART, Part(text="t"), a_call("id1", '{"a": 1}')],
        sent={
            "role": "assistant",
            "content": "t",
            "tool_calls": [WIRE_CALL],
            **WORDS,
            "thinking_blocks": WIRE_BLOCKS,
        },
    ),
    "think-tags": Turn(
        model=TAGGED,
        script_answer=lambda fake: fake.reply("<think>h", "m</th", "ink>42"),
        message=[a_thought("hm"), Part(text="42")],
        sent={"role": "assistant", "content": "42", **WORDS},
    ),
    "anthropic-signed": anthropic_turn(
        [a_thought("hm", SIGNATURE), Part(text="42")], thinking_block("hm", SIGNATURE), text_block("42")
    ),
    "anthropic-withheld": anthropic_turn(
        [WITHHELD_PART, Part(text="42")], {"type": "redacted_thinking", "data": WITHHELD}, text_block("42")
    ),
    "anthropic-a-signature-without-text": anthropic_turn(
        [a_thought("", SIGNATURE), Part(text="42")], thinking_block("", SIGNATURE), text_block("42")
    ),
    "anthropic-and-a-call": anthropic_turn(
        [a_thought("hm", SIGNATURE), Part(text="t"), a_call("id1", '{"a": 1}')],
        *(thinking_block("hm", SIGNATURE), text_block("t"), tool_use("id1", 1)),
    ),
    "anthropic-several-and-calls": anthropic_turn(
        [
            *(a_thought("a", SIGNATURE), WITHHELD_PART, a_thought("b", OTHER_SIGNATURE), Part(text="t")),
            *(a_call("id1", '{"a": 1}'), a_call("id2", '{"a": 2}')),
        ],
        *(
            thinking_block("a", SIGNATURE),
            {"type": "redacted_thinking", "data": WITHHELD},
            thinking_block("b", OTHER_SIGNATURE),
        ),
        *(text_block("t"), tool_use("id1", 1), tool_use("id2", 2)),
    ),
    "anthropic-between-texts": anthropic_turn(
        [a_thought("a", SIGNATURE), Part(text="t"), a_thought("b", OTHER_SIGNATURE), Part(text="42")],
        *(thinking_block("a", SIGNATURE), text_block("t"), thinking_block("b", OTHER_SIGNATURE), text_block("42")),
    ),
    "anthropic-between-calls": anthropic_turn(
        [
            *(a_thought("a", SIGNATURE), Part(text="t"), a_call("id1", '{"a": 1}')),
            *(WITHHELD_PART, a_thought("b", OTHER_SIGNATURE), a_call("id2", '{"a": 2}')),
        ],
        *(thinking_block("a", SIGNATURE), text_block("t"), tool_use("id1", 1)),
        *({"type": "redacted_thinking", "data": WITHHELD}, thinking_block("b", OTHER_SIGNATURE), tool_use("id2", 2)),
    ),
}
"""Answers of every kind that has reasoning."""


async def receive_message(running: RunningServer, request: CompleteRequest, rpc: str) -> Message:
    """Returns the message of an answer to `Complete`, or the message that the deltas of a stream make up."""
    if rpc == "Complete":
        return (await running.client().complete(request)).message
    return fold_message([event async for event in running.client().stream(request)])


def fold_message(events: list[StreamCompleteResponse]) -> Message:
    """Puts the deltas of a stream together, independently of the client's own fold."""
    parts: list[Part] = []
    for event in events:
        match event.WhichOneof("kind"):
            case "reasoning_delta" if event.reasoning_delta.WhichOneof("form") == "redacted":
                parts.append(Part(reasoning=Reasoning(redacted=event.reasoning_delta.redacted)))
            case "reasoning_delta":
                if not _is_continued(parts, "reasoning"):
                    parts.append(a_thought(""))
                parts[-1].reasoning.text += event.reasoning_delta.text
                parts[-1].signature = event.reasoning_delta.signature
            case "content_delta":
                if not _is_continued(parts, "text"):
                    parts.append(Part(text=""))
                parts[-1].text += event.content_delta.text
            case "tool_call_delta":
                if event.tool_call_delta.name:
                    parts.append(a_call(event.tool_call_delta.call_id, ""))
                parts[-1].tool_call.arguments += event.tool_call_delta.arguments
    return Message(role=ROLE_ASSISTANT, content=parts)


def _is_continued(parts: list[Part], kind: str) -> bool:
    """Returns whether the next delta of this kind continues the last part."""
    last = parts[-1] if parts else Part()
    return last.WhichOneof("kind") == kind and not (last.signature or last.reasoning.redacted)


@pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])
@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
async def test_reasoning_is_sent_back_unchanged(
    upstream: FakeUpstream, server: RunningServer, turn: Turn, rpc: str
) -> None:
    """An answer's message in the next request reaches the model with the same reasoning, text and calls, in order."""
    turn.script_answer(upstream)
    request = CompleteRequest(model=turn.model, tools=[TOOL], reasoning=turn.reasoning, messages=[QUESTION])
    request.include.reasoning = True

    message = await receive_message(server, request, rpc)
    call_ids = [part.tool_call.id for part in message.content if part.HasField("tool_call")]
    results = [Part(tool_result=ToolResult(call_id=call_id, content="7")) for call_id in call_ids]
    request.messages.append(message)
    if results:
        request.messages.add(role=ROLE_TOOL, content=results)
    request.messages.append(GO_ON)
    await server.client().complete(request)

    assert remove_marks(message) == Message(role=ROLE_ASSISTANT, content=turn.message)
    body = upstream.requests[1].body
    if turn.model == ANTHROPIC:
        check_anthropic(body, turn, call_ids)
    else:
        wire_results = [{"role": "tool", "tool_call_id": call_id, "content": "7"} for call_id in call_ids]
        user = [{"role": "user", "content": text} for text in ("q", "go on")]
        assert body["messages"] == [user[0], turn.sent, *wire_results, user[1]]


def check_anthropic(body: Json, turn: Turn, call_ids: list[str]) -> None:
    """Checks the second request in Anthropic's form: the user's turn begins with the results, and reasoning is on."""
    results = [{"type": "tool_result", "tool_use_id": call_id, "content": "7"} for call_id in call_ids]
    assert body["messages"] == [
        {"role": "user", "content": [text_block("q")]},
        {"role": "assistant", "content": turn.sent},
        {"role": "user", "content": [*results, text_block("go on")]},
    ]
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}


async def test_reasoning_stays_with_its_turn(upstream: FakeUpstream, server: RunningServer) -> None:
    """The reasoning of each earlier turn is sent back with that turn in every later request."""
    request = CompleteRequest(
        model=ANTHROPIC,
        tools=[TOOL],
        reasoning=ReasoningOptions(budget_tokens=2000),
        include=IncludeOptions(reasoning=True),
    )
    request.messages.append(QUESTION)
    turns = [
        (thinking_block("a", SIGNATURE), tool_use("id1", 1)),
        (thinking_block("b", OTHER_SIGNATURE), tool_use("id2", 2)),
    ]

    for turn in turns:
        stream_blocks(*turn)(upstream)
        request.messages.append((await server.client().complete(request)).message)
        result = ToolResult(call_id=str(turn[1]["id"]), content="7")
        request.messages.add(role=ROLE_TOOL, content=[Part(tool_result=result)])
    await server.client().complete(request)

    sent = [message["content"] for message in upstream.requests[-1].body["messages"] if message["role"] == "assistant"]
    assert sent == [[*turn] for turn in turns]


UNSIGNED: Final = {"reasoning_content": "hm"}
RENAMED: Final = {"reasoning": "hm"}
NOTHING: Final[Json] = {}
BLOCKS: Final = {"thinking_blocks": WIRE_BLOCKS[:1]}
SENT_BACK: Final[dict[str, Json]] = {
    **dict.fromkeys(("openai", "custom_openai"), WORDS | BLOCKS),
    **dict.fromkeys(("litellm_proxy", "deepseek", "xai"), UNSIGNED | BLOCKS),
    **dict.fromkeys(("together_ai", "fireworks_ai"), UNSIGNED),
    "hosted_vllm": WORDS,
    **dict.fromkeys(("cerebras", "groq"), RENAMED),
    "openrouter": {
        "reasoning_details": [
            {"type": "reasoning.text", "signature": SIGNATURE, "format": "anthropic-claude-v1", "text": "hm"}
        ]
    },
    "mistral": {
        "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "t"}]
    },
    **dict.fromkeys(("azure", "databricks"), NOTHING),
}
"""The form in which signed reasoning is sent back, by provider of the OpenAI protocol."""


@pytest.mark.parametrize("provider", SENT_BACK)
async def test_the_provider_decides_what_is_sent_back(upstream: FakeUpstream, provider: str) -> None:
    """Signed reasoning is sent back whole, without its signature or not at all, in the form of the provider."""
    message = Message(role=ROLE_ASSISTANT, content=[a_thought("hm", SIGNATURE), Part(text="t")])

    async with serving(config_for(model_entry(upstream.api_base, litellm_model=f"{provider}/fake"))) as running:
        await running.client().complete(CompleteRequest(messages=[QUESTION, message, GO_ON]))

    assert upstream.requests[0].body["messages"][1] == {"role": "assistant", "content": "t"} | SENT_BACK[provider]
