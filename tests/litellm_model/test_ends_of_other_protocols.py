"""How answers in the protocols of Anthropic, Google and Amazon end: their finish reasons, cuts and errors."""

import json
from collections.abc import Callable
from typing import Final

import pytest

from reasoning_grpc.v1 import usage_pb2
from tests.support.converse_events import (
    CONVERSE_START,
    converse_call,
    converse_counts,
    converse_delta,
    converse_end,
    converse_stop,
    converse_stream,
    converse_text,
)
from tests.support.native_events import (
    NATIVE_PROVIDERS,
    START,
    STOP,
    Json,
    anthropic_error,
    anthropic_stream,
    block,
    find_provider,
    finish_event,
    google_error,
    google_response,
    google_text,
    receive,
    text_block,
)
from tests.support.received import receive_answer
from tests.support.serving import RunningServer
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream, Gate

pytestmark = pytest.mark.thorough

WORDS: Final = "word0 word1 word2 "


CUTS: Final[dict[str, tuple[Callable[[FakeUpstream], Gate], tuple[str, ...], str]]] = {
    "clean-end": (lambda fake: fake.cut_after(3, "end", gated=True), NATIVE_PROVIDERS, "UPSTREAM_STREAM_TRUNCATED"),
    "close": (lambda fake: fake.cut_after(3, "close", gated=True), NATIVE_PROVIDERS, "UPSTREAM_UNREACHABLE"),
    "reset": (lambda fake: fake.cut_after(3, "reset", gated=True), NATIVE_PROVIDERS, "UPSTREAM_UNREACHABLE"),
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
        NATIVE_PROVIDERS,
        "UPSTREAM_STREAM_TRUNCATED",
    ),
    "bedrock-stop-reason-null": (
        lambda fake: fake.lines(
            *converse_stream(converse_text(0, "word0 ", "word1 ", "word2 "), converse_stop(None), converse_counts({}))
        ),
        ("bedrock",),
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
    ("native_provider", "cut", "reason"),
    [
        pytest.param(native_provider, cut, reason, id=f"{name}-{native_provider}")
        for name, (cut, providers, reason) in CUTS.items()
        for native_provider in providers
    ],
)
async def test_a_cut_stream_is_not_complete(
    upstream: FakeUpstream,
    native_server: RunningServer,
    native_provider: str,
    cut: Callable[[FakeUpstream], Gate],
    reason: str,
) -> None:
    """An answer that breaks off in any way fails; its output is estimated, and its input where it was not counted."""
    gate = cut(upstream)

    answer = await receive_answer(native_server.client(), gate.open, model=native_provider)

    assert (answer.error, answer.text, answer.finish) == (reason, WORDS, "")
    assert answer.interruption is not None
    assert answer.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    input_tokens = 1 if native_provider == "bedrock" else 11  # Bedrock counts only at the end
    assert (answer.interruption.usage.input_tokens, answer.interruption.usage.output_tokens) == (input_tokens, 5)
    assert len(upstream.requests) == 1


async def test_message_stop_is_not_needed(upstream: FakeUpstream, native_server: RunningServer) -> None:
    """A stop reason ends an answer of Anthropic's, whatever comes after it."""
    answer = await receive(upstream, native_server, *anthropic_stream(text_block(0, "Hello"), finish_event("end_turn")))

    assert answer.summary() == {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]}


BEGINNINGS: Final = {
    "anthropic": anthropic_stream(text_block(0, "Half an")),
    "gemini": [google_response(google_text("Half an"))],
    "bedrock": converse_stream(converse_text(0, "Half an")),
}


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
        ({"modelStreamErrorException": {"message": "x", "originalStatusCode": 424}}, "UPSTREAM_ERROR", "424"),
        ({"modelStreamErrorException": {"message": "x", "originalStatusCode": 400}}, "UPSTREAM_ERROR", "424"),
        ({"throttlingException": {"message": "Too many tokens"}}, "UPSTREAM_RATE_LIMITED", "429"),
        ({"internalServerException": {"message": UPSTREAM_SECRET}}, "UPSTREAM_ERROR", "500"),
        ({"serviceUnavailableException": {"message": UPSTREAM_SECRET}}, "UPSTREAM_OVERLOADED", "503"),
        ({"modelTimeoutException": {"message": UPSTREAM_SECRET}}, "UPSTREAM_TIMEOUT", "408"),
        ({"validationException": {"message": UPSTREAM_SECRET}}, "UPSTREAM_REJECTED_REQUEST", "400"),
        ({"validationException": {"message": "Input is too long"}}, "CONTEXT_WINDOW_EXCEEDED", "400"),
        ({"brandNewException": {"message": UPSTREAM_SECRET}}, "UPSTREAM_ERROR", ""),
        ({"brandNewException": {}}, "UPSTREAM_ERROR", ""),
    ],
    ids=lambda value: json.dumps(value.get("error", value))[:60] if isinstance(value, dict) else None,
)
async def test_an_error_in_the_middle_of_a_stream(
    upstream: FakeUpstream, native_server: RunningServer, error: Json, reason: str, http_status: str
) -> None:
    """An error in the middle of a stream ends the answer with its own reason and the progress so far."""
    provider = find_provider(error)
    before = BEGINNINGS[provider]
    gate = upstream.lines(*before, error, gated=True)
    gate.open(len(before))

    answer = await receive_answer(native_server.client(), gate.open, model=provider)

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
    "bedrock": {
        "end_turn": "STOP",
        "stop_sequence": "STOP",
        "max_tokens": "LENGTH",
        "model_context_window_exceeded": "LENGTH",
        "guardrail_intervened": "CONTENT_FILTER",
        "content_filtered": "CONTENT_FILTER",
        "malformed_tool_use": "OTHER",
        "malformed_model_output": "OTHER",
        "brand_new": "OTHER",
    },
}


@pytest.mark.parametrize(
    ("native_provider", "word", "reason"),
    [
        (native_provider, word, reason)
        for native_provider, words in WORDS_FOR_THE_END.items()
        for word, reason in words.items()
    ],
)
async def test_finish_words(
    upstream: FakeUpstream,
    native_server: RunningServer,
    capfd: pytest.CaptureFixture[str],
    native_provider: str,
    word: str,
    reason: str,
) -> None:
    """Each word has its finish reason, is passed on as the provider wrote it, and makes litellm write no warning."""
    upstream.reply("Hel", "lo", finish_reason=word)

    answer = await receive_answer(native_server.client(), model=native_provider)

    assert (answer.text, answer.finish, answer.word) == ("Hello", reason, word)
    assert word not in capfd.readouterr().err


@pytest.mark.parametrize("word", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST"])
async def test_a_prompt_that_google_blocks(upstream: FakeUpstream, native_server: RunningServer, word: str) -> None:
    """A prompt that Google blocks has no candidate; the reason for the block is how the answer ended."""
    answer = await receive(
        upstream,
        native_server,
        {"promptFeedback": {"blockReason": word}, "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8}},
    )

    assert answer.summary() == {"ended": f"CONTENT_FILTER {word}", "tokens": [8, 0]}


async def test_an_answer_that_was_all_thoughts(upstream: FakeUpstream, native_server: RunningServer) -> None:
    """Gemini may spend all its tokens on thoughts; the answer then has no text and ends with LENGTH."""
    usage = {"promptTokenCount": 8, "thoughtsTokenCount": 12, "totalTokenCount": 20}
    ended = {
        "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}],
        "usageMetadata": usage,
    }

    answer = await receive(upstream, native_server, ended)

    assert answer.summary() == {"ended": "LENGTH MAX_TOKENS", "tokens": [8, 12]}
    assert answer.usage["reasoningTokens"] == 12


MALFORMED: Final = {
    "anthropic-no-type": [START, {"index": 0}],
    "anthropic-no-object": [START, "data: [1]"],
    "anthropic-no-json": [START, "data: {"],
    "anthropic-junk-line": [START, "junk"],
    "anthropic-block-null": [START, {"type": "content_block_start", "index": 0, "content_block": None}],
    "anthropic-index-of-another-type": [
        START,
        {"type": "content_block_start", "index": [0], "content_block": {"type": "text", "text": ""}},
    ],
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
    "bedrock-html": [CONVERSE_START, "<html>busy</html>"],
    "bedrock-delta-null": [CONVERSE_START, converse_delta(0, text=7)],
    "bedrock-call-without-a-name": converse_stream(converse_call(0, "t1", "", "{}"), *converse_end("tool_use")),
}


@pytest.mark.parametrize("events", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_events_are_retried_once(
    upstream: FakeUpstream, native_server: RunningServer, events: list[Json | str]
) -> None:
    """An event that cannot be read is a malformed answer, not an internal error, and is tried once more."""
    upstream.always.lines(*events)

    answer = await receive_answer(native_server.client(), model=find_provider(events[0]))

    assert (answer.error, answer.text, answer.finish) == ("UPSTREAM_MALFORMED_RESPONSE", "", "")
    assert len(upstream.requests) == 2
