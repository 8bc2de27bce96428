"""What callers see of answers in the protocols of Anthropic, Google and Ollama, which litellm and an observer read."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model.answers import AnswerReader, MalformedAnswer
from reasoning_grpc.litellm_model.litellm_reader import LiteLLMAnswer
from reasoning_grpc.litellm_model.protocols.openai import OpenAIObserver
from reasoning_grpc.v1 import completion_pb2, usage_pb2
from tests.support.received import ReceivedAnswer, receive_answer
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeToolCall, FakeUpstream, Gate

Json = dict[str, Any]

BOTH: Final = ("anthropic", "gemini")
WORDS: Final = "word0 word1 word2 "
MARKS: Final = "ends with `data: [DONE]`, a line\u2028or\u2029two\u0085of text, data: {}\n\nevent: error"

START: Final[Json] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 6, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2},
    },
}
STOP: Final[Json] = {"type": "message_stop"}


def block(index: int, start: Json, *deltas: Json, end: bool = True) -> Iterator[Json]:
    """Yields the events of one block of Anthropic's."""
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    if end:
        yield {"type": "content_block_stop", "index": index}


def text_block(index: int, *texts: str) -> Iterator[Json]:
    """Yields the events of a block of text."""
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts))


def finish_event(word: str | None, **usage: Any) -> Json:
    """Returns the event with Anthropic's stop reason."""
    return {"type": "message_delta", "delta": {"stop_reason": word}, "usage": usage or {"output_tokens": 7}}


def anthropic_stream(*parts: Json | Iterable[Json]) -> list[Json]:
    """Returns a stream of Anthropic's from its start; blocks are given as events."""
    return [START, *(event for part in parts for event in ([part] if isinstance(part, dict) else part))]


def google_response(*parts: Any, word: str | None = None, **members: Any) -> Json:
    """Returns a response of Google's."""
    found: Json = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {"candidates": [found | ({"finishReason": word} if word else {})], **members}


def google_text(value: Any, **members: Any) -> Json:
    """Returns a text part of Google's."""
    return {"text": value, **members}


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of each provider, named after it."""
    entries = [provider_entry(upstream, provider, name=provider) for provider in BOTH]
    async with serving(config_for(*entries)) as running:
        yield running


@pytest.fixture(params=BOTH)
def provider(request: pytest.FixtureRequest) -> str:
    """litellm's prefix of the provider, which is also the name of its model."""
    return str(request.param)


async def receive(upstream: FakeUpstream, server: RunningServer, *events: Json | str) -> ReceivedAnswer:
    """Returns these events as a caller receives them; the first one shows whose they are."""
    upstream.lines(*events)
    of_anthropic = isinstance(events[0], dict) and "type" in events[0]
    return await receive_answer(server.client(), model="anthropic" if of_anthropic else "gemini")


async def test_each_delta_is_passed_on_at_once(upstream: FakeUpstream, server: RunningServer, provider: str) -> None:
    """A delta of an answer reaches the caller before the upstream sends the next one."""
    gate = upstream.gated("a", "b", "c", reasoning=("hm",))
    steps_seen: list[int] = []

    def record_step() -> None:
        steps_seen.append(gate.steps_sent)
        gate.open()

    answer = await receive_answer(server.client(), record_step, model=provider)

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
    ],
)
async def test_thinking_becomes_reasoning(
    upstream: FakeUpstream, server: RunningServer, events: list[Json], expected: Json
) -> None:
    """Thinking comes as reasoning, with its signature, before the text; withheld reasoning is passed on."""
    answer = await receive(upstream, server, *events)

    said = answer.summary()
    assert {name: said[name] for name in said if name not in {"ended", "tokens"}} == expected
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
}


@pytest.mark.parametrize(("events", "calls", "word"), CALLS.values(), ids=CALLS.keys())
async def test_tool_calls_arrive_whole(
    upstream: FakeUpstream, server: RunningServer, events: list[Json], calls: list[list[str]], word: str
) -> None:
    """Calls keep their ids, names, signatures and all arguments, which are JSON even for a call without any."""
    answer = await receive(upstream, server, *events)

    assert (answer.text, answer.calls) == ("Let me look.", calls)
    assert answer.order == ["text", *(f"call {index}" for index in range(len(calls)))]
    assert (answer.finish, answer.word) == ("TOOL_CALLS", word)


async def test_a_call_without_an_id_gets_one(upstream: FakeUpstream, server: RunningServer) -> None:
    """A call without an id, as Gemini often sends, gets a short one, whatever litellm packs into it."""
    upstream.reply(tool_calls=[FakeToolCall("", "f"), FakeToolCall("", "g")], tool_signature="S" * 500)

    answer = await receive_answer(server.client(), model="gemini")

    ids = [call[0] for call in answer.calls]
    assert [call[3] for call in answer.calls] == ["S" * 500, ""]
    assert len(set(ids)) == 2
    assert all(0 < len(call_id) < 60 for call_id in ids)


async def test_the_providers_own_tools_are_not_the_callers(upstream: FakeUpstream, server: RunningServer) -> None:
    """A search that Anthropic made itself is not a call for the caller to run."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    query = {"type": "input_json_delta", "partial_json": '{"query": "x"}'}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    events = anthropic_stream(
        block(0, search, query), block(1, result), text_block(2, "Found."), finish_event("end_turn"), STOP
    )

    answer = await receive(upstream, server, *events)

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
    pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"x"', ": 1}")]
    blocks = block(0, tool, *pieces) if word == "tool_use" else text_block(0, '{"x"', ": 1}")
    upstream.lines(*anthropic_stream(blocks, finish_event(word), STOP))
    entry = provider_entry(upstream, "anthropic", name=model)

    async with serving(config_for(entry)) as running:
        answer = await receive_answer(running.client(), response_format=response_format)

    tools = [tool["name"] for tool in upstream.requests[0].body.get("tools", [])]
    assert tools == (["json_tool_call"] if word == "tool_use" else [])
    assert answer.summary() == {"text": text, "ended": f"STOP {word}", "tokens": [11, 7]}


CUTS: Final[dict[str, tuple[Callable[[FakeUpstream], Gate], tuple[str, ...], str]]] = {
    "clean-end": (lambda fake: fake.cut_after(3, "end", gated=True), BOTH, "UPSTREAM_STREAM_TRUNCATED"),
    "close": (lambda fake: fake.cut_after(3, "close", gated=True), BOTH, "UPSTREAM_UNREACHABLE"),
    "reset": (lambda fake: fake.cut_after(3, "reset", gated=True), BOTH, "UPSTREAM_UNREACHABLE"),
    "stop-reason-null": (
        lambda fake: fake.lines(
            *anthropic_stream(text_block(0, "word0 ", "word1 ", "word2 "), finish_event(None, output_tokens=None), STOP)
        ),
        ("anthropic",),
        "UPSTREAM_STREAM_TRUNCATED",
    ),
    "message-stop-alone": (
        lambda fake: fake.lines(*anthropic_stream(text_block(0, "word0 ", "word1 ", "word2 "), STOP)),
        ("anthropic",),
        "UPSTREAM_STREAM_TRUNCATED",
    ),
    "without-finish-reason": (
        lambda fake: fake.reply("word0 ", "word1 ", "word2 ", finish_reason=None),
        BOTH,
        "UPSTREAM_STREAM_TRUNCATED",
    ),
    "finish-reason-null": (
        lambda fake: fake.lines(
            google_response(google_text(WORDS), usageMetadata={"promptTokenCount": 11, "totalTokenCount": 11}),
            {"candidates": [{"finishReason": None}]},
        ),
        ("gemini",),
        "UPSTREAM_STREAM_TRUNCATED",
    ),
}


@pytest.mark.parametrize(
    ("provider", "cut", "reason"),
    [
        pytest.param(provider, cut, reason, id=f"{name}-{provider}")
        for name, (cut, providers, reason) in CUTS.items()
        for provider in providers
    ],
)
async def test_a_cut_stream_is_not_complete(
    upstream: FakeUpstream,
    server: RunningServer,
    provider: str,
    cut: Callable[[FakeUpstream], Gate],
    reason: str,
) -> None:
    """An answer that breaks off in any way fails; its input was counted by the provider, its output is estimated."""
    gate = cut(upstream)

    answer = await receive_answer(server.client(), gate.open, model=provider)

    assert (answer.error, answer.text, answer.finish) == (reason, WORDS, "")
    assert answer.interruption is not None
    assert answer.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert (answer.interruption.usage.input_tokens, answer.interruption.usage.output_tokens) == (11, 5)
    assert len(upstream.requests) == 1


async def test_message_stop_is_not_needed(upstream: FakeUpstream, server: RunningServer) -> None:
    """A stop reason ends an answer of Anthropic's, whatever comes after it."""
    answer = await receive(upstream, server, *anthropic_stream(text_block(0, "Hello"), finish_event("end_turn")))

    assert answer.summary() == {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]}


def anthropic_error(kind: str, message: str = UPSTREAM_SECRET) -> Json:
    """Returns an event of Anthropic's that reports an error."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def google_error(code: int, status: str, message: str = UPSTREAM_SECRET) -> Json:
    """Returns an event of Google's that reports an error."""
    return {"error": {"code": code, "message": message, "status": status}}


@pytest.mark.parametrize(
    ("error", "reason", "http_status"),
    [
        (anthropic_error("overloaded_error"), "UPSTREAM_OVERLOADED", "529"),
        (anthropic_error("rate_limit_error"), "UPSTREAM_RATE_LIMITED", "429"),
        (anthropic_error("api_error"), "UPSTREAM_ERROR", "500"),
        (anthropic_error("timeout_error"), "UPSTREAM_TIMEOUT", "504"),
        (anthropic_error("authentication_error"), "UPSTREAM_CREDENTIALS_REJECTED", "401"),
        (anthropic_error("billing_error"), "UPSTREAM_QUOTA_EXHAUSTED", "402"),
        (anthropic_error("invalid_request_error"), "UPSTREAM_REJECTED_REQUEST", "400"),
        (
            anthropic_error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
            "CONTEXT_WINDOW_EXCEEDED",
            "400",
        ),
        (anthropic_error("invalid_request_error", "Your credit balance is too low"), "UPSTREAM_QUOTA_EXHAUSTED", "400"),
        (anthropic_error("brand_new_error"), "UPSTREAM_ERROR", ""),
        ({"type": "error", "error": None}, "UPSTREAM_ERROR", ""),
        (google_error(503, "UNAVAILABLE"), "UPSTREAM_OVERLOADED", "503"),
        (google_error(429, "RESOURCE_EXHAUSTED"), "UPSTREAM_RATE_LIMITED", "429"),
        (google_error(500, "INTERNAL"), "UPSTREAM_ERROR", "500"),
        (google_error(504, "DEADLINE_EXCEEDED"), "UPSTREAM_TIMEOUT", "504"),
        (google_error(400, "INVALID_ARGUMENT"), "UPSTREAM_REJECTED_REQUEST", "400"),
        ({"error": {"status": "UNAVAILABLE"}}, "UPSTREAM_OVERLOADED", "503"),
        ({"error": None}, "UPSTREAM_MALFORMED_RESPONSE", ""),
    ],
    ids=lambda value: json.dumps(value["error"])[:60] if isinstance(value, dict) else None,
)
async def test_an_error_in_the_middle_of_a_stream(
    upstream: FakeUpstream, server: RunningServer, error: Json, reason: str, http_status: str
) -> None:
    """An error in the middle of a stream ends the answer with its own reason and the progress so far."""
    of_anthropic = "type" in error
    before = anthropic_stream(text_block(0, "Half an")) if of_anthropic else [google_response(google_text("Half an"))]
    gate = upstream.lines(*before, error, gated=True)
    gate.open(len(before))

    answer = await receive_answer(server.client(), gate.open, model="anthropic" if of_anthropic else "gemini")

    assert (answer.error, answer.http_status) == (reason, http_status)
    assert (answer.text, answer.finish) == ("Half an", "")
    assert answer.interruption is not None
    assert (answer.interruption.content_characters, answer.interruption.attempt_count) == (7, 1)
    assert len(upstream.requests) == 1


WORDS_FOR_THE_END: Final = {
    "anthropic": {
        "end_turn": "STOP",
        "stop_sequence": "STOP",
        "max_tokens": "LENGTH",
        "model_context_window_exceeded": "LENGTH",
        "refusal": "CONTENT_FILTER",
        "pause_turn": "OTHER",
        "brand_new": "OTHER",
    },
    "gemini": {
        "STOP": "STOP",
        "MAX_TOKENS": "LENGTH",
        "SAFETY": "CONTENT_FILTER",
        "RECITATION": "CONTENT_FILTER",
        "BLOCKLIST": "CONTENT_FILTER",
        "PROHIBITED_CONTENT": "CONTENT_FILTER",
        "SPII": "CONTENT_FILTER",
        "LANGUAGE": "OTHER",
        "OTHER": "OTHER",
        "MALFORMED_FUNCTION_CALL": "OTHER",
        "UNEXPECTED_TOOL_CALL": "OTHER",
        "BRAND_NEW": "OTHER",
    },
}


@pytest.mark.parametrize(
    ("provider", "word", "reason"),
    [(provider, word, reason) for provider, words in WORDS_FOR_THE_END.items() for word, reason in words.items()],
)
async def test_finish_words(
    upstream: FakeUpstream,
    server: RunningServer,
    capfd: pytest.CaptureFixture[str],
    provider: str,
    word: str,
    reason: str,
) -> None:
    """Each word has its finish reason, is passed on as the provider wrote it, and makes litellm write no warning."""
    upstream.reply("Hel", "lo", finish_reason=word)

    answer = await receive_answer(server.client(), model=provider)

    assert (answer.text, answer.finish, answer.word) == ("Hello", reason, word)
    assert word not in capfd.readouterr().err


@pytest.mark.parametrize("word", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST"])
async def test_a_prompt_that_google_blocks(upstream: FakeUpstream, server: RunningServer, word: str) -> None:
    """A prompt that Google blocks has no candidate; the reason for the block is how the answer ended."""
    answer = await receive(
        upstream,
        server,
        {"promptFeedback": {"blockReason": word}, "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8}},
    )

    assert answer.summary() == {"ended": f"CONTENT_FILTER {word}", "tokens": [8, 0]}


async def test_an_answer_that_was_all_thoughts(upstream: FakeUpstream, server: RunningServer) -> None:
    """Gemini may spend all its tokens on thoughts; the answer then has no text and ends with LENGTH."""
    usage = {"promptTokenCount": 8, "thoughtsTokenCount": 12, "totalTokenCount": 20}
    ended = {
        "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}],
        "usageMetadata": usage,
    }

    answer = await receive(upstream, server, ended)

    assert answer.summary() == {"ended": "LENGTH MAX_TOKENS", "tokens": [8, 12]}
    assert answer.usage["reasoningTokens"] == 12


def reported_usage(source: str, input_tokens: int, output_tokens: int, **parts: int) -> Json:
    """Returns the usage that a caller gets."""
    counts = {"inputTokens": input_tokens, "outputTokens": output_tokens, "totalTokens": input_tokens + output_tokens}
    source = f"USAGE_SOURCE_{source}"
    return {"source": source, **counts, **parts}


HELLO: Final = tuple(text_block(0, "Hello"))
USAGES: Final = {
    "anthropic-all": (
        [
            *anthropic_stream(HELLO),
            finish_event("end_turn", output_tokens=7, output_tokens_details={"thinking_tokens": 3}),
        ],
        reported_usage("PROVIDER", 11, 7, cachedInputTokens=3, cacheWriteTokens=2, reasoningTokens=3),
    ),
    "anthropic-input-again-at-the-end": (
        [
            *anthropic_stream(HELLO),
            finish_event("end_turn", input_tokens=20, cache_read_input_tokens=4, output_tokens=7),
        ],
        reported_usage("PROVIDER", 24, 7, cachedInputTokens=4),
    ),
    "anthropic-no-output": (
        [*anthropic_stream(HELLO), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}],
        reported_usage("ESTIMATED", 11, 2, cachedInputTokens=3, cacheWriteTokens=2),
    ),
    "anthropic-null": (
        [
            {"type": "message_start", "message": {"id": "msg_1", "usage": None}},
            *HELLO,
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": None},
        ],
        reported_usage("ESTIMATED", 1, 2),
    ),
    "anthropic-odd": (
        [
            {"type": "message_start", "message": {"usage": {"input_tokens": "6", "cache_read_input_tokens": True}}},
            *HELLO,
            finish_event("end_turn", output_tokens=-7, output_tokens_details=[]),
        ],
        reported_usage("ESTIMATED", 1, 2),
    ),
    "gemini-all": (
        [
            google_response(google_text("Hel"), usageMetadata={"promptTokenCount": 8, "totalTokenCount": 8}),
            google_response(
                google_text("lo"),
                word="STOP",
                usageMetadata={
                    "promptTokenCount": 8,
                    "toolUsePromptTokenCount": 3,
                    "cachedContentTokenCount": 2,
                    "candidatesTokenCount": 5,
                    "thoughtsTokenCount": 4,
                    "totalTokenCount": 20,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 6},
                        {"modality": "AUDIO", "tokenCount": 2},
                    ],
                },
            ),
        ],
        reported_usage("PROVIDER", 11, 9, cachedInputTokens=2, reasoningTokens=4, audioInputTokens=2),
    ),
    "gemini-after-the-finish": (
        [
            google_response(google_text("Hello"), word="STOP"),
            {"usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 5, "totalTokenCount": 13}},
        ],
        reported_usage("PROVIDER", 8, 5),
    ),
    "gemini-prompt-alone": (
        [google_response(google_text("Hello"), word="STOP", usageMetadata={"promptTokenCount": 8})],
        reported_usage("ESTIMATED", 8, 2),
    ),
    "gemini-null": (
        [google_response(google_text("Hello"), word="STOP", usageMetadata=None)],
        reported_usage("ESTIMATED", 1, 2),
    ),
    "gemini-none": ([google_response(google_text("Hello"), word="STOP")], reported_usage("ESTIMATED", 1, 2)),
    "gemini-odd": (
        [
            google_response(
                google_text("Hello"),
                word="STOP",
                usageMetadata={"promptTokenCount": "8", "candidatesTokenCount": True, "promptTokensDetails": [7, {}]},
            )
        ],
        reported_usage("ESTIMATED", 1, 2),
    ),
}


@pytest.mark.parametrize(("events", "expected"), USAGES.values(), ids=USAGES.keys())
async def test_usage_is_the_providers(
    upstream: FakeUpstream, server: RunningServer, events: list[Json], expected: Json
) -> None:
    """The provider's counts are reported in our fields; those that it left out are estimated, and marked so."""
    answer = await receive(upstream, server, *events)

    assert (answer.text, answer.usage) == ("Hello", expected)


MALFORMED: Final = {
    "anthropic-no-type": [START, {"index": 0}],
    "anthropic-no-object": [START, "data: [1]"],
    "anthropic-no-json": [START, "data: {"],
    "anthropic-junk-line": [START, "junk"],
    "anthropic-block-null": [START, {"type": "content_block_start", "index": 0, "content_block": None}],
    "anthropic-text-of-another-type": anthropic_stream(block(0, {"type": "text"}, {"type": "text_delta", "text": 7})),
    "anthropic-call-without-a-name": anthropic_stream(
        block(0, {"type": "tool_use", "id": "toolu_1"}), finish_event("tool_use"), STOP
    ),
    "anthropic-usage-of-another-type": [{"type": "message_start", "message": {"content": 7}}, {"type": 7}],
    "gemini-no-candidates": [google_response(), {"x": 1}],
    "gemini-part-null": [google_response(None)],
    "gemini-text-of-another-type": [google_response(google_text(7))],
    "gemini-call-without-a-name": [
        google_response({"functionCall": {"args": {}}}),
        google_response(google_text(""), word="STOP"),
    ],
    "gemini-no-json": [google_response(), "data: {"],
    "gemini-html": [google_response(), "<html>busy</html>"],
}


@pytest.mark.parametrize("events", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_events_are_retried_once(
    upstream: FakeUpstream, server: RunningServer, events: list[Json | str]
) -> None:
    """An event that cannot be read is a malformed answer, not an internal error, and is tried once more."""
    upstream.always.lines(*events)

    answer = await receive_answer(
        server.client(), model="anthropic" if events[0] is START or "type" in events[0] else "gemini"
    )

    assert (answer.error, answer.text, answer.finish) == ("UPSTREAM_MALFORMED_RESPONSE", "", "")
    assert len(upstream.requests) == 2


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
}


@pytest.mark.parametrize("events", NULLS.values(), ids=NULLS.keys())
async def test_nulls_and_unknown_events_are_ignored(
    upstream: FakeUpstream, server: RunningServer, events: list[Json]
) -> None:
    """A null in the place of a value, and events of a new kind, break nothing."""
    answer = await receive(upstream, server, *events)

    assert (answer.text, answer.finish, answer.calls) == ("Hello", "STOP", [])


async def test_text_may_look_like_an_end(upstream: FakeUpstream, server: RunningServer, provider: str) -> None:
    """Text that looks like the end of a stream, an event or a line is text like any other."""
    upstream.reply("This ", MARKS)

    answer = await receive_answer(server.client(), model=provider)

    assert answer.text == f"This {MARKS}"


MESSAGE: Final[Json] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 11, "output_tokens": 7},
}
RESPONSE: Final = google_response(
    google_text("hm", thought=True),
    google_text("Let me look."),
    {"functionCall": {"id": "toolu_1", "name": "weather", "args": {"city": "Oslo"}}},
    word="STOP",
    usageMetadata={"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
)


@pytest.mark.parametrize(
    ("model", "whole"),
    [
        pytest.param("anthropic", MESSAGE, id="anthropic"),
        pytest.param("gemini", RESPONSE, id="gemini"),
        pytest.param("gemini", [google_response(), RESPONSE], id="gemini-list"),
    ],
)
async def test_whole_answer_instead_of_a_stream(
    upstream: FakeUpstream, server: RunningServer, model: str, whole: Any
) -> None:
    """An upstream that answers a streaming request with one JSON body is understood."""
    upstream.body(json.dumps(whole).encode())

    answer = await receive_answer(server.client(), model=model)

    said = answer.summary()
    assert said.pop("ended") in {"TOOL_CALLS tool_use", "TOOL_CALLS STOP"}
    assert said == {
        "reasoning": "hm",
        "text": "Let me look.",
        "calls": [["toolu_1", "weather", '{"city": "Oslo"}', ""]],
        "tokens": [11, 7],
    }


@pytest.mark.parametrize(
    "script",
    [
        pytest.param({"data": b"<html>busy</html>", "content_type": "text/html"}, id="html"),
        pytest.param({"data": b"<html>busy</html>"}, id="html-called-json"),
        pytest.param({"data": b"<html>busy</html>", "content_type": "text/event-stream"}, id="html-called-stream"),
        pytest.param({"data": b"{}"}, id="empty-object"),
        pytest.param({"data": b'{"type": "message", "content": [{}]}'}, id="block-without-a-type"),
        pytest.param({"data": b"[7]"}, id="no-object"),
    ],
)
async def test_success_without_an_answer(
    upstream: FakeUpstream, server: RunningServer, provider: str, script: Json
) -> None:
    """A 200 without an answer of the protocol is malformed, and tried once more."""
    upstream.always.body(**script)

    answer = await receive_answer(server.client(), model=provider)

    assert answer.error == "UPSTREAM_MALFORMED_RESPONSE"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("model", "status", "body", "reason"),
    [
        (
            "anthropic",
            400,
            anthropic_error("invalid_request_error", "prompt is too long: 9 > 8 maximum"),
            "CONTEXT_WINDOW_EXCEEDED",
        ),
        (
            "anthropic",
            400,
            anthropic_error("invalid_request_error", "Your credit balance is too low to access"),
            "UPSTREAM_QUOTA_EXHAUSTED",
        ),
        ("anthropic", 400, anthropic_error("invalid_request_error", "max_tokens: 99 > 8"), "UPSTREAM_REJECTED_REQUEST"),
        (
            "anthropic",
            401,
            anthropic_error("authentication_error", "invalid x-api-key"),
            "UPSTREAM_CREDENTIALS_REJECTED",
        ),
        ("anthropic", 404, anthropic_error("not_found_error", "model: claude"), "UPSTREAM_MODEL_MISSING"),
        ("anthropic", 413, anthropic_error("request_too_large"), "CONTEXT_WINDOW_EXCEEDED"),
        ("anthropic", 429, anthropic_error("rate_limit_error"), "UPSTREAM_RATE_LIMITED"),
        ("anthropic", 529, anthropic_error("overloaded_error"), "UPSTREAM_OVERLOADED"),
        (
            "gemini",
            400,
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "API key not valid.",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            },
            "UPSTREAM_CREDENTIALS_REJECTED",
        ),
        (
            "gemini",
            400,
            google_error(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
            ),
            "CONTEXT_WINDOW_EXCEEDED",
        ),
        ("gemini", 400, google_error(400, "INVALID_ARGUMENT"), "UPSTREAM_REJECTED_REQUEST"),
        ("gemini", 403, google_error(403, "PERMISSION_DENIED"), "UPSTREAM_CREDENTIALS_REJECTED"),
        ("gemini", 404, google_error(404, "NOT_FOUND"), "UPSTREAM_MODEL_MISSING"),
        ("gemini", 429, google_error(429, "RESOURCE_EXHAUSTED"), "UPSTREAM_RATE_LIMITED"),
        ("gemini", 503, google_error(503, "UNAVAILABLE"), "UPSTREAM_OVERLOADED"),
    ],
)
async def test_http_errors(
    upstream: FakeUpstream, server: RunningServer, model: str, status: int, body: Json, reason: str
) -> None:
    """The body of an error is read in the form of each protocol."""
    upstream.always.fail(status, body=body)

    answer = await receive_answer(server.client(), model=model)

    assert answer.error == reason


def ollama_line(content: str = "", *, done: bool = False, **message: Any) -> Json:
    """Returns a line of Ollama's with text."""
    end = {"done_reason": "stop", "prompt_eval_count": 5, "eval_count": 3} if done else {}
    return {"model": "m", "message": {"role": "assistant", "content": content, **message}, "done": done, **end}


def ollama_call(name: str, arguments: Json) -> Json:
    """Returns a line of Ollama's with a tool call."""
    return ollama_line(tool_calls=[{"function": {"name": name, "arguments": arguments}}])


OLLAMA: Final = {
    "text": (
        [ollama_line(thinking="hm"), ollama_line("Hel"), ollama_line("lo"), ollama_line(done=True)],
        {"reasoning": "hm", "text": "Hello", "ended": "STOP stop", "tokens": [5, 3]},
    ),
    "marks": (
        [ollama_line(MARKS), ollama_line(done=True)],
        {"text": MARKS, "ended": "STOP stop", "tokens": [5, 3]},
    ),
    "calls-of-a-line-each": (
        [ollama_call("weather", {"city": "Oslo"}), ollama_call("now", {}), ollama_line(done=True)],
        {
            "calls": [["weather", '{"city": "Oslo"}'], ["now", "{}"]],
            "ended": "TOOL_CALLS stop",
            "tokens": [5, 3],
        },
    ),
    "cut": ([ollama_line("Hel")], {"text": "Hel", "error": "UPSTREAM_STREAM_TRUNCATED"}),
    "error": ([ollama_line("Hel"), {"error": UPSTREAM_SECRET}], {"text": "Hel", "error": "UPSTREAM_ERROR"}),
    "malformed": ([ollama_line("Hel"), {"x": 1}], {"text": "Hel", "error": "UPSTREAM_MALFORMED_RESPONSE"}),
}


@pytest.mark.parametrize(("lines", "expected"), OLLAMA.values(), ids=OLLAMA.keys())
async def test_ollama_sends_lines_and_whole_calls(upstream: FakeUpstream, lines: list[Json], expected: Json) -> None:
    """Ollama answers in lines of JSON and with whole calls; each of them is a call of its own."""
    body = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    upstream.body(body, content_type="application/x-ndjson")
    entry = model_entry(f"http://127.0.0.1:{upstream.port}", litellm_model="ollama_chat/fake")

    async with serving(config_for(entry)) as running:
        answer = await receive_answer(running.client())

    said = answer.summary()
    if calls := said.pop("calls", []):
        assert len({call[0] for call in calls}) == len(calls)
        said["calls"] = [call[1:3] for call in calls]
    assert said == expected


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
        async for _ in LiteLLMAnswer(EmptyStream(), lambda: observer).deltas(reader):
            pass

    assert reader.finish_reason is None
