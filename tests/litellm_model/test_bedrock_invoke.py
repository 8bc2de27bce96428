"""What callers see of Bedrock's Invoke API, whose streams carry events in the protocol of the model's maker."""

import base64
import json
from typing import Any, Final

import pytest

from tests.support.converse_events import converse_call, converse_end, converse_stream, converse_text
from tests.support.native_events import STOP, Json, anthropic_stream, block, finish_event, text_block
from tests.support.received import ReceivedAnswer, receive_answer
from tests.support.serving import config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream, chunk
from tests.support.upstream.bedrock import event_message, exception_message

CLAUDE: Final = "anthropic.claude-3-haiku-20240307-v1:0"
MALFORMED: Final = {"error": "UPSTREAM_MALFORMED_RESPONSE"}
METRICS: Final[Json] = {
    "amazon-bedrock-invocationMetrics": {"inputTokenCount": 11, "outputTokenCount": 7, "invocationLatency": 9}
}


def carry(event: Any) -> bytes:
    """Returns the message of a chunk with this event."""
    return event_message("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode(), "p": "abc"})


async def receive(upstream: FakeUpstream, model: str, *messages: bytes, max_retries: int = 0) -> ReceivedAnswer:
    """Returns these messages as the caller of a model receives them."""
    upstream.lines(*messages)
    entry = provider_entry(upstream, "bedrock", litellm_model=f"bedrock/invoke/{model}")
    async with serving(config_for(entry, max_retries=max_retries)) as running:
        answer = await receive_answer(running.client())
    assert upstream.requests[0].path.endswith("/invoke-with-response-stream")
    return answer


ANSWERS: Final[dict[str, tuple[str, list[Any], Json]]] = {
    "anthropic": (
        CLAUDE,
        anthropic_stream(
            block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"}),
            text_block(1, "Hel", "lo"),
            block(
                2,
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
                {"type": "input_json_delta", "partial_json": '{"a": 1}'},
            ),
            finish_event("tool_use"),
            STOP | METRICS,
        ),
        {
            "reasoning": "hm",
            "text": "Hello",
            "calls": [["toolu_1", "f", '{"a": 1}', ""]],
            "ended": "TOOL_CALLS tool_use",
            "tokens": [11, 7],
        },
    ),
    "nova": (
        "amazon.nova-lite-v1:0",
        converse_stream(
            converse_text(0, "Hel", "lo"), converse_call(1, "t1", "f", '{"a": 1}'), *converse_end("tool_use")
        ),
        {"text": "Hello", "calls": [["t1", "f", '{"a": 1}', ""]], "ended": "TOOL_CALLS tool_use", "tokens": [11, 7]},
    ),
    "titan": (
        "amazon.titan-text-express-v1",
        [
            {"outputText": "Hel", "index": 0, "completionReason": None},
            {"outputText": "lo", "index": 0, "completionReason": "FINISH"} | METRICS,
        ],
        {"text": "Hello", "ended": "STOP FINISH", "tokens": [11, 7]},
    ),
    "titan-length": (
        "amazon.titan-text-express-v1",
        [{"outputText": "Hello", "index": 0, "completionReason": "LENGTH"}],
        {"text": "Hello", "ended": "LENGTH LENGTH"},
    ),
    "llama": (
        "meta.llama3-8b-instruct-v1:0",
        [
            {"generation": "Hel", "stop_reason": None},
            {"generation": "lo", "stop_reason": None},
            {"generation": "", "stop_reason": "length"} | METRICS,
        ],
        {"text": "Hello", "ended": "LENGTH length", "tokens": [11, 7]},
    ),
    "mistral": (
        "mistral.mistral-7b-instruct-v0:2",
        [
            {"outputs": [{"text": "Hello", "stop_reason": None}]},
            {"outputs": [{"text": "", "stop_reason": "stop"}]} | METRICS,
        ],
        {"text": "Hello", "ended": "STOP stop", "tokens": [11, 7]},
    ),
    "cohere": (
        "cohere.command-text-v14",
        [
            {"text": "Hel", "is_finished": False},
            {"text": "lo", "is_finished": False},
            {"finish_reason": "COMPLETE", "is_finished": True},
            METRICS,
        ],
        {"text": "Hello", "ended": "STOP COMPLETE", "tokens": [11, 7]},
    ),
    "openai": (
        "moonshot.kimi-k2-thinking",
        [chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop")],
        {"text": "Hello", "ended": "STOP stop"},
    ),
    "a-second-answer-after-the-end": (
        CLAUDE,
        [*anthropic_stream(text_block(0, "Hello"), finish_event("end_turn"), STOP)] * 2,
        {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
    "no-end": (
        CLAUDE,
        anthropic_stream(text_block(0, "Hello")),
        {"text": "Hello", "error": "UPSTREAM_STREAM_TRUNCATED"},
    ),
    "no-end-of-llama": (
        "meta.llama3-8b-instruct-v1:0",
        [{"generation": "Hello", "stop_reason": None}],
        {"text": "Hello", "error": "UPSTREAM_STREAM_TRUNCATED"},
    ),
    "an-error-of-anthropics": (
        CLAUDE,
        [*anthropic_stream(text_block(0, "Half")), {"type": "error", "error": {"type": "overloaded_error"}}],
        {"text": "Half", "error": "UPSTREAM_OVERLOADED"},
    ),
    "an-unknown-protocol": (CLAUDE, [{"answer": "Hello"}], MALFORMED),
    "no-object": (CLAUDE, [[7]], MALFORMED),
    "text-of-another-type": ("amazon.titan-text-express-v1", [{"outputText": 7}], MALFORMED),
}


@pytest.mark.parametrize(("model", "events", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_answers(upstream: FakeUpstream, model: str, events: list[Any], expected: Json) -> None:
    """Each maker's events are read as what they are: text, calls, the provider's own word for the end, and counts."""
    answer = await receive(upstream, model, *map(carry, events))

    assert answer.summary() == expected


@pytest.mark.parametrize(
    "bytes_member", ["@@", 7, "e30", "bm8ganNvbg=="], ids=["no-base64", "number", "cut", "no-json"]
)
async def test_a_chunk_that_cannot_be_read(upstream: FakeUpstream, bytes_member: Any) -> None:
    """A chunk that is not JSON in Base64 is malformed."""
    answer = await receive(upstream, CLAUDE, event_message("chunk", {"bytes": bytes_member}))

    assert answer.summary() == MALFORMED


async def test_an_exception_among_the_chunks(upstream: FakeUpstream) -> None:
    """An exception between the chunks ends the answer with its own reason."""
    messages = [*map(carry, anthropic_stream(text_block(0, "Half"))), exception_message("modelTimeoutException")]

    answer = await receive(upstream, CLAUDE, *messages)

    assert answer.summary() == {"text": "Half", "error": "UPSTREAM_TIMEOUT"}


async def test_events_beside_the_chunks(upstream: FakeUpstream) -> None:
    """An event of a new kind between the chunks is ignored."""
    stream = [*map(carry, anthropic_stream(text_block(0, "Hello"), finish_event("end_turn"), STOP))]

    answer = await receive(upstream, CLAUDE, event_message("brandNew", {}), event_message("chunk", {}), *stream)

    assert answer.summary() == {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]}


async def test_a_whole_message_in_place_of_a_stream(upstream: FakeUpstream) -> None:
    """A whole message of Anthropic's in the place of a stream is understood."""
    message = {
        "id": "msg_1",
        "type": "message",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 11, "output_tokens": 7},
    }
    upstream.body(json.dumps(message).encode())
    entry = provider_entry(upstream, "bedrock", litellm_model=f"bedrock/invoke/{CLAUDE}")

    async with serving(config_for(entry)) as running:
        answer = await receive_answer(running.client())

    assert answer.summary() == {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]}
