"""Which usage callers get by the counts in Anthropic's, Google's and Ollama's protocols."""

from typing import Final

import pytest

from tests.support.native_events import (
    Json,
    anthropic_stream,
    finish_event,
    google_response,
    google_text,
    receive,
    text_block,
)
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream


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
    "anthropic-input-alone-at-the-end": (
        [*anthropic_stream(HELLO), finish_event("end_turn", input_tokens=6, output_tokens=7)],
        reported_usage("PROVIDER", 11, 7, cachedInputTokens=3, cacheWriteTokens=2),
    ),
    "anthropic-input-at-the-end-alone": (
        [
            {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 0, "output_tokens": 0}}},
            *HELLO,
            finish_event("end_turn", input_tokens=6, cache_read_input_tokens=3, output_tokens=7),
        ],
        reported_usage("PROVIDER", 9, 7, cachedInputTokens=3),
    ),
    "anthropic-floats-and-negative-numbers": (
        [
            {
                "type": "message_start",
                "message": {"usage": {"input_tokens": 6.0, "cache_read_input_tokens": -3}},
            },
            *HELLO,
            finish_event("end_turn", output_tokens=7.0),
        ],
        reported_usage("PROVIDER", 6, 7),
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
    "gemini-floats": (
        [
            google_response(
                google_text("Hello"),
                word="STOP",
                usageMetadata={"promptTokenCount": 8.0, "candidatesTokenCount": 5.0, "totalTokenCount": 13.0},
            )
        ],
        reported_usage("PROVIDER", 8, 5),
    ),
    "gemini-thoughts-in-the-text": (
        [
            google_response(
                google_text("Hello"),
                word="STOP",
                usageMetadata={
                    "promptTokenCount": 8,
                    "candidatesTokenCount": 9,
                    "thoughtsTokenCount": 4,
                    "totalTokenCount": 17,
                },
            )
        ],
        reported_usage("PROVIDER", 8, 9, reasoningTokens=4),
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
    upstream: FakeUpstream, native_server: RunningServer, events: list[Json], expected: Json
) -> None:
    """The provider's counts are reported in our fields; those that it left out are estimated, and marked so."""
    answer = await receive(upstream, native_server, *events)

    assert (answer.text, answer.usage) == ("Hello", expected)
