"""How the JSON events of an answer become our deltas, whatever their shape."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields

from reasoning_grpc.domain import UsageSource
from reasoning_grpc.domain.events import (
    AlternativeToken,
    ContentDelta,
    Delta,
    ReasoningDelta,
    TokenLogprob,
    ToolCallDelta,
)
from reasoning_grpc.litellm_model.answers import AnswerReader, ErrorInAnswer, MalformedAnswer, join_deltas
from reasoning_grpc.litellm_model.transport.errors import MalformedStream
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder
from tests.support.answer_events import Json, a_call_json, read_events
from tests.support.upstream import chunk

HM: Final = {"type": "thinking", "thinking": "hm", "signature": "sig"}
DELTAS: Final[dict[str, tuple[Json, list[Delta]]]] = {
    "nothing": ({}, []),
    "content": ({"role": "assistant", "content": "a"}, [ContentDelta("a")]),
    "content-empty": ({"content": ""}, []),
    "content-null": ({"content": None}, []),
    "refusal": ({"content": None, "refusal": "no"}, [ContentDelta("no", refusal=True)]),
    "reasoning_content": ({"reasoning_content": "hm"}, [ReasoningDelta("hm")]),
    "reasoning": ({"reasoning": "hm"}, [ReasoningDelta("hm")]),
    "reasoning-twice": ({"reasoning_content": "hm", "reasoning": "hm"}, [ReasoningDelta("hm")]),
    "reasoning-before-content": (
        {"content": "a", "reasoning_content": "hm"},
        [ReasoningDelta("hm"), ContentDelta("a")],
    ),
    "thinking_blocks": ({"thinking_blocks": [HM]}, [ReasoningDelta("hm", signature="sig")]),
    "signed-text": (
        {"content": "a", "provider_specific_fields": {"thought_signatures": ["sig"]}},
        [ContentDelta("a", signature="sig")],
    ),
    "signature-of-a-text-alone": (
        {"content": "", "provider_specific_fields": {"thought_signatures": ["sig"]}},
        [ContentDelta("", signature="sig")],
    ),
    "signature-of-a-call": (
        {
            "provider_specific_fields": {"thought_signatures": ["sig"]},
            "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}],
        },
        [ToolCallDelta("c", 0, "f", "{}")],
    ),
    "thinking_blocks-and-their-text": (
        {"reasoning_content": "hm", "thinking_blocks": [HM]},
        [ReasoningDelta("hm", signature="sig")],
    ),
    "signature-alone": (
        {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "sig"}]},
        [ReasoningDelta(signature="sig")],
    ),
    "redacted": (
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "opaque"}]},
        [ReasoningDelta(redacted=b"opaque")],
    ),
    "thought-think-tag": ({"content": "<think>hm"}, [ContentDelta("<think>hm")]),
    "parts": (
        {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        [ContentDelta("a"), ContentDelta("b")],
    ),
    "parts-with-thinking": (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
            ]
        },
        [ReasoningDelta("hm"), ContentDelta("a")],
    ),
    "parts-with-thinking-as-text": ({"content": [{"type": "thinking", "thinking": "hm"}]}, [ReasoningDelta("hm")]),
    "parts-with-a-summary": (
        {"content": [{"type": "reasoning", "summary": [{"text": "h"}, {"text": "m", "signature": "sig"}]}]},
        [ReasoningDelta("hm", signature="sig")],
    ),
    "parts-with-a-refusal": ({"content": [{"type": "refusal", "refusal": "no"}]}, [ContentDelta("no", refusal=True)]),
    "reasoning_details": (
        {"reasoning_details": [{"text": "h"}, {"summary": "m"}, {"data": "of no type"}]},
        [ReasoningDelta("hm")],
    ),
    "reasoning_details-signed-and-encrypted": (
        {
            "reasoning": "hm",
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "hm",
                    "signature": "sig",
                    "format": "anthropic-claude-v1",
                    "index": 0,
                },
                {
                    "type": "reasoning.encrypted",
                    "data": "b3Bh",
                    "id": "call_1",
                    "format": "google-gemini-v1",
                    "index": 1,
                },
            ],
        },
        [
            ReasoningDelta(
                "hm",
                signature='{"type":"reasoning.text","format":"anthropic-claude-v1","index":0,"signature":"sig"}',
            ),
            ReasoningDelta(
                redacted=b'{"type":"reasoning.encrypted","id":"call_1","format":"google-gemini-v1","index":1,"data":"b3Bh"}'
            ),
        ],
    ),
    "reasoning_details-and-their-text": (
        {"reasoning": "hm", "reasoning_details": [{"text": "hm"}]},
        [ReasoningDelta("hm")],
    ),
    "reasoning-signed-in-litellms-way": (
        {"reasoning_content": "hm", "provider_specific_fields": {"thought_signatures": ["gs"]}},
        [ReasoningDelta("hm", signature="gs")],
    ),
    "call-signed-beside-reasoning": (
        {
            "reasoning_content": "hm",
            "provider_specific_fields": {"thought_signatures": ["gs"]},
            "tool_calls": [a_call_json(0, "c", "f", "")],
        },
        [ReasoningDelta("hm"), ToolCallDelta("c", 0, "f")],
    ),
    "one-call-without-a-list": ({"tool_calls": a_call_json(0, "c", "f", "{}")}, [ToolCallDelta("c", 0, "f", "{}")]),
    "parts-of-other-kinds": ({"content": [{"type": "reference", "reference_ids": [1]}]}, []),
    "parts-none": ({"content": []}, []),
    "call-signed-by-google": (
        {"tool_calls": [a_call_json(0, "c", "f", "") | {"extra_content": {"google": {"thought_signature": "gs"}}}]},
        [ToolCallDelta("c", 0, "f", "", "gs")],
    ),
    "call-signed-in-litellms-way": (
        {"tool_calls": [a_call_json(0, "c", "f", "") | {"provider_specific_fields": {"thought_signature": "gs"}}]},
        [ToolCallDelta("c", 0, "f", "", "gs")],
    ),
    "arguments-as-an-object": (
        {"tool_calls": [a_call_json(0, "c", "f", {"a": [1, None]})]},
        [ToolCallDelta("c", 0, "f", '{"a": [1, null]}')],
    ),
    "half-a-surrogate-pair": ({"content": "a\ud83d", "x": {"\ude00": 1}}, [ContentDelta("a\ufffd")]),
    "other-half-first": ({"content": "\ude00b"}, [ContentDelta("\ufffdb")]),
    "a-whole-surrogate-pair": ({"content": "\ud83d\ude00"}, [ContentDelta("\U0001f600")]),
    "half-a-pair-beside-a-whole-one": ({"content": "\ud83d\ude00\ud83dx"}, [ContentDelta("\U0001f600\ufffdx")]),
    "half-a-pair-in-arguments": (
        {"tool_calls": [a_call_json(0, "c", "f", "\ud83d")]},
        [ToolCallDelta("c", 0, "f", "\ufffd")],
    ),
}


@pytest.mark.parametrize("holder", ["delta", "message"])
@pytest.mark.parametrize(("delta", "expected"), DELTAS.values(), ids=DELTAS.keys())
def test_each_kind_of_delta_is_read(holder: str, delta: Json, expected: list[Delta]) -> None:
    """Each kind of delta is read in the same way from a chunk and from a whole message."""
    reader = AnswerReader()

    deltas = read_events(reader, {"choices": [{"index": 0, holder: delta}]})

    assert deltas == expected
    assert reader.has_answer == bool(expected)


NO_TEXTS: Final[tuple[Any, ...]] = (None, 7, 0.5, True, [], ["x"], {}, {"a": 1})
NO_LISTS: Final[tuple[Any, ...]] = (None, 7, True, "x", {}, {"a": 1}, [None, 7, "x", []])
NO_OBJECTS: Final[tuple[Any, ...]] = (None, 7, True, "x", [], [{}], {})
NO_ERRORS: Final[tuple[Any, ...]] = (None, {}, "", [], 0, False)
ODD: Final[list[tuple[tuple[str, str], Any]]] = [
    *((("delta", name), odd) for name in ("reasoning_content", "reasoning", "refusal", "role") for odd in NO_TEXTS),
    *((("delta", name), odd) for name in ("thinking_blocks", "tool_calls") for odd in NO_LISTS),
    *((("choice", "finish_reason"), odd) for odd in (*NO_TEXTS, "")),
    *((("choice", "logprobs"), odd) for odd in (*NO_OBJECTS, {"content": None}, {"content": 7}, {"content": [7, []]})),
    *((("choice", "index"), odd) for odd in NO_OBJECTS if odd != 7),
    *((("answer", name), odd) for name in ("usage", "x_groq", "id", "model", "object") for odd in NO_OBJECTS),
    *((("answer", "x_groq"), {"usage": odd}) for odd in NO_OBJECTS),
    *((("answer", "error"), odd) for odd in NO_ERRORS),
]


@pytest.mark.parametrize(("place", "odd"), ODD, ids=[f"{'.'.join(place)}-{odd!r}" for place, odd in ODD])
def test_an_odd_optional_field_counts_as_absent(place: tuple[str, str], odd: Any) -> None:
    """A field that is null, empty or of another type neither breaks the answer nor adds to it."""
    delta: Json = {"content": "a"}
    choice: Json = {"delta": delta}
    answer: Json = {"choices": [choice]}
    {"delta": delta, "choice": choice, "answer": answer}[place[0]][place[1]] = odd
    reader = AnswerReader()

    deltas = read_events(reader, answer)

    assert deltas == [ContentDelta("a")]
    assert reader.finish_reason is None
    assert reader.build_usage(100).source is UsageSource.ESTIMATED


@pytest.mark.parametrize(
    "event",
    [
        {"choices": []},
        {"choices": None},
        {"choices": 7},
        {"choices": [None]},
        {"choices": [7]},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": 7}]},
        {"choices": [{"delta": None, "message": []}]},
        {"usage": None},
    ],
    ids=json.dumps,
)
def test_an_event_without_a_choice_is_ignored(event: Json) -> None:
    """An event without a choice, or with an empty one, is neither an answer nor an error."""
    reader = AnswerReader()

    assert read_events(reader, event) == []
    assert not reader.has_answer


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html></html>", id="html"),
        pytest.param(b'{"choices": [', id="cut"),
        pytest.param(b'{"choices": []} x', id="trailing"),
        pytest.param(b'{"choices": "\xff"}', id="not-utf-8"),
        pytest.param(b"{}", id="empty-object"),
        pytest.param(b'{"error": null}', id="null-error-alone"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"7", id="number"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"choices"', id="text"),
        pytest.param(b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep"),
        pytest.param(b'{"a": "\\ud83d", "choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep-and-surrogate"),
        pytest.param(b'{"choices": [], "a": ' + b"9" * 5000 + b"}", id="number-of-5000-digits"),
        pytest.param(b'{"choices": [{"delta": {"content": 7}}]}', id="content-number"),
        pytest.param(b'{"choices": [{"delta": {"content": {"text": "a"}}}]}', id="content-object"),
        pytest.param(b'{"choices": [{"delta": {"content": ["a"]}}]}', id="content-list-of-texts"),
    ],
)
def test_a_malformed_event_is_an_error(event: bytes) -> None:
    """An event that is not of the dialect, or in which text of the answer would be lost, raises MalformedAnswer."""
    with pytest.raises(MalformedAnswer):
        AnswerReader().read(event)


@pytest.mark.parametrize(
    "error", [{"code": 429, "message": "slow down"}, {"a": None}, "text", 7, ["x"], True], ids=json.dumps
)
def test_an_error_inside_an_answer_is_raised(error: object) -> None:
    """An error inside an answer is raised unchanged for `failures`, and its text is not shown."""
    with pytest.raises(ErrorInAnswer) as raised:
        read_events(AnswerReader(), {"error": error, "choices": [{"delta": {"content": "a"}}]})

    assert raised.value.error == error
    assert str(raised.value) == "an error inside the answer"


A_LOGPROB: Final = TokenLogprob("a", -0.5, b"a")
LOGPROBS: Final[dict[str, tuple[Any, tuple[TokenLogprob, ...]]]] = {
    "whole": (
        {
            "content": [
                {
                    "token": "a",
                    "logprob": -0.5,
                    "bytes": [97],
                    "top_logprobs": [{"token": "b", "logprob": -2, "bytes": [98]}],
                }
            ]
        },
        (TokenLogprob("a", -0.5, b"a", (AlternativeToken("b", -2.0, b"b"),)),),
    ),
    "several": (
        {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}] * 2},
        (A_LOGPROB, A_LOGPROB),
    ),
    "fields-missing": ({"content": [{}]}, (TokenLogprob("", 0.0),)),
    "fields-null": (
        {"content": [{"token": None, "logprob": None, "bytes": None, "top_logprobs": None}]},
        (TokenLogprob("", 0.0),),
    ),
    "fields-of-another-type": (
        {"content": [{"token": 7, "logprob": "x", "bytes": "x", "top_logprobs": "x"}]},
        (TokenLogprob("", 0.0),),
    ),
    "odd-items": (
        {"content": [{"token": "a", "logprob": True, "bytes": [1, 256], "top_logprobs": [7, {"bytes": ["x"]}]}]},
        (TokenLogprob("a", 0.0, b"", (AlternativeToken("", 0.0), AlternativeToken("", 0.0))),),
    ),
    "number-of-400-digits": ({"content": [{"token": "a", "logprob": 10**400}]}, (TokenLogprob("a", 0.0),)),
}


@pytest.mark.parametrize(("logprobs", "expected"), LOGPROBS.values(), ids=LOGPROBS.keys())
def test_logprobs_are_read(logprobs: Json, expected: tuple[TokenLogprob, ...]) -> None:
    """Log probabilities come with their delta of text; values of a wrong type are empty."""
    assert read_events(AnswerReader(), chunk({"content": "a"}, logprobs=logprobs)) == [ContentDelta("a", expected)]


@pytest.mark.parametrize("content", [None, ""])
def test_logprobs_without_text(content: str | None) -> None:
    """Log probabilities of a token without text are yielded, too."""
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}

    deltas = read_events(AnswerReader(), chunk({"content": content}, logprobs=logprobs))

    assert deltas == [ContentDelta("", (A_LOGPROB,))]


def test_a_message_that_repeats_the_answer_is_ignored() -> None:
    """A message beside deltas repeats the answer so far, so it is read only where no delta came before."""
    reader = AnswerReader()
    so_far = {"role": "assistant", "content": "ab"}

    deltas = read_events(
        reader,
        {"choices": [{"delta": {"content": "a"}, "message": {"content": "a"}}]},
        {"choices": [{"delta": {"content": "b"}, "message": so_far}]},
        {"choices": [{"delta": {}, "message": so_far, "finish_reason": "stop"}]},
    )

    assert deltas == [ContentDelta("a"), ContentDelta("b")]


# fmt: off
NAMES: Final = st.sampled_from([
    "choices", "delta", "message", "content", "text", "thinking", "reasoning", "reasoning_content",
    "thinking_blocks", "signature", "type", "data", "refusal", "tool_calls", "index", "id", "function", "name",
    "arguments", "extra_content", "google", "thought_signature", "provider_specific_fields", "logprobs", "token",
    "logprob", "bytes", "top_logprobs", "finish_reason", "usage", "x_groq", "prompt_tokens", "completion_tokens",
    "total_tokens", "prompt_tokens_details", "cached_tokens", "completion_tokens_details", "reasoning_tokens",
    "error", "code",
])
# fmt: on
SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(),
    st.text(st.characters(categories=["Cs", "L"])),
    st.sampled_from(["stop", "error", "redacted_thinking", "thinking", "\ud83d", "\ud83d\ude00"]),
)
VALUES: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=15
)
CHUNKS: Final = st.builds(
    lambda delta, choice, answer: {"choices": [{"delta": delta, **choice}], **answer},
    st.dictionaries(NAMES, VALUES, max_size=4) | VALUES,
    st.dictionaries(st.sampled_from(["logprobs", "finish_reason", "message"]), VALUES),
    st.dictionaries(st.sampled_from(["usage", "x_groq", "choices", "error"]), VALUES, max_size=1),
)


@given(st.lists(st.one_of(CHUNKS, st.dictionaries(NAMES, VALUES, max_size=4), VALUES), max_size=4))
def test_any_json_is_read_or_refused(events: list[Any]) -> None:
    """Any JSON either raises one of our two errors or becomes deltas that fit into a protobuf message."""
    reader = AnswerReader()
    deltas: list[Delta] = []

    for event in events:
        try:
            deltas += read_events(reader, event)
        except (MalformedAnswer, ErrorInAnswer):
            break

    for text in _find_texts([*deltas, *join_deltas(deltas), reader.provider_finish_reason]):
        text.encode()
    usage = reader.build_usage(1)
    assert min(usage.input_tokens, usage.output_tokens, usage.total_tokens) >= 0
    assert max(usage.input_tokens, usage.output_tokens, usage.total_tokens) < 2**32


@given(st.binary())
def test_any_bytes_are_read_or_refused(event: bytes) -> None:
    """Any bytes, as an event and as a stream, raise nothing but our errors."""
    for read in (AnswerReader().read, EventStreamDecoder(max_event_bytes=10).feed):
        with suppress(MalformedAnswer, MalformedStream, ErrorInAnswer):
            read(event)


def _find_texts(value: object) -> Iterator[str]:
    """Yields every text inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _find_texts(item)
    elif isinstance(value, Struct):
        for member in fields(value):
            yield from _find_texts(getattr(value, member.name))
