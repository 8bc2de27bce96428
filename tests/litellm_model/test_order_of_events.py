"""What callers see of streams whose events are out of order, or in which a second answer or a second choice stands."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.support.native_events import (
    START,
    STOP,
    Json,
    anthropic_stream,
    block,
    finish_event,
    google_response,
    google_text,
    text_block,
)
from tests.support.received import receive_answer
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeUpstream

MALFORMED: Final = {"error": "UPSTREAM_MALFORMED_RESPONSE"}
AZURE_AI: Final = "azure_ai/claude-sonnet-4-5"
"""A model with Anthropic's protocol whose answers litellm reads."""
OPENAI_PROVIDERS: Final = ("openai", "hosted_vllm", "openrouter")
SECOND_START: Final = START | {"message": START["message"] | {"id": "msg_2"}}
END: Final = (finish_event("end_turn"), STOP)


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of both readers of the OpenAI protocol, and of two other protocols."""
    entries = [model_entry(upstream.api_base, name, litellm_model=f"{name}/fake") for name in OPENAI_PROVIDERS]
    entries += [provider_entry(upstream, name, name=name) for name in ("anthropic", "gemini")]
    azure = f"{upstream.api_base_for('anthropic')}/anthropic"
    entries.append(model_entry(azure, "azure_ai", litellm_model=AZURE_AI, untested=True))
    async with serving(config_for(*entries, max_retries=0)) as running:
        yield running


def part(answer_id: str, text: str = "", word: str | None = None, **delta: Any) -> Json:
    """Returns a chunk of the OpenAI protocol."""
    content = {"content": text} if text else {}
    choice = {"index": 0, "delta": content | delta, "finish_reason": word}
    return {"id": answer_id, "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def second_choice(text: str, word: str | None = None) -> Json:
    """Returns the choice with the index 1."""
    return {"index": 1, "delta": {"content": text}, "message": {"content": text}, "finish_reason": word}


def call_block(index: int, call_id: str, arguments: str, *, end: bool = True) -> list[Json]:
    """Returns the events of a block of Anthropic's with a tool call."""
    start = {"type": "tool_use", "id": call_id, "name": "f", "input": {}}
    return list(block(index, start, {"type": "input_json_delta", "partial_json": arguments}, end=end))


ANTHROPIC: Final[dict[str, tuple[list[Json], Json]]] = {
    "a-second-start": (
        [
            *anthropic_stream(call_block(0, "t1", '{"a":"Sp', end=False)),
            SECOND_START,
            *call_block(0, "t2", '{"a":"Sparkle"}'),
            finish_event("tool_use"),
            STOP,
        ],
        MALFORMED | {"calls": [["t1", "f", '{"a":"Sp', ""]]},
    ),
    "a-second-start-before-any-block": ([START, SECOND_START, *text_block(0, "Hello"), *END], MALFORMED),
    "a-second-start-after-the-finish": (
        [*anthropic_stream(text_block(0, "Hello"), END[0]), SECOND_START, *text_block(0, "Bye"), *END],
        MALFORMED | {"text": "Hello"},
    ),
    "the-start-repeated": (
        [START, START, *text_block(0, "Hel"), START, *text_block(1, "lo"), *END],
        {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
    "the-message-repeated": (
        anthropic_stream(text_block(0, "Hello"), START, text_block(0, "Hello"), *END),
        MALFORMED | {"text": "Hello"},
    ),
    "the-finish-in-the-start-too": (
        [START | {"message": START["message"] | {"stop_reason": "max_tokens"}}, *text_block(0, "Hello"), *END],
        {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
    "the-finish-in-the-start-alone": (
        [
            START
            | {
                "message": START["message"]
                | {"stop_reason": "max_tokens", "usage": {"input_tokens": 11, "output_tokens": 7}}
            },
            *text_block(0, "Hello"),
            STOP,
        ],
        {"text": "Hello", "ended": "LENGTH max_tokens", "tokens": [11, 7]},
    ),
    "no-start": ([*text_block(0, "Hello"), *END], MALFORMED),
    "the-finish-first": ([*END, *anthropic_stream(text_block(0, "Hello"), *END)], MALFORMED),
    "a-block-after-the-finish": (
        anthropic_stream(text_block(0, "Hello"), END[0], text_block(1, " again"), STOP),
        MALFORMED | {"text": "Hello"},
    ),
    "a-delta-of-no-block": (
        anthropic_stream(
            text_block(0, "Hello"),
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lost"}},
            *END,
        ),
        MALFORMED | {"text": "Hello"},
    ),
    "two-calls-within-each-other": (
        anthropic_stream(
            call_block(0, "t1", '{"a"', end=False),
            call_block(1, "t2", '{"b"', end=False),
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ":2}"}},
            finish_event("tool_use"),
        ),
        {
            "calls": [["t1", "f", '{"a":1}', ""], ["t2", "f", '{"b":2}', ""]],
            "ended": "TOOL_CALLS tool_use",
            "tokens": [11, 7],
        },
    ),
    "a-text-within-a-call": (
        anthropic_stream(
            call_block(0, "t1", '{"a"', end=False),
            text_block(1, "Hel"),
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
            finish_event("tool_use"),
        ),
        {
            "text": "Hel",
            "calls": [["t1", "f", '{"a":1}', ""]],
            "ended": "TOOL_CALLS tool_use",
            "tokens": [11, 7],
        },
    ),
    "a-text-within-a-text": (
        anthropic_stream(
            block(0, {"type": "text", "text": "He"}, end=False),
            text_block(1, "Bye"),
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "llo"}},
            finish_event("end_turn"),
        ),
        MALFORMED | {"text": "HeBye"},
    ),
    "calls-without-the-end-of-their-blocks": (
        anthropic_stream(
            block(0, {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}, end=False),
            block(1, {"type": "tool_use", "id": "t2", "name": "f", "input": {}}, end=False),
            call_block(2, "t3", '{"c":3}', end=False),
            finish_event("tool_use"),
        ),
        {
            "calls": [["t1", "f", '{"a": 1}', ""], ["t2", "f", "{}", ""], ["t3", "f", '{"c":3}', ""]],
            "ended": "TOOL_CALLS tool_use",
            "tokens": [11, 7],
        },
    ),
    "the-finish-within-a-call": (
        anthropic_stream(
            block(0, {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}, end=False),
            finish_event("tool_use"),
        ),
        MALFORMED | {"calls": [["t1", "f", "", ""]]},
    ),
    "blocks-that-end-late": (
        anthropic_stream(
            block(0, {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}, end=False),
            text_block(1, "Hello"),
            {"type": "content_block_stop", "index": 0},
            finish_event("tool_use"),
            STOP,
        ),
        {"text": "Hello", "calls": [["t1", "f", '{"a": 1}', ""]], "ended": "TOOL_CALLS tool_use", "tokens": [11, 7]},
    ),
    "arguments-that-are-text-at-the-start": (
        anthropic_stream(
            block(0, {"type": "tool_use", "id": "t1", "name": "f", "input": '{"a":1}'}), finish_event("tool_use"), STOP
        ),
        {"calls": [["t1", "f", '{"a":1}', ""]], "ended": "TOOL_CALLS tool_use", "tokens": [11, 7]},
    ),
    "content-that-is-text-in-the-start": (
        [START | {"message": START["message"] | {"content": "Hello"}}, *END],
        {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
    "content-that-is-an-object-in-the-start": (
        [START | {"message": START["message"] | {"content": {"text": "Hello"}}}, *END],
        MALFORMED,
    ),
    "a-block-within-itself": (
        anthropic_stream(call_block(0, "t1", '{"a":', end=False), call_block(0, "t2", "{}"), finish_event("tool_use")),
        MALFORMED | {"calls": [["t1", "f", '{"a":', ""]]},
    ),
    "a-second-answer": (
        [*anthropic_stream(text_block(0, "Hello"), *END), SECOND_START, *text_block(0, "Bye"), *END],
        {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
    "an-error-after-the-end": (
        [*anthropic_stream(text_block(0, "Hello"), *END), {"type": "error", "error": {"type": "api_error"}}],
        {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
    "all-in-the-start": (
        [
            START
            | {
                "message": START["message"]
                | {
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "sig"},
                        {"type": "text", "text": "Hello"},
                        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                    ],
                    "stop_reason": "tool_use",
                    "usage": {"input_tokens": 11, "output_tokens": 7},
                }
            },
            STOP,
        ],
        {
            "reasoning": "hm",
            "signatures": ["sig"],
            "text": "Hello",
            "calls": [["t1", "f", '{"a": 1}', ""]],
            "ended": "TOOL_CALLS tool_use",
            "tokens": [11, 7],
        },
    ),
    "a-whole-message-as-an-event": (
        [
            START["message"]
            | {
                "content": [{"type": "text", "text": "Hello"}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 11, "output_tokens": 7},
            }
        ],
        {"text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
    "thinking-at-the-start-of-its-block": (
        anthropic_stream(
            block(0, {"type": "thinking", "thinking": "hm", "signature": "sig"}), text_block(1, "Hello"), *END
        ),
        {"reasoning": "hm", "signatures": ["sig"], "text": "Hello", "ended": "STOP end_turn", "tokens": [11, 7]},
    ),
}

MALFORMED_FOR_LITELLM: Final[dict[str, Json]] = {
    "two-calls-within-each-other": {"calls": [["t1", "f", '{"a"', ""], ["t2", "f", '{"b"', ""]]},
    "a-text-within-a-call": {"text": "Hel", "calls": [["t1", "f", '{"a"', ""]]},
}
"""Deltas of earlier blocks, which litellm would put into the last one: what arrives before the first of them."""


@pytest.mark.parametrize("together", [True, False], ids=["in-one-write", "in-many-writes"])
@pytest.mark.parametrize(("events", "expected"), ANTHROPIC.values(), ids=ANTHROPIC.keys())
async def test_events_of_anthropic(
    upstream: FakeUpstream, server: RunningServer, events: list[Json], expected: Json, together: bool
) -> None:
    """Events out of order are malformed, a repeated start is ignored, and what follows the end is not read."""
    upstream.lines(*events, together=together)

    answer = await receive_answer(server.client(), model="anthropic")

    assert answer.summary() == expected


@pytest.mark.parametrize("case", ANTHROPIC)
async def test_events_of_anthropic_that_litellm_reads(upstream: FakeUpstream, server: RunningServer, case: str) -> None:
    """With other prefixes of this protocol, where litellm reads the answer, order and repetition count as much."""
    events, expected = ANTHROPIC[case]
    upstream.lines(*events)

    answer = await receive_answer(server.client(), model="azure_ai")

    assert answer.summary() == (MALFORMED | MALFORMED_FOR_LITELLM[case] if case in MALFORMED_FOR_LITELLM else expected)


OPENAI: Final[dict[str, tuple[list[Json | str], Json]]] = {
    "a-second-answer-in-the-middle": (
        [
            part("a", role="assistant"),
            part("a", "Hel"),
            part("b", role="assistant"),
            part("b", "Bye"),
            part("b", "!"),
            part("b", word="stop"),
            "data: [DONE]",
        ],
        MALFORMED | {"text": "Hel"},
    ),
    "a-second-answer-after-the-finish": (
        [part("a", "Hel"), part("a", "lo", "stop"), part("b", "Bye"), part("b", word="stop"), "data: [DONE]"],
        MALFORMED | {"text": "Hello"},
    ),
    "a-second-answer-after-the-end": (
        [part("a", "Hel"), part("a", "lo", "stop"), "data: [DONE]", part("b", "Bye", "stop"), "data: [DONE]"],
        {"text": "Hello", "ended": "STOP stop"},
    ),
    "an-error-after-the-end": (
        [part("a", "Hello", "stop"), "data: [DONE]", {"error": {"code": 500}}],
        {"text": "Hello", "ended": "STOP stop"},
    ),
    "an-id-in-each-part": (
        [part("a", "H", role="assistant"), part("b", "el"), part("c", "lo"), part("d", word="stop"), "data: [DONE]"],
        {"text": "Hello", "ended": "STOP stop"},
    ),
    "other-ids-without-content": (
        [
            part("", role="assistant"),
            part("a", "Hel"),
            part("x", role="assistant"),
            part("a", "lo"),
            part("", "!"),
            part("a", word="stop"),
            part("y") | {"usage": {"prompt_tokens": 3, "completion_tokens": 2}},
            "data: [DONE]",
        ],
        {"text": "Hello!", "ended": "STOP stop", "tokens": [3, 2]},
    ),
    "the-role-repeated": (
        [
            part("a", "Hel", role="assistant"),
            part("a", role="assistant"),
            part("a", "lo", "stop", role="assistant"),
            "data: [DONE]",
        ],
        {"text": "Hello", "ended": "STOP stop"},
    ),
    "a-finish-reason-in-each-part": (
        [part("a", "Hel", "stop"), part("a", "lo", "stop"), part("a", "!", "length"), "data: [DONE]"],
        {"text": "Hello!", "ended": "LENGTH length"},
    ),
    "a-second-choice-between": (
        [
            part("a", "Hel"),
            part("a") | {"choices": [second_choice("Bye")]},
            part("a", "lo", "length"),
            part("a") | {"choices": [second_choice("", "stop")]},
            "data: [DONE]",
        ],
        {"text": "Hello", "ended": "LENGTH length"},
    ),
    "a-second-choice-whose-index-is-text": (
        [
            part("a", "Hel"),
            part("a") | {"choices": [second_choice("Bye", "stop") | {"index": "1"}]},
            part("a") | {"choices": [second_choice("Bye", "stop") | {"index": 1.0}]},
            part("a", "lo", "length"),
            "data: [DONE]",
        ],
        {"text": "Hello", "ended": "LENGTH length"},
    ),
    "a-second-answer-with-the-same-id": (
        [part("a", "Hello"), part("a", word="stop"), part("a", "Bye"), part("a", word="stop"), "data: [DONE]"],
        MALFORMED | {"text": "Hello"},
    ),
    "a-second-answer-without-an-id": (
        [
            part("", role="assistant"),
            part("", "Hello"),
            part("", word="stop"),
            part("", role="assistant"),
            part("", "Bye", "stop"),
            "data: [DONE]",
        ],
        MALFORMED | {"text": "Hello"},
    ),
    "a-finish-reason-before-any-text": (
        [part("a", word="stop", role="assistant"), part("a", "Hel", "stop"), part("a", "lo", "stop"), "data: [DONE]"],
        {"text": "Hello", "ended": "STOP stop"},
    ),
    "a-text-in-the-place-of-a-delta": (
        [part("a", "Hello"), part("a") | {"choices": [{"index": 0, "delta": "Bye"}]}, part("a", word="stop")],
        MALFORMED | {"text": "Hello"},
    ),
    "a-text-beside-the-delta": (
        [part("a") | {"choices": [{"index": 0, "text": "Hello", "finish_reason": "stop"}]}, "data: [DONE]"],
        MALFORMED,
    ),
    "outer-members-of-other-types": (
        [part("a", "Hello", "stop") | {"id": 7, "created": "now", "model": None, "object": 5}, "data: [DONE]"],
        {"text": "Hello", "ended": "STOP stop"},
    ),
    "counts-that-become-null": (
        [
            part("a", "Hello") | {"usage": {"prompt_tokens": 3, "completion_tokens": 2}},
            part("a", word="stop") | {"usage": {"prompt_tokens": None, "completion_tokens": None}},
            "data: [DONE]",
        ],
        {"text": "Hello", "ended": "STOP stop", "tokens": [3, 2]},
    ),
    "a-second-choice-in-front": (
        [
            part("a") | {"choices": [second_choice("Bye", "stop"), *part("a", "Hello", "length")["choices"]]},
            "data: [DONE]",
        ],
        {"text": "Hello", "ended": "LENGTH length"},
    ),
}


@pytest.mark.parametrize("provider", OPENAI_PROVIDERS)
@pytest.mark.parametrize(("events", "expected"), OPENAI.values(), ids=OPENAI.keys())
async def test_parts_of_the_openai_protocol(
    upstream: FakeUpstream, server: RunningServer, events: list[Json | str], expected: Json, provider: str
) -> None:
    """Neither a second answer nor a second choice is mixed into an answer, whoever reads it."""
    upstream.lines(*events)

    answer = await receive_answer(server.client(), model=provider)

    assert answer.summary() == expected


@pytest.mark.parametrize("provider", OPENAI_PROVIDERS)
async def test_a_whole_answer_with_two_choices(upstream: FakeUpstream, server: RunningServer, provider: str) -> None:
    """The choice with the index 0 is the answer in a whole body as well."""
    first = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    body = part("a") | {"object": "chat.completion", "choices": [second_choice("Bye", "length"), first]}
    upstream.body(json.dumps(body).encode(), content_type="application/json")

    answer = await receive_answer(server.client(), model=provider)

    assert answer.summary() == {"text": "Hello", "ended": "STOP stop"}


@pytest.mark.parametrize("provider", OPENAI_PROVIDERS)
async def test_a_break_after_text_that_follows_a_finish_reason(
    upstream: FakeUpstream, server: RunningServer, provider: str
) -> None:
    """A finish reason that text has followed does not show that the answer is whole when the connection breaks."""
    events = [part("a", "Hel", "stop"), part("a", "lo", "stop")]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    upstream.body(body, content_type="text/event-stream", content_length=len(body) + 100)

    answer = await receive_answer(server.client(), model=provider)

    assert answer.summary() == {"text": "Hello", "error": "UPSTREAM_UNREACHABLE"}


GEMINI: Final[dict[str, tuple[list[Json], Json]]] = {
    "a-second-answer": (
        [
            google_response(google_text("Hel"), responseId="a"),
            google_response(google_text("lo"), responseId="a"),
            google_response(google_text("Bye"), word="STOP", responseId="b"),
        ],
        MALFORMED | {"text": "Hello"},
    ),
    "a-second-answer-without-an-id": (
        [google_response(google_text("Hello")), google_response(word="STOP"), google_response(google_text("Bye"))],
        MALFORMED | {"text": "Hello"},
    ),
    "an-empty-part-after-the-finish": (
        [google_response(google_text("Hello")), google_response(word="STOP"), google_response(google_text(""))],
        {"text": "Hello", "ended": "STOP STOP"},
    ),
    "a-signed-text-beside-calls": (
        [
            google_response(
                google_text("Hello", thoughtSignature="s1"),
                {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s2"},
                {"functionCall": {"id": "c2", "name": "g", "args": {}}},
                word="STOP",
            )
        ],
        {
            "signatures": ["s1"],
            "text": "Hello",
            "calls": [["c1", "f", '{"a": 1}', "s2"], ["c2", "g", "{}", ""]],
            "ended": "TOOL_CALLS STOP",
        },
    ),
    "arguments-that-are-text": (
        [google_response({"functionCall": {"id": "c", "name": "f", "args": '{"a": 1}'}}, word="STOP")],
        {"calls": [["c", "f", '{"a": 1}', ""]], "ended": "TOOL_CALLS STOP"},
    ),
    "arguments-that-are-no-json": (
        [google_response({"functionCall": {"id": "c", "name": "f", "args": "a"}}, word="STOP")],
        MALFORMED,
    ),
    "content-that-is-text": ([{"candidates": [{"content": "Hello", "finishReason": "STOP"}]}], MALFORMED),
    "parts-that-are-an-object": (
        [{"candidates": [{"content": {"parts": {"text": "Hello"}}, "finishReason": "STOP"}]}],
        MALFORMED,
    ),
    "a-second-candidate": (
        [
            google_response(google_text("Hel")),
            {"candidates": [{"index": 1, "content": {"parts": [{"text": "Bye"}]}, "finishReason": "SAFETY"}]},
            google_response(google_text("lo"), word="STOP"),
        ],
        {"text": "Hello", "ended": "STOP STOP"},
    ),
}


@pytest.mark.parametrize(("events", "expected"), GEMINI.values(), ids=GEMINI.keys())
async def test_responses_of_gemini(
    upstream: FakeUpstream, server: RunningServer, events: list[Json], expected: Json
) -> None:
    """Neither a second answer nor a second candidate is mixed into an answer of Google's."""
    upstream.lines(*events)

    answer = await receive_answer(server.client(), model="gemini")

    assert answer.summary() == expected


async def test_nothing_is_read_after_ollamas_last_line(upstream: FakeUpstream) -> None:
    """What follows the line that is done is not read."""
    lines = [
        {"model": "m", "message": {"role": "assistant", "content": text}, "done": done, "done_reason": "stop"}
        for text, done in (("Hel", False), ("lo", True), ("Bye", False), ("", True))
    ]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    upstream.body(body, content_type="application/x-ndjson")
    entry = model_entry(f"http://127.0.0.1:{upstream.port}", litellm_model="ollama_chat/fake")

    async with serving(config_for(entry)) as running:
        answer = await receive_answer(running.client())

    assert (answer.text, answer.finish) == ("Hello", "STOP")


STREAMS: Final[dict[str, list[Json]]] = {
    "openai": [part("a", "Hel"), part("a", "lo", "stop")],
    "hosted_vllm": [part("a", "Hel"), part("a", "lo", "stop")],
    "anthropic": anthropic_stream(text_block(0, "Hel", "lo"), *END),
    "gemini": [google_response(google_text("Hel")), google_response(google_text("lo"), word="STOP")],
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("provider", STREAMS)
async def test_an_event_of_many_data_lines(
    upstream: FakeUpstream, server: RunningServer, provider: str, line_end: bytes
) -> None:
    """An event may have several `data:` lines, and comments between them, after a byte order mark."""
    lines = [b"\xef\xbb\xbf: hello"]
    for event in STREAMS[provider]:
        first, *rest = json.dumps(event, indent=1).encode().split(b"\n")
        lines += [b"data: " + first, b": still there", *(b"data:" + line for line in rest), b"id: 7", b""]
    upstream.body(line_end.join([*lines, b""]), content_type="text/event-stream")

    answer = await receive_answer(server.client(), model=provider)

    assert (answer.text, answer.finish) == ("Hello", "STOP")
