"""Our reader of Google's Gemini API: parts in their order, few messages, and the same meaning by both of its ways."""

import json
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, ToolCallDelta
from reasoning_grpc.litellm_model.answers import AnswerRecord, ErrorEvent, ErrorInAnswer, GeminiReader, MalformedAnswer
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder
from tests.support.factories import a_wire_request
from tests.support.native_events import Json, google_response, google_text
from tests.support.received import receive_answer
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

SUPPORT: Final = Path(__file__).parents[1] / "support"
STREAMS: Final = [
    path
    for folder in ("recorded_gemini", "families/gemini-3", "promised/gemini")
    for path in sorted((SUPPORT / folder).glob("*.sse"))
]
DATA: Final = {"mimeType": "image/png", "data": "iVBORw0KGgo="}


def read(*responses: Any) -> tuple[list[Delta], GeminiReader]:
    """Returns the deltas of these responses, and the reader that has read them."""
    reader = GeminiReader()
    return [delta for response in responses for delta in reader.read(json.dumps(response).encode())], reader


def call(name: str, call_id: str, **members: Any) -> Json:
    """Returns the part of a call without arguments."""
    return {"functionCall": {"name": name, "args": {}, "id": call_id}, **members}


def read_events(events: list[Any]) -> list[Any]:
    """Returns all that a reader says of these events, or of those before one that it cannot read."""
    reader = GeminiReader()
    deltas: list[Delta] = []
    failure = ""
    try:
        for event in events:
            deltas += reader.read(event if isinstance(event, bytes) else json.dumps(event).encode())
    except (MalformedAnswer, ErrorInAnswer) as exc:
        failure = type(exc).__name__
    ended = (reader.finish_reason, reader.provider_finish_reason, reader.is_finished, reader.has_answer, failure)
    return [*ended, reader.build_usage(1), *map(remove_own_id, deltas)]


def remove_own_id(delta: Delta) -> Any:
    """Returns a delta, in a form that is equal for two readers."""
    is_own = isinstance(delta, ToolCallDelta) and delta.call_id.startswith("call_")
    return (delta.index, delta.name, delta.arguments) if is_own and isinstance(delta, ToolCallDelta) else delta


def test_parts_keep_their_order() -> None:
    """Each part of a response is a delta at its own place, with its own signature."""
    deltas, reader = read(
        google_response(
            google_text("a"),
            google_text("b", thought=True, thoughtSignature="s1"),
            call("f", "c1", thoughtSignature="s2"),
            google_text("c"),
            google_text("", thoughtSignature="s3"),
            word="STOP",
        )
    )

    assert deltas == [
        ContentDelta("a"),
        ReasoningDelta("b", signature="s1"),
        ToolCallDelta("c1", 0, "f", "{}", "s2"),
        ContentDelta("c"),
        ContentDelta("", signature="s3"),
    ]
    assert reader.join(deltas) == deltas
    assert reader.finish_reason is FinishReason.TOOL_CALLS


def test_texts_are_joined_up_to_a_part_without_text() -> None:
    """Texts that arrive together are one delta, and the signature of a part without text stays one of its own."""
    texts = [google_text("a"), google_text("b", thoughtSignature="s1"), google_text("c"), google_text("d")]
    deltas, reader = read(google_response(*texts, google_text("", thoughtSignature="s2"), google_text("e")))

    assert reader.join(deltas) == [
        ContentDelta("ab", signature="s1"),
        ContentDelta("cd"),
        ContentDelta("", signature="s2"),
        ContentDelta("e"),
    ]


def test_a_text_beside_a_call_is_not_lost() -> None:
    """A part has one kind of content in Google's protocol; from other servers, a text and a call are both read."""
    deltas, _ = read(google_response(google_text("a", **call("f", "c1", thoughtSignature="s"))))

    assert deltas == [ContentDelta("a"), ToolCallDelta("c1", 0, "f", "{}", "s")]


def test_calls_with_one_id_are_two_calls() -> None:
    """A call gets an id of ours where it has none, or one that an earlier call has."""
    deltas, _ = read(google_response(call("f", "c"), call("f", "c"), {"functionCall": {"name": "g"}}))

    calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert [(made.index, made.name) for made in calls] == [(0, "f"), (1, "f"), (2, "g")]
    assert calls[0].call_id == "c"
    assert len({made.call_id for made in calls}) == 3


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"inlineData": DATA}, ""),
        ({"inlineData": DATA | {"mimeType": "audio/wav"}}, ""),
        ({"inlineData": DATA | {"mimeType": "text/csv"}}, "data:text/csv;base64,iVBORw0KGgo="),
        ({"executableCode": {"language": "PYTHON", "code": "1"}}, ""),
        ({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}, ""),
        ({"fileData": {"fileUri": "https://example.com"}}, ""),
        ({"aNewKind": {}}, ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_parts_that_are_no_text(part: Json, text: str) -> None:
    """A file that is neither image nor sound comes as a text; code that Google runs is not for the caller."""
    deltas, _ = read(google_response(part))

    assert deltas == ([ContentDelta(text)] if text else [])


def test_content_of_any_kind_after_the_end_is_a_second_answer() -> None:
    """What follows a finish reason that came alone is a second answer, also where it is no text."""
    end = [google_response(google_text("a")), google_response(word="STOP")]

    with pytest.raises(MalformedAnswer):
        read(*end, google_response({"executableCode": {"code": "1"}}))


PROMPT: Final = {"promptTokenCount": 5, "totalTokenCount": 5}
ONE_TOKEN: Final = PROMPT | {"candidatesTokenCount": 1}


@pytest.mark.parametrize(
    ("counts", "uncounted_bytes"),
    [([PROMPT, ONE_TOKEN], 0), ([ONE_TOKEN, ONE_TOKEN], 4), ([ONE_TOKEN, None], 4), ([PROMPT, {}], 4)],
    ids=["counted", "the-same-counts-again", "no-counts", "empty-counts"],
)
def test_counts_that_stay_do_not_include_later_text(counts: list[Json | None], uncounted_bytes: int) -> None:
    """Counts include the text of their response; what comes after they last changed is not counted yet."""
    _, reader = read(*(google_response(google_text("word"), usageMetadata=each) for each in counts))

    assert reader.uncounted_bytes == uncounted_bytes


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_both_ways_of_decoding_agree(path: Path) -> None:
    """A response that must be converted member by member means the same as one that has all types right."""
    decoder = EventStreamDecoder(max_event_bytes=2**20)
    events = decoder.feed(path.read_bytes()) + decoder.finish()

    # No response of Google's has choices, so that this member makes the reader convert all others.
    converted = [json.loads(event) for event in events]
    converted = [event | {"choices": []} if isinstance(event, dict) else event for event in converted]

    assert read_events(converted) == read_events(list(events))
    assert read_batches(events, [], one_by_one=False) == read_batches(events, [], one_by_one=True)


def read_batches(events: list[bytes], sizes: Sequence[int], *, one_by_one: bool) -> list[Any]:
    """Returns all that a reader says of these events in batches of these sizes, and of the rest in one batch."""
    reader, deltas, failure = GeminiReader(), list[Delta](), None
    read_batch = partial(AnswerRecord.read_batch, reader) if one_by_one else reader.read_batch
    for size in (*sizes, len(events)):
        batch, events = events[:size], events[size:]
        if failure is None:
            read, failure = read_batch(batch)
            deltas += read
    known = {each.name: getattr(reader, each.name) for each in fields(reader)}
    for name in ("_is_in_text", "_call_ids"):
        del known[name]
    known["_counts"] = bytes(reader._counts)
    return [type(failure), str(failure), known, reader.build_usage(1), *map(remove_own_id, reader.join(deltas))]


COUNTS: Final = {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}
EVENTS: Final = st.sampled_from(
    [
        *[google_response(google_text("a"), responseId="r")] * 6,
        *[google_response(google_text("é🙂"), responseId="r", usageMetadata=COUNTS)] * 3,
        google_response(google_text("b"), responseId="r", usageMetadata=COUNTS | {"candidatesTokenCount": 2}),
        google_response(google_text("c"), responseId="s"),
        google_response(google_text("d"), usageMetadata=None, promptFeedback=None),
        google_response(google_text("e", thought=False, thoughtSignature=""), responseId="r", usageMetadata={}),
        google_response(google_text("f", thought=True), responseId="r"),
        google_response(google_text("g", thoughtSignature="s"), responseId="r"),
        google_response(google_text("", thoughtSignature="s"), responseId="r"),
        google_response(google_text("h"), google_text("i"), responseId="r"),
        google_response(call("f", "c1"), responseId="r"),
        google_response(google_text(7), responseId="r"),
        google_response(google_text("j"), word="STOP", responseId="r", usageMetadata=COUNTS),
        google_response(word="STOP", responseId="r"),
        google_response(google_text("k"), responseId="r", promptFeedback={"blockReason": "SAFETY"}),
        google_response(google_text("l"), responseId="r", error={"code": 500}),
        {"usageMetadata": COUNTS},
        {"candidates": [{"index": 1, "content": {"parts": [{"text": "m"}]}}]},
        {"error": {"code": 503, "status": "UNAVAILABLE"}},
        b'{"candidates":[{"content":{"parts":[{"text":"n"}]}}],"modelVersion":"\xff"}',
        b'{"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"text":"o"}]}}]',
        ErrorEvent(b'{"candidates":[{"content":{"parts":[{"text":"p"}]}}]}'),
    ]
).map(lambda event: event if isinstance(event, bytes) else json.dumps(event).encode())


@settings(max_examples=600, deadline=None)
@given(events=st.lists(EVENTS, max_size=16), sizes=st.lists(st.integers(0, 4), max_size=6))
def test_texts_are_read_alike_together_and_one_by_one(events: list[bytes], sizes: list[int]) -> None:
    """Whatever the responses and wherever the network cuts them, both ways read the same, and fail alike."""
    assert read_batches(events, sizes, one_by_one=False) == read_batches(events, sizes, one_by_one=True)


async def test_an_answer_may_be_lines_of_json(upstream: FakeUpstream, native_server: RunningServer) -> None:
    """A server that ignores the request for server-sent events may send each response as a line."""
    lines = [google_response(google_text("Hel")), google_response(google_text("lo"), word="STOP")]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    upstream.body(body, content_type="application/x-ndjson")

    answer = await receive_answer(native_server.client(), model="gemini")

    assert (answer.text, answer.finish) == ("Hello", "STOP")


async def test_text_of_one_network_read_leaves_in_one_message(
    upstream: FakeUpstream, native_server: RunningServer
) -> None:
    """Deltas that arrive in one network read leave as one message, thoughts and text apart."""
    upstream.reply("a", "b", "c", reasoning=("x", "y"), together=True)

    events = [event async for event in native_server.client().stream(a_wire_request("hi", model="gemini"))]

    assert [event.content_delta.text for event in events if event.HasField("content_delta")] == ["abc"]
