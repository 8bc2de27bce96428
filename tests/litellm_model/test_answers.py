"""How the JSON events of an answer become our deltas, usage and finish reason, whatever their shape."""

import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain import FinishReason, Usage, UsageSource
from reasoning_grpc.domain.events import (
    AlternativeToken,
    ContentDelta,
    Delta,
    ReasoningDelta,
    TokenLogprob,
    ToolCallDelta,
)
from reasoning_grpc.litellm_model.answers import (
    AnswerReader,
    ErrorInAnswer,
    MalformedAnswer,
    join_deltas,
)
from reasoning_grpc.litellm_model.answers.finish_reasons import FAILED_FINISH_REASONS, FINISH_REASONS
from reasoning_grpc.litellm_model.transport.errors import MalformedStream
from reasoning_grpc.litellm_model.transport.sse import DONE, EventStreamDecoder
from tests.support.upstream import chunk, usage_chunk

Json = dict[str, Any]


def _read(reader: AnswerReader, *events: Json) -> list[Delta]:
    """Returns the deltas of these events."""
    return [delta for event in events for delta in reader.read(json.dumps(event).encode())]


def _call_json(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: Any = None
) -> Json:
    """Returns one call of a delta; arguments that are None are left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    members = (("index", index), ("id", call_id), ("function", function or None))
    return {key: value for key, value in members if value is not None}


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
        {"reasoning_details": [{"text": "h"}, {"summary": "m"}, {"data": "opaque"}]},
        [ReasoningDelta("hm")],
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
            "tool_calls": [_call_json(0, "c", "f", "")],
        },
        [ReasoningDelta("hm"), ToolCallDelta("c", 0, "f")],
    ),
    "one-call-without-a-list": ({"tool_calls": _call_json(0, "c", "f", "{}")}, [ToolCallDelta("c", 0, "f", "{}")]),
    "parts-of-other-kinds": ({"content": [{"type": "reference", "reference_ids": [1]}]}, []),
    "parts-none": ({"content": []}, []),
    "call-signed-by-google": (
        {"tool_calls": [_call_json(0, "c", "f", "") | {"extra_content": {"google": {"thought_signature": "gs"}}}]},
        [ToolCallDelta("c", 0, "f", "", "gs")],
    ),
    "call-signed-in-litellms-way": (
        {"tool_calls": [_call_json(0, "c", "f", "") | {"provider_specific_fields": {"thought_signature": "gs"}}]},
        [ToolCallDelta("c", 0, "f", "", "gs")],
    ),
    "arguments-as-an-object": (
        {"tool_calls": [_call_json(0, "c", "f", {"a": [1, None]})]},
        [ToolCallDelta("c", 0, "f", '{"a": [1, null]}')],
    ),
    "half-a-surrogate-pair": ({"content": "a\ud83d", "x": {"\ude00": 1}}, [ContentDelta("a\ufffd")]),
    "other-half-first": ({"content": "\ude00b"}, [ContentDelta("\ufffdb")]),
    "a-whole-surrogate-pair": ({"content": "\ud83d\ude00"}, [ContentDelta("\U0001f600")]),
    "half-a-pair-beside-a-whole-one": ({"content": "\ud83d\ude00\ud83dx"}, [ContentDelta("\U0001f600\ufffdx")]),
    "half-a-pair-in-arguments": (
        {"tool_calls": [_call_json(0, "c", "f", "\ud83d")]},
        [ToolCallDelta("c", 0, "f", "\ufffd")],
    ),
}


@pytest.mark.parametrize("holder", ["delta", "message"])
@pytest.mark.parametrize(("delta", "expected"), DELTAS.values(), ids=DELTAS.keys())
def test_each_kind_of_delta_is_read(holder: str, delta: Json, expected: list[Delta]) -> None:
    """Each kind of delta is read in the same way from a chunk and from a whole message."""
    reader = AnswerReader()

    deltas = _read(reader, {"choices": [{"index": 0, holder: delta}]})

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
    *((("choice", "index"), odd) for odd in NO_OBJECTS),
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

    deltas = _read(reader, answer)

    assert deltas == [ContentDelta("a")]
    assert reader.finish_reason is None
    assert reader.usage(100).source is UsageSource.ESTIMATED


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

    assert _read(reader, event) == []
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
        _read(AnswerReader(), {"error": error, "choices": [{"delta": {"content": "a"}}]})

    assert raised.value.error == error
    assert str(raised.value) == "an error inside the answer"


FINISHES: Final = {
    "stop": FinishReason.STOP,
    "STOP": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "COMPLETE": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "MAX_TOKENS": FinishReason.LENGTH,
    "max_output_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "JAILBREAK": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "pause_turn": FinishReason.OTHER,
    "MALFORMED_FUNCTION_CALL": FinishReason.OTHER,
    "a word we do not know": FinishReason.OTHER,
}


@pytest.mark.parametrize(("word", "reason"), FINISHES.items(), ids=FINISHES.keys())
def test_a_finish_word_is_converted(word: str, reason: FinishReason) -> None:
    """Each provider's word is converted and stays readable beside it; a null in a later event does not remove it."""
    reader = AnswerReader()

    _read(reader, chunk({"content": "a"}, word), chunk({}))

    assert (reader.finish_reason, reader.provider_finish_reason) == (reason, word)


def test_every_finish_word_is_tried() -> None:
    """The table of these tests has every word that we know."""
    assert {word.lower() for word in FINISHES} >= FINISH_REASONS.keys()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.TOOL_CALLS),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_a_finish_word_after_tool_calls(word: str, reason: FinishReason) -> None:
    """An answer that stopped after tool calls ended with TOOL_CALLS, though some servers say "stop".

    A cut answer did not.
    """
    reader = AnswerReader()

    _read(reader, chunk({"tool_calls": [_call_json(0, "c", "f", "{}")]}), chunk({}, word))

    assert (reader.finish_reason, reader.provider_finish_reason) == (reason, word)


@pytest.mark.parametrize(("word", "status"), FAILED_FINISH_REASONS.items(), ids=FAILED_FINISH_REASONS.keys())
def test_a_finish_word_for_a_failure_is_an_error(word: str, status: int) -> None:
    """A word that reports a failure of the upstream raises an error and is no finish reason."""
    reader = AnswerReader()

    with pytest.raises(ErrorInAnswer) as raised:
        _read(reader, chunk({"content": "a"}), chunk({}, word))

    assert raised.value.error == {"code": status}
    assert reader.finish_reason is None


CALLS: Final[dict[str, tuple[list[list[Json]], list[ToolCallDelta]]]] = {
    "indexed": (
        [[_call_json(0, "c1", "f", "")], [_call_json(0, None, None, '{"a"')], [_call_json(0, None, None, ":1}")]],
        [ToolCallDelta("c1", 0, "f"), ToolCallDelta("c1", 0, "", '{"a"'), ToolCallDelta("c1", 0, "", ":1}")],
    ),
    "indexed-and-interleaved": (
        [
            [_call_json(0, "c1", "f", "{")],
            [_call_json(1, "c2", "g", "{")],
            [_call_json(0, None, None, "}")],
            [_call_json(1, None, None, "}")],
        ],
        [
            ToolCallDelta("c1", 0, "f", "{"),
            ToolCallDelta("c2", 1, "g", "{"),
            ToolCallDelta("c1", 0, "", "}"),
            ToolCallDelta("c2", 1, "", "}"),
        ],
    ),
    "indices-from-5": (
        [[_call_json(5, "c1", "f", "{}")], [_call_json(9, "c2", "g", "{}")]],
        [ToolCallDelta("c1", 0, "f", "{}"), ToolCallDelta("c2", 1, "g", "{}")],
    ),
    "id-empty-after-the-first": (
        [[_call_json(0, "c1", "f", "{")], [_call_json(0, "", "", "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "id-and-name-in-every-piece": (
        [[_call_json(0, "c1", "f", "{")], [_call_json(0, "c1", "f", "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "not-indexed": (
        [[_call_json(None, "c1", "f", "{")], [_call_json(None, None, None, "}")], [_call_json(None, "c2", "g", "{}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}"), ToolCallDelta("c2", 1, "g", "{}")],
    ),
    "not-indexed-but-named-by-id": (
        [[_call_json(None, "c1", "f", "{"), _call_json(None, "c2", "g", "{")], [_call_json(None, "c1", None, "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c2", 1, "g", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "index-null": (
        [[_call_json(None, "c1", "f", "{") | {"index": None}], [_call_json(None, None, None, "}") | {"index": None}]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "whole-in-one-chunk": (
        [[_call_json(0, "c1", "f", '{"a":1}'), _call_json(1, "c2", "f", "{}")]],
        [ToolCallDelta("c1", 0, "f", '{"a":1}'), ToolCallDelta("c2", 1, "f", "{}")],
    ),
    "all-of-index-0": (
        [[_call_json(0, "c1", "f", "{}")], [_call_json(0, "c2", "f", "{")], [_call_json(0, None, None, "}")]],
        [ToolCallDelta("c1", 0, "f", "{}"), ToolCallDelta("c2", 1, "f", "{"), ToolCallDelta("c2", 1, "", "}")],
    ),
    "arguments-null": (
        [[_call_json(0, "c1", "f") | {"function": {"name": "f", "arguments": None}}]],
        [ToolCallDelta("c1", 0, "f")],
    ),
    "function-null": (
        [[_call_json(0, "c1", "f", "{")], [{"index": 0, "function": None}], [_call_json(0, None, None, "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0), ToolCallDelta("c1", 0, "", "}")],
    ),
    "name-of-another-type": (
        [[{"index": 0, "id": "c1", "function": {"name": 7, "arguments": 7}}]],
        [ToolCallDelta("c1", 0)],
    ),
}


@pytest.mark.parametrize(("pieces", "expected"), CALLS.values(), ids=CALLS.keys())
def test_deltas_find_their_tool_call(pieces: list[list[Json]], expected: list[ToolCallDelta]) -> None:
    """Deltas find their call by index, id or order.

    Each has the id, only one has the name, and indices count from 0.
    """
    reader = AnswerReader()

    deltas = _read(reader, *(chunk({"tool_calls": calls}) for calls in pieces))

    assert deltas == expected


@pytest.mark.parametrize(
    "pieces",
    [
        [[_call_json(0, None, "f", "{")], [_call_json(0, None, None, "}")], [_call_json(1, None, "g", "{}")]],
        [[_call_json(None, None, "f", "{")], [_call_json(None, None, None, "}")], [_call_json(None, None, "g", "{}")]],
        [[_call_json(0, "", "f", "{")], [_call_json(0, "", "", "}")], [_call_json(1, "", "g", "{}")]],
        [[_call_json(None, 7, "f", "{")], [_call_json(None, 7, None, "}")], [_call_json(None, 7, "g", "{}")]],  # type: ignore[arg-type]
    ],
    ids=["indexed", "not-indexed", "empty-ids", "ids-of-another-type"],
)
def test_calls_without_an_id_get_one(pieces: list[list[Json]]) -> None:
    """A call without an id gets one, which all its deltas share."""
    reader = AnswerReader()

    deltas = _read(reader, *(chunk({"tool_calls": calls}) for calls in pieces))

    first, more, second = (delta for delta in deltas if isinstance(delta, ToolCallDelta))
    assert first.call_id.startswith("call_")
    assert second.call_id.startswith("call_")
    assert second.call_id != first.call_id
    assert more == ToolCallDelta(first.call_id, 0, "", "}")
    assert (first.index, first.name, second.index, second.name) == (0, "f", 1, "g")


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
    assert _read(AnswerReader(), chunk({"content": "a"}, logprobs=logprobs)) == [ContentDelta("a", expected)]


@pytest.mark.parametrize("content", [None, ""])
def test_logprobs_without_text(content: str | None) -> None:
    """Log probabilities of a token without text are yielded, too."""
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97]}]}

    deltas = _read(AnswerReader(), chunk({"content": content}, logprobs=logprobs))

    assert deltas == [ContentDelta("", (A_LOGPROB,))]


def _make_counted_usage(input_tokens: int, output_tokens: int, total_tokens: int, **parts: int) -> Usage:
    return Usage(input_tokens, output_tokens, total_tokens, UsageSource.PROVIDER, **parts)


def _make_estimated_usage(input_tokens: int, output_tokens: int, **parts: int) -> Usage:
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.ESTIMATED, **parts)


USAGES: Final[dict[str, tuple[Json | None, Usage]]] = {
    "whole": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2, "audio_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 1},
        },
        _make_counted_usage(
            11, 7, 18, cached_input_tokens=3, cache_write_tokens=2, reasoning_tokens=0, audio_input_tokens=4
        ),
    ),
    "in-the-words-of-responses": (
        {
            "input_tokens": 11,
            "output_tokens": 7,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
        _make_counted_usage(11, 7, 18, cached_input_tokens=3, reasoning_tokens=2),
    ),
    "in-the-words-of-deepseek": (
        {"prompt_tokens": 11, "completion_tokens": 7, "prompt_cache_hit_tokens": 4},
        _make_counted_usage(11, 7, 18, cached_input_tokens=4),
    ),
    "in-the-words-of-moonshot": (
        {"prompt_tokens": 11, "completion_tokens": 7, "cached_tokens": 4},
        _make_counted_usage(11, 7, 18, cached_input_tokens=4),
    ),
    "in-the-words-of-xai": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 23,
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
        _make_counted_usage(11, 12, 23, reasoning_tokens=5),
    ),
    "in-the-words-of-litellm": (
        {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 5,
            "prompt_tokens_details": None,
        },
        _make_counted_usage(11, 7, 18, cached_input_tokens=4, cache_write_tokens=5),
    ),
    "total-of-its-own": (
        {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 30},
        _make_counted_usage(11, 7, 30),
    ),
    "no-total": ({"prompt_tokens": 11, "completion_tokens": 7}, _make_counted_usage(11, 7, 18)),
    "no-input": ({"completion_tokens": 7, "total_tokens": 18}, _make_counted_usage(11, 7, 18)),
    "no-output": ({"prompt_tokens": 11, "total_tokens": 18}, _make_counted_usage(11, 7, 18)),
    "total-below-a-part": ({"prompt_tokens": 11, "total_tokens": 5}, _make_counted_usage(11, 0, 5)),
    "input-alone": ({"prompt_tokens": 11}, _make_estimated_usage(11, 2)),
    "output-alone": ({"completion_tokens": 7}, _make_estimated_usage(100, 7)),
    "total-alone": ({"total_tokens": 18}, _make_estimated_usage(100, 2)),
    "details-alone": (
        {"prompt_tokens_details": {"cached_tokens": 3}},
        _make_estimated_usage(100, 2, cached_input_tokens=3),
    ),
    "missing": (None, _make_estimated_usage(100, 2)),
    "empty": ({}, _make_estimated_usage(100, 2)),
    "whole-floats": ({"prompt_tokens": 11.0, "completion_tokens": 7.0}, _make_counted_usage(11, 7, 18)),
    "zeros": ({"prompt_tokens": 0, "completion_tokens": 0}, _make_counted_usage(0, 0, 0)),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_usage_is_counted_or_estimated(usage: Json | None, expected: Usage) -> None:
    """The upstream's counts are used; a count that is missing or odd is estimated, and the usage says so."""
    reader = AnswerReader()
    _read(reader, chunk({"content": "12345678"}))

    _read(reader, usage_chunk(usage))

    assert reader.usage(estimated_prompt_tokens=100) == expected


def test_a_message_that_repeats_the_answer_is_ignored() -> None:
    """A message beside deltas repeats the answer so far, so it is read only where no delta came before."""
    reader = AnswerReader()
    so_far = {"role": "assistant", "content": "ab"}

    deltas = _read(
        reader,
        {"choices": [{"delta": {"content": "a"}, "message": {"content": "a"}}]},
        {"choices": [{"delta": {"content": "b"}, "message": so_far}]},
        {"choices": [{"delta": {}, "message": so_far, "finish_reason": "stop"}]},
    )

    assert deltas == [ContentDelta("a"), ContentDelta("b")]


@pytest.mark.parametrize(
    "odd", [None, "11", -1, 1.5, True, [], {}, 2**31, 10**400, 1e300], ids=lambda odd: f"{odd!r:.12}"
)
def test_an_odd_count_counts_as_absent(odd: Any) -> None:
    """A count that cannot be a number of tokens is estimated; an odd detail is not reported."""
    without_counts, without_details = AnswerReader(), AnswerReader()
    details = {"prompt_tokens_details": {"cached_tokens": odd}, "completion_tokens_details": odd}

    _read(without_counts, usage_chunk({"prompt_tokens": odd, "completion_tokens": odd, "total_tokens": odd}))
    _read(without_details, usage_chunk({"prompt_tokens": 11, "completion_tokens": 7, **details}))

    assert without_counts.usage(100) == _make_estimated_usage(100, 0)
    assert without_details.usage(100) == _make_counted_usage(11, 7, 18)


@pytest.mark.parametrize(
    "events",
    [
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 7})],
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 7}, choices=[{"delta": {}}])],
        [{"usage": {"prompt_tokens": 11, "completion_tokens": 7}}],
        [chunk({}, "stop", usage={"prompt_tokens": 11, "completion_tokens": 7})],
        [chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 11, "completion_tokens": 7}})],
        [{"choices": [{"delta": {}, "usage": {"prompt_tokens": 11, "completion_tokens": 7}}]}],
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 7}), usage_chunk(None)],
        [usage_chunk({"prompt_tokens": 11, "completion_tokens": 1}), usage_chunk({"completion_tokens": 7})],
    ],
    ids=["openai", "proxy", "without-choices", "with-the-finish", "groq", "moonshot", "null-after-it", "growing"],
)
def test_usage_is_found_in_every_place(events: list[Json]) -> None:
    """Usage is found wherever a server puts it, and the latest count wins."""
    reader = AnswerReader()

    assert _read(reader, *events) == []
    assert reader.usage(100) == _make_counted_usage(11, 7, 18)


@pytest.mark.parametrize(
    ("delta", "tokens"),
    [
        ({"content": "12345"}, 2),
        ({"content": "\u20ac\u20ac"}, 2),
        ({"refusal": "1234"}, 1),
        ({"reasoning_content": "1234"}, 1),
        ({"content": [{"text": "12"}, {"thinking": "34"}]}, 1),
        ({"tool_calls": [_call_json(0, "c", "12", "34")]}, 1),
        ({}, 0),
    ],
    ids=["content", "not-ascii", "refusal", "reasoning", "parts", "tool-call", "nothing"],
)
def test_the_estimate_counts_every_text(delta: Json, tokens: int) -> None:
    """Without a count, output is estimated as one token for each four bytes that the model wrote, rounded up."""
    reader = AnswerReader()
    _read(reader, chunk(delta))

    assert reader.usage(100).output_tokens == tokens


PIECE: Final = ContentDelta("x")
JOINED: Final[dict[str, tuple[list[Delta], list[Delta]]]] = {
    "none": ([], []),
    "one": ([ContentDelta("a")], [ContentDelta("a")]),
    "content": ([ContentDelta("a"), ContentDelta("b"), ContentDelta("c")], [ContentDelta("abc")]),
    "content-with-logprobs": (
        [ContentDelta("a", (A_LOGPROB,)), ContentDelta("b"), ContentDelta("c", (A_LOGPROB,))],
        [ContentDelta("abc", (A_LOGPROB, A_LOGPROB))],
    ),
    "refusal-after-content": (
        [ContentDelta("a"), ContentDelta("b", refusal=True), ContentDelta("c", refusal=True)],
        [ContentDelta("a"), ContentDelta("bc", refusal=True)],
    ),
    "kinds-in-turn": (
        [ReasoningDelta("a"), PIECE, ReasoningDelta("b"), PIECE],
        [ReasoningDelta("a"), PIECE, ReasoningDelta("b"), PIECE],
    ),
    "reasoning-up-to-a-signature": (
        [ReasoningDelta("a"), ReasoningDelta("b"), ReasoningDelta(signature="s"), ReasoningDelta("c")],
        [ReasoningDelta("ab", signature="s"), ReasoningDelta("c")],
    ),
    "reasoning-around-redacted": (
        [ReasoningDelta("a"), ReasoningDelta(redacted=b"r"), ReasoningDelta(redacted=b"r"), ReasoningDelta("b")],
        [ReasoningDelta("a"), ReasoningDelta(redacted=b"r"), ReasoningDelta(redacted=b"r"), ReasoningDelta("b")],
    ),
    "a-call": (
        [ToolCallDelta("c", 0, "f", "{"), ToolCallDelta("c", 0, "", '"a"'), ToolCallDelta("c", 0, "", ":1}", "gs")],
        [ToolCallDelta("c", 0, "f", '{"a":1}', "gs")],
    ),
    "calls": (
        [ToolCallDelta("c", 0, "f", "{}"), ToolCallDelta("d", 1, "f", "{"), ToolCallDelta("d", 1, "", "}")],
        [ToolCallDelta("c", 0, "f", "{}"), ToolCallDelta("d", 1, "f", "{}")],
    ),
}


@pytest.mark.parametrize(("deltas", "expected"), JOINED.values(), ids=JOINED.keys())
def test_neighbours_are_joined(deltas: list[Delta], expected: list[Delta]) -> None:
    """Neighbours of one kind become one delta, in order; different parts of the answer stay apart."""
    assert join_deltas(deltas) == expected


def _decode(feeds: list[bytes], max_event_bytes: int = 1000) -> list[bytes]:
    """Returns the events of a stream that arrives in these chunks; raises the failure of the decoder."""
    decoder = EventStreamDecoder(max_event_bytes=max_event_bytes)
    events = [event for data in feeds for event in decoder.feed(data)] + decoder.finish()
    if decoder.failure is not None:
        raise decoder.failure
    return events


STREAMS: Final[dict[str, tuple[list[bytes], list[bytes]]]] = {
    "nothing": ([], []),
    "one": ([b'data: {"a":1}\n\n'], [b'{"a":1}']),
    "several-in-one-read": ([b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"], [b"1", b"2", DONE]),
    "split-anywhere": ([b"da", b"ta:", b" 1", b"2\n", b"\nd", b"ata: 3\n\n"], [b"12", b"3"]),
    "split-in-a-character": ([b"data: \xe2\x82", b"\xac\n\n"], [b"\xe2\x82\xac"]),
    "crlf": ([b"data: 1\r\n\r\ndata: 2\r\n\r\n"], [b"1", b"2"]),
    "crlf-split": ([b"data: 1\r", b"\n\r", b"\ndata: 2\r\n\r\n"], [b"1", b"2"]),
    "no-space": ([b"data:1\n\n"], [b"1"]),
    "many-spaces": ([b"data:   1  \n\n"], [b"1"]),
    "no-empty-line-between": ([b"data: 1\ndata: 2\n"], [b"1", b"2"]),
    "comments": ([b": keep-alive\n\n:\ndata: 1\n\n: bye\n\n"], [b"1"]),
    "other-fields": ([b"event: delta\nid: 7\nretry: 10\ndata: 1\n\nevent\nid\n"], [b"1"]),
    "no-end-of-line-at-the-end": ([b"data: 1\n\ndata: 2"], [b"1", b"2"]),
    "comment-at-the-end": ([b"data: 1\n\n: by"], [b"1"]),
    "a-line-feed-inside-json": ([b'data: "a\\n"\n\n'], [b'"a\\n"']),
}


@pytest.mark.parametrize(("feeds", "expected"), STREAMS.values(), ids=STREAMS.keys())
def test_each_data_line_is_an_event(feeds: list[bytes], expected: list[bytes]) -> None:
    """Each `data:` line is an event, wherever the network cuts it; comments and other fields are not events."""
    assert _decode(feeds) == expected


@pytest.mark.parametrize(
    "feeds",
    [
        [b"junk\n"],
        [b"data: 1\n\njunk\n\n"],
        [b"junk"],
        [b'{"choices": []}\n'],
        [b"<html>\n"],
        [b"datum: 1\n"],
        [b" data: 1\n"],
        [b"data\n"],
        [b"data:\n\n"],
        [b"data: \r\n\r\n"],
        [b"data:"],
        [b"data: 1\n\nda"],
    ],
    ids=repr,
)
def test_a_line_of_no_known_field_is_an_error(feeds: list[bytes]) -> None:
    """Junk, empty data and half a line are errors, because text may have been lost in them."""
    with pytest.raises(MalformedStream):
        _decode(feeds)


def test_an_event_over_the_limit_is_an_error() -> None:
    """A line without an end fails when it exceeds the limit; a line just below the limit is accepted."""
    decoder = EventStreamDecoder(max_event_bytes=10)

    assert decoder.feed(b"data: 1234") == []
    assert decoder.failure is None
    assert decoder.feed(b"5") == []
    assert isinstance(decoder.failure, MalformedStream)


def test_events_before_junk_are_kept() -> None:
    """Events that were whole before a malformed line are returned, together with the failure."""
    decoder = EventStreamDecoder(max_event_bytes=100)

    assert decoder.feed(b"data: 1\n\njunk\n\ndata: 2\n\n") == [b"1"]
    assert isinstance(decoder.failure, MalformedStream)


LINES: Final = st.sampled_from(
    [
        b"data: 1\n",
        b"data:{}\r\n",
        b"data: \xe2\x82\xac \n",
        b"\n",
        b"\r\n",
        b": c\n",
        b"event: x\n",
        b"data: [DONE]\n\n",
    ]
)


@given(st.lists(LINES), st.sampled_from([b"", b"data: last", b": last"]), st.data())
def test_any_split_gives_the_same_events(lines: list[bytes], last: bytes, data: st.DataObject) -> None:
    """The events are the same wherever the network cuts the stream."""
    stream = b"".join(lines) + last
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    feeds = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]

    assert _decode(feeds) == _decode([stream])


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
            deltas += _read(reader, event)
        except (MalformedAnswer, ErrorInAnswer):
            break

    for text in _find_texts([*deltas, *join_deltas(deltas), reader.provider_finish_reason]):
        text.encode()
    usage = reader.usage(1)
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
    elif is_dataclass(value):
        for member in fields(value):
            yield from _find_texts(getattr(value, member.name))
