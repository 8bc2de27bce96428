"""Chunks of plain text are read by types, and mean exactly what the lenient reader reads in them."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.domain.events import ContentDelta, Delta, ToolCallDelta
from reasoning_grpc.litellm_model.answers import AnswerReader, AnswerRecord, ErrorEvent, JsonToolReader, join_deltas
from reasoning_grpc.litellm_model.answers.plain_chunks import decode_plain_chunk
from reasoning_grpc.litellm_model.transport.sse import DONE, EventStreamDecoder

RECORDED: Final = sorted(Path(__file__).parents[1].glob("support/**/*.sse"))
READERS: Final = (AnswerReader, JsonToolReader)


def _describe(deltas: Sequence[Delta], failure: Exception | None, reader: AnswerReader) -> list[object]:
    """Returns all that was read; ids of calls that we make are left out, since they are random."""
    joined = [
        (each.index, each.name, each.arguments, each.signature) if isinstance(each, ToolCallDelta) else each
        for each in join_deltas(list(deltas))
    ]
    known = {each.name: getattr(reader, each.name) for each in fields(reader)}
    del known["_other_events"], known["_settled_id"]  # they say which way the next events are read
    known["_calls"] = reader._calls.has_calls, reader._calls.has_unnamed_call
    return [joined, type(failure), str(failure), vars(failure) if failure else {}, known, reader.build_usage(7)]


def _read_by_types(events: list[bytes], sizes: Sequence[int], reader_class: type[AnswerReader]) -> list[object]:
    """Reads the events in batches of these sizes, and the rest in one batch."""
    reader, deltas, failure = reader_class(), list[Delta](), None
    for size in (*sizes, len(events)):
        batch, events = events[:size], events[size:]
        if failure is None:
            read, failure = reader.read_batch(batch)
            deltas += read
    return _describe(deltas, failure, reader)


def _read_leniently(events: list[bytes], reader_class: type[AnswerReader]) -> list[object]:
    reader = reader_class()
    deltas, failure = AnswerRecord.read_batch(reader, events)
    return _describe(deltas, failure, reader)


def _chunk(delta: object, **members: Any) -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **members}


PLAIN: Final = _chunk({"content": "a"})
FINISH: Final = {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
COUNTS: Final = {"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
_EMPTY: Final[st.SearchStrategy[Any]] = st.sampled_from([None, "", [], {}, 0, False])
_ODD: Final[st.SearchStrategy[Any]] = st.sampled_from(
    ["x", ["x"], {"x": 1}, [{"text": "x"}], 1, -1, 0.5, True, "é", "\ud83d", "🙂"]
)
_VALUES: Final = _EMPTY | _ODD
_OF_DELTA: Final = (
    *("role", "content", "refusal", "error", "tool_calls", "function_call", "reasoning_content", "reasoning"),
    *("thinking_blocks", "reasoning_details", "provider_specific_fields", "audio"),
)
_OF_CHOICE: Final = ("index", "finish_reason", "message", "text", "error", "logprobs", "usage", "delta", "seed")
_OF_CHUNK: Final = (
    *("id", "error", "usage", "x_groq", "object", "type", "choices", "created", "detail", "code", "candidates"),
    *("message", "status"),
)
_FUNCTION: Final = {"index": 0, "id": "t1", "function": {"name": "f", "arguments": "{}"}}
_KNOWN: Final = st.sampled_from(
    [
        _chunk({"role": "assistant"}),
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": "b", "refusal": None, "tool_calls": [], "reasoning_content": ""}, usage=None),
        _chunk({"content": "c"}, id="c2"),
        _chunk({"content": "d"}, id=None),
        _chunk({"content": "e"}, usage={"prompt_tokens": 3, "completion_tokens": 5}),
        _chunk({"content": "é🙂"}, service_tier="default", obfuscation="é"),
        _chunk({"reasoning_content": "hm"}),
        _chunk({"reasoning_content": "hm", "reasoning": "hm", "content": "g"}),
        _chunk({"reasoning": "hm", "content": None}),
        _chunk({"refusal": "no"}),
        _chunk({"tool_calls": [_FUNCTION]}),
        _chunk({"content": "f"}, x_groq={"usage": {"total_tokens": 9}}),
        FINISH,
        {"id": "c1", "choices": [{"index": 0, "delta": {"content": "g"}, "finish_reason": "stop"}]},
        {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "network_error"}]},
        {"id": "c1", "choices": [{"index": 0, "delta": {}, "message": {"content": "whole"}, "finish_reason": "stop"}]},
        {"id": "c1", "choices": [{"index": 0, "delta": {}, "text": "outside"}]},
        COUNTS,
        COUNTS | {"object": "chat.completion.chunk", "usage": {"prompt_tokens": 4, "completion_tokens_details": None}},
        {"choices": [{"index": 1, "delta": {"content": "h"}}, {"index": 0, "delta": {"content": "i"}}]},
        {"error": {"message": "broken", "code": 500}},
        {"choices": [{"delta": {"content": "j"}, "logprobs": {"content": [{"token": "j", "logprob": -1}]}}]},
    ]
)


@st.composite
def _changed_chunks(draw: st.DrawFn) -> dict[str, Any]:
    """Draws a plain chunk, or a chunk of usage, of which one or two members have another value."""
    chunk: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from([PLAIN, PLAIN, COUNTS]))))
    places: list[tuple[dict[str, Any], tuple[str, ...]]] = [(chunk, _OF_CHUNK)]
    for choice in chunk["choices"]:
        places += [(choice["delta"], _OF_DELTA), (choice, _OF_CHOICE)]
    for _ in range(draw(st.integers(1, 2))):
        place, names = draw(st.sampled_from(places))
        place[draw(st.sampled_from(names))] = draw(_VALUES)
    return chunk


_EVENTS: Final = st.one_of(
    st.just(PLAIN).map(lambda chunk: json.dumps(chunk).encode()),
    _KNOWN.map(lambda chunk: json.dumps(chunk, ensure_ascii=False).encode(errors="surrogatepass")),
    _changed_chunks().map(lambda chunk: json.dumps(chunk).encode()),
    st.sampled_from(
        [
            b'{"choices":[{"delta":{"content":"k"}}],"other":"\xff"}',
            b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
            b'{"choices":[{"delta":{"content":"l"}}],"created":1e999}',
            b'{"choices":[{"delta":{"content":"m","content":"n"}}],"error":"x","error":null}',
            b'{"choices":[{"delta":{"content":"o"}}]} {}',
            b'{"choices":[{"delta":{"content":"p"}}]',
            b"[]",
            ErrorEvent(b'{"choices":[{"delta":{"content":"q"}}]}'),
        ]
    ),
)


@settings(max_examples=600, deadline=None)
@given(
    events=st.lists(_EVENTS, max_size=12),
    repeats=st.integers(0, 3),
    is_finished=st.booleans(),
    sizes=st.lists(st.integers(0, 4), max_size=6),
    reader_class=st.sampled_from(READERS),
)
def test_any_chunks_are_read_alike(
    events: list[bytes], repeats: int, is_finished: bool, sizes: list[int], reader_class: type[AnswerReader]
) -> None:
    """Whatever the chunks and wherever the network cuts them, both ways read the same, and fail alike."""
    events = [json.dumps(PLAIN).encode()] * repeats + [json.dumps(FINISH).encode()] * is_finished + events

    assert _read_by_types(events, sizes, reader_class) == _read_leniently(events, reader_class)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_answers_are_read_alike(path: Path) -> None:
    """Both ways read the same in each recorded answer of the protocol, whole and event by event."""
    decoder = EventStreamDecoder(max_event_bytes=1 << 20)
    events = [event for event in decoder.feed(path.read_bytes()) + decoder.finish() if event != DONE]

    expected = _read_leniently(events, AnswerReader)

    assert _read_by_types(events, [], AnswerReader) == expected
    assert _read_by_types(events, [1] * len(events), AnswerReader) == expected


def test_plain_chunks_of_one_read_are_one_delta() -> None:
    """The texts of neighbouring plain chunks leave together, without a delta for each."""
    events = [json.dumps(_chunk({"content": text}, usage=None, service_tier="default")).encode() for text in "abcdef"]

    deltas, failure = AnswerReader().read_batch(events)

    assert failure is None
    assert join_deltas(deltas) == [ContentDelta("abcdef")]
    assert all(decode_plain_chunk(event) is not None for event in events)
