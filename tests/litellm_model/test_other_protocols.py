"""What callers see of answers in the protocols of Anthropic, Google and Amazon."""

import json
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model.answers import AnswerReader, MalformedAnswer
from reasoning_grpc.litellm_model.litellm_reader import LiteLLMAnswer
from reasoning_grpc.litellm_model.protocols.openai import OpenAIObserver
from reasoning_grpc.v1 import completion_pb2
from tests.support.converse_events import (
    converse_block_stop,
    converse_call,
    converse_call_start,
    converse_delta,
    converse_end,
    converse_stop,
    converse_stream,
    converse_text,
)
from tests.support.factories import a_wire_request
from tests.support.native_events import (
    MARKS,
    START,
    STOP,
    Json,
    anthropic_stream,
    block,
    finish_event,
    google_response,
    google_text,
    receive,
    text_block,
)
from tests.support.opaque_values import remove_mark
from tests.support.received import receive_answer
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream


async def test_each_delta_is_passed_on_at_once(
    upstream: FakeUpstream, native_server: RunningServer, native_provider: str
) -> None:
    """A delta of an answer reaches the caller before the upstream sends the next one."""
    gate = upstream.gated("a", "b", "c", reasoning=("hm",))
    steps_seen: list[int] = []

    def record_step() -> None:
        steps_seen.append(gate.steps_sent)
        gate.open()

    answer = await receive_answer(native_server.client(), record_step, model=native_provider)

    assert steps_seen == [0, 1, 2, 3, 4, 5]
    assert (answer.reasoning, answer.text, answer.finish) == ("hm", "abc", "STOP")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(
            anthropic_stream(
                block(
                    0,
                    {"type": "thinking", "thinking": "", "signature": ""},
                    {"type": "thinking_delta", "thinking": "let me "},
                    {"type": "thinking_delta", "thinking": "see"},
                    {"type": "signature_delta", "signature": "EqQB"},
                ),
                block(1, {"type": "redacted_thinking", "data": "EmwK"}),
                text_block(2, "42"),
                finish_event("end_turn"),
                STOP,
            ),
            {"reasoning": "let me see", "signatures": ["EqQB"], "redacted": [b"EmwK"], "text": "42"},
            id="anthropic",
        ),
        pytest.param(
            [
                google_response(google_text("let me ", thought=True)),
                google_response(google_text("see", thought=True, thoughtSignature="EqQB")),
                google_response(google_text("42"), word="STOP"),
            ],
            {"reasoning": "let me see", "signatures": ["EqQB"], "text": "42"},
            id="gemini",
        ),
        pytest.param(
            converse_stream(
                converse_delta(0, reasoningContent={"text": "let me "}),
                converse_delta(0, reasoningContent={"text": "see"}),
                converse_delta(0, reasoningContent={"signature": "EqQB"}),
                converse_block_stop(0),
                converse_delta(1, reasoningContent={"redactedContent": "EmwK"}),
                converse_block_stop(1),
                converse_text(2, "42"),
                *converse_end(),
            ),
            {"reasoning": "let me see", "signatures": ["EqQB"], "redacted": [b"EmwK"], "text": "42"},
            id="bedrock",
        ),
        pytest.param(
            converse_stream(
                converse_delta(0, reasoningContent={"text": "let me see", "signature": "EqQB"}, text="42"),
                *converse_end(),
            ),
            {"reasoning": "let me see", "signatures": ["EqQB"], "text": "42"},
            id="bedrock-in-one-delta",
        ),
    ],
)
async def test_thinking_becomes_reasoning(
    upstream: FakeUpstream, native_server: RunningServer, events: list[Json], expected: Json
) -> None:
    """Thinking comes as reasoning, with its signature, before the text; withheld reasoning is passed on."""
    answer = await receive(upstream, native_server, *events)

    summary = answer.summary()
    assert {name: summary[name] for name in summary if name not in {"ended", "tokens"}} == expected
    assert answer.order == [kind for kind in ("reasoning", "redacted", "text") if kind in expected]


CALLS: Final = {
    "anthropic": (
        anthropic_stream(
            text_block(0, "Let me look."),
            block(
                1,
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
                {"type": "input_json_delta", "partial_json": ""},
                {"type": "input_json_delta", "partial_json": '{"city": '},
                {"type": "input_json_delta", "partial_json": '"Oslo"}'},
            ),
            block(2, {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}),
            finish_event("tool_use"),
            STOP,
        ),
        [["toolu_1", "weather", '{"city": "Oslo"}', ""], ["toolu_2", "now", "{}", ""]],
        "tool_use",
    ),
    "anthropic-input-at-the-start": (
        anthropic_stream(
            text_block(0, "Let me look."),
            block(1, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}),
            finish_event("tool_use"),
            STOP,
        ),
        [["toolu_1", "weather", '{"city": "Oslo"}', ""]],
        "tool_use",
    ),
    "gemini": (
        [
            google_response(google_text("Let me look.")),
            google_response(
                {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "Ci4B"},
                {"functionCall": {"id": "c2", "name": "now", "args": {}}},
            ),
            google_response(google_text(""), word="STOP"),
        ],
        [["c1", "weather", '{"city": "Oslo"}', "Ci4B"], ["c2", "now", "{}", ""]],
        "STOP",
    ),
    "gemini-an-event-each": (
        [
            google_response(google_text("Let me look.")),
            google_response({"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}}),
            google_response({"functionCall": {"id": "c2", "name": "now"}}, word="STOP"),
        ],
        [["c1", "weather", '{"city": "Oslo"}', ""], ["c2", "now", "{}", ""]],
        "STOP",
    ),
    "bedrock": (
        converse_stream(
            converse_text(0, "Let me ", "look."),
            converse_call(1, "tooluse_1", "weather", "", '{"city": ', '"Oslo"}'),
            converse_call(2, "tooluse_2", "now"),
            *converse_end("tool_use"),
        ),
        [["tooluse_1", "weather", '{"city": "Oslo"}', ""], ["tooluse_2", "now", "{}", ""]],
        "tool_use",
    ),
    "bedrock-without-block-stops": (
        converse_stream(
            converse_delta(0, text="Let me look."),
            converse_call_start(1, "tooluse_1", "weather"),
            converse_call_start(2, "tooluse_2", "now"),
            converse_delta(2, toolUse={"input": "{}"}),
            *converse_end("tool_use"),
        ),
        [["tooluse_1", "weather", "{}", ""], ["tooluse_2", "now", "{}", ""]],
        "tool_use",
    ),
    "bedrock-input-at-the-start": (
        converse_stream(
            converse_text(0, "Let me look."),
            converse_call_start(1, "tooluse_1", "weather", input={"city": "Oslo"}),
            converse_block_stop(1),
            *converse_end("tool_use"),
        ),
        [["tooluse_1", "weather", '{"city": "Oslo"}', ""]],
        "tool_use",
    ),
}


@pytest.mark.parametrize(("events", "calls", "word"), CALLS.values(), ids=CALLS.keys())
async def test_tool_calls_arrive_whole(
    upstream: FakeUpstream, native_server: RunningServer, events: list[Json], calls: list[list[str]], word: str
) -> None:
    """Calls keep their ids, names, signatures and all arguments, which are JSON even for a call without any."""
    answer = await receive(upstream, native_server, *events)

    assert (answer.text, answer.calls) == ("Let me look.", calls)
    assert answer.order == ["text", *(f"call {index}" for index in range(len(calls)))]
    assert (answer.finish, answer.word) == ("TOOL_CALLS", word)


async def test_a_call_without_an_id_gets_one(upstream: FakeUpstream, native_server: RunningServer) -> None:
    """A call without an id, as Gemini often sends, gets a short one, in which nothing is packed."""
    upstream.reply(tool_calls=[FakeToolCall("", "f"), FakeToolCall("", "g")], tool_signature="S" * 500)

    answer = await native_server.client().complete(a_wire_request("hi", model="gemini"))

    ids = [part.tool_call.id for part in answer.message.content]
    assert [remove_mark(part.signature) for part in answer.message.content] == ["S" * 500, ""]
    assert len(set(ids)) == 2
    assert all(0 < len(call_id) < 60 for call_id in ids)


async def test_the_providers_own_tools_are_not_the_callers(
    upstream: FakeUpstream, native_server: RunningServer
) -> None:
    """A search that Anthropic made itself is not a call for the caller to run."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    query = {"type": "input_json_delta", "partial_json": '{"query": "x"}'}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    events = anthropic_stream(
        block(0, search, query), block(1, result), text_block(2, "Found."), finish_event("end_turn"), STOP
    )

    answer = await receive(upstream, native_server, *events)

    assert answer.summary() == {"text": "Found.", "ended": "STOP end_turn", "tokens": [11, 7]}


async def test_amazons_own_tools_are_not_the_callers(upstream: FakeUpstream, native_server: RunningServer) -> None:
    """A search that Bedrock made itself, and what it found, are neither a call nor text of the answer."""
    result = {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolResult": {"toolUseId": "t1"}}}}
    events = converse_stream(
        converse_call_start(0, "t1", "nova_grounding", type="server_tool_use"),
        converse_delta(0, toolUse={"input": "{}"}),
        converse_block_stop(0),
        result,
        converse_delta(1, toolResult=[{"text": "a page"}]),
        converse_block_stop(1),
        converse_text(2, "Found."),
        *converse_end(),
    )

    answer = await receive(upstream, native_server, *events)

    assert answer.summary() == {"text": "Found.", "ended": "STOP end_turn", "tokens": [11, 7]}


@pytest.mark.parametrize(
    ("model", "word", "text"),
    [
        pytest.param("claude-3-haiku-20240307", "tool_use", '{"x": 1}', id="through-a-tool"),
        pytest.param("claude-sonnet-4-5", "end_turn", '{"x": 1}', id="of-itself"),
    ],
)
async def test_json_from_a_tool_of_litellms_is_text(upstream: FakeUpstream, model: str, word: str, text: str) -> None:
    """Older models of Anthropic give their JSON to a tool that litellm adds.

    The caller gets it as text, not as a call.
    """
    schema = '{"type": "object", "properties": {"x": {"type": "integer"}}}'
    response_format = completion_pb2.ResponseFormat(
        json_schema=completion_pb2.JsonSchemaFormat(name="out", schema=schema)
    )
    tool = {"type": "tool_use", "id": "toolu_1", "name": "json_tool_call", "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": text} for text in ("", '{"x"', ": 1}")]
    blocks = block(0, tool, *deltas) if word == "tool_use" else text_block(0, '{"x"', ": 1}")
    upstream.lines(*anthropic_stream(blocks, finish_event(word), STOP))
    entry = provider_entry(upstream, "anthropic", name=model)

    async with serving(config_for(entry)) as running:
        answer = await receive_answer(running.client(), response_format=response_format)

    tools = [tool["name"] for tool in upstream.requests[0].body.get("tools", [])]
    assert tools == (["json_tool_call"] if word == "tool_use" else [])
    assert answer.summary() == {"text": text, "ended": f"STOP {word}", "tokens": [11, 7]}


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "in-one-delta"])
async def test_json_from_a_tool_stays_as_the_model_wrote_it(upstream: FakeUpstream, is_whole: bool) -> None:
    """JSON that a model gives to litellm's tool keeps its member `values`, whose value litellm puts in its place."""
    schema = '{"type": "object", "properties": {"values": {"type": "array"}}}'
    response_format = completion_pb2.ResponseFormat(
        json_schema=completion_pb2.JsonSchemaFormat(name="out", schema=schema)
    )
    tool = {"type": "tool_use", "id": "toolu_1", "name": "json_tool_call", "input": {}}
    if is_whole:
        content = [tool | {"input": {"values": [1, 2]}}]
        message = START["message"] | {"content": content, "stop_reason": "tool_use"}
        upstream.body(json.dumps(message).encode(), content_type="application/json")
    else:
        delta = {"type": "input_json_delta", "partial_json": '{"values": [1, 2]}'}
        upstream.lines(*anthropic_stream(block(0, tool, delta), finish_event("tool_use"), STOP))

    async with serving(config_for(provider_entry(upstream, "anthropic", name="claude-3-haiku-20240307"))) as running:
        answer = await receive_answer(running.client(), response_format=response_format)

    assert (answer.text, answer.calls, answer.finish) == ('{"values": [1, 2]}', [], "STOP")


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm", "anthropic"])
async def test_a_callers_tool_may_have_the_name_of_litellms(upstream: FakeUpstream, provider: str) -> None:
    """A tool of the caller's with the name of the tool that litellm adds is the caller's, also with kept requests."""
    tool = completion_pb2.Tool(name="json_tool_call")

    async with serving(config_for(provider_entry(upstream, provider))) as running:
        for _ in range(2):
            upstream.reply(tool_calls=[FakeToolCall("t1", "json_tool_call", "{}")])
            answer = await receive_answer(running.client(), tools=[tool])

            assert answer.calls == [["t1", "json_tool_call", "{}", ""]]
            assert answer.finish == "TOOL_CALLS"


NULLS: Final = {
    "anthropic": anthropic_stream(
        block(0, {"type": "text", "text": None}, {"type": "text_delta", "text": None}),
        {"type": "content_block_delta", "index": 0, "delta": None},
        {"type": "ping"},
        {"type": "brand_new", "index": None},
        text_block(1, "Hello"),
        finish_event("end_turn"),
    ),
    "gemini": [
        {"candidates": None, "usageMetadata": None},
        {"candidates": [{"content": None}]},
        {"candidates": [{"content": {"parts": None}, "finishReason": None}]},
        google_response(google_text(None), {"functionCall": None}, {"text": "Hello", "thought": None}),
        google_response(google_text(""), word="STOP"),
    ],
    "bedrock": converse_stream(
        {"contentBlockStart": {"contentBlockIndex": 0, "start": None}},
        converse_delta(0, text=None, toolUse=None, reasoningContent=None),
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": None}},
        converse_block_stop(0),
        converse_block_stop(1),
        {"metadataOfANewKind": {"index": None}},
        converse_text(2, "Hello"),
        converse_stop("end_turn", additionalModelResponseFields=None),
        {"metadata": {"usage": None, "metrics": None, "trace": None}},
    ),
}


@pytest.mark.parametrize("events", NULLS.values(), ids=NULLS.keys())
async def test_nulls_and_unknown_events_are_ignored(
    upstream: FakeUpstream, native_server: RunningServer, events: list[Json]
) -> None:
    """A null in the place of a value, and events of a new kind, break nothing."""
    answer = await receive(upstream, native_server, *events)

    assert (answer.text, answer.finish, answer.calls) == ("Hello", "STOP", [])


async def test_text_may_look_like_an_end(
    upstream: FakeUpstream, native_server: RunningServer, native_provider: str
) -> None:
    """Text that looks like the end of a stream, an event or a line is text like any other."""
    upstream.reply("This ", MARKS)

    answer = await receive_answer(native_server.client(), model=native_provider)

    assert answer.text == f"This {MARKS}"


class EmptyStream:
    """A stream of litellm's that ends before its first chunk."""

    def __init__(self) -> None:
        self.received_finish_reason: str | None = "stop"
        self.chunks: list[Any] = []

    def __aiter__(self) -> "EmptyStream":
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Closes nothing."""


async def test_lost_text_is_not_an_answer() -> None:
    """An answer of which litellm lost text, in whatever way, does not count as complete."""
    observer, reader = OpenAIObserver(), AnswerReader()
    observer.observe_event(b'{"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}')

    with pytest.raises(MalformedAnswer):
        await LiteLLMAnswer(EmptyStream(), lambda: observer).next_deltas(reader)

    assert reader.finish_reason is None
