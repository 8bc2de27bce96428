"""How the events of OpenAI's Responses API become our deltas, whichever of its repeated texts a server sends."""

import itertools
import json
from contextlib import suppress
from dataclasses import fields
from typing import Any, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, TokenLogprob, ToolCallDelta
from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer, ResponsesReader, join_deltas
from tests.support.responses_events import Json, Writing, delta, end, list_texts, make_response, write_stream
from tests.support.upstream.responses import call_item, message_item, reasoning_item, refusal_part, text_part

THOUGHT: Final = reasoning_item(1, "**Looking**", "It is cold.", encrypted="gAAA")
CALL: Final = call_item(2, "call_1", "weather", '{"city": "Oslo"}')
TEXT: Final = message_item(3, text_part("Hello world"))
OPEN_THOUGHT: Final[Json] = {"id": "rs_4", "type": "reasoning", "summary": [], "encrypted_content": None} | {
    "content": [{"type": "reasoning_text", "text": "Let me see."}]
}


def read_all(*events: Json, reader: ResponsesReader | None = None) -> list[Delta]:
    """Returns the deltas of these events, with neighbours joined."""
    reader = reader or ResponsesReader()
    return join_deltas([each for event in events for each in reader.read(json.dumps(event).encode())])


def call_delta(text: Any, place: int | None = 0, **members: Any) -> Json:
    """Returns an event with a delta of the arguments of a call."""
    return delta(text, "function_call_arguments", place, **members)


def added(item: Json, place: int | None = 0) -> Json:
    """Returns the event that begins an item."""
    return {"type": "response.output_item.added", "item": item} | ({} if place is None else {"output_index": place})


def done(item: Json, place: int | None = 0) -> Json:
    """Returns the event that ends an item."""
    return added(item, place) | {"type": "response.output_item.done"}


WHOLE: Final[list[Delta]] = [
    ReasoningDelta(
        "**Looking**\n\nIt is cold.",
        signature='{"id":"rs_1","encrypted_content":"gAAA","parts":[["summary",11],["summary",11]]}',
    ),
    ToolCallDelta("call_1", 0, "weather", '{"city": "Oslo"}'),
    ContentDelta("Hello world"),
]
CALL_DELTA: Final = ToolCallDelta("call_1", 0, "weather", '{"city": "Oslo"}')
EVENTS: Final[dict[str, tuple[list[Json], list[Delta]]]] = {
    "whole-stream": (write_stream([THOUGHT, CALL, TEXT]), WHOLE),
    "one-document": ([make_response("completed", THOUGHT, CALL, TEXT)], WHOLE),
    "the-last-event-alone": ([end("completed", THOUGHT, CALL, TEXT)], WHOLE),
    "deltas-alone": ([delta("Hello"), delta(" world"), end()], [ContentDelta("Hello world")]),
    "deltas-without-labels": ([delta("Hello", place=None), delta("!", place=None), end()], [ContentDelta("Hello!")]),
    "a-null-delta": ([delta("a"), delta(None), delta("b"), end()], [ContentDelta("ab")]),
    "a-rest-at-the-end-of-the-item": ([delta("Hel"), done(TEXT), end()], [ContentDelta("Hello world")]),
    "a-rest-in-the-last-event": ([delta("Hel"), end("completed", TEXT)], [ContentDelta("Hello world")]),
    "empty-ends": (
        [delta("Hello"), {"type": "response.output_text.done", "output_index": 0, "text": ""}, end()],
        [ContentDelta("Hello")],
    ),
    "an-end-of-null": (
        [delta("Hello"), {"type": "response.output_text.done", "output_index": 0, "text": None}, end()],
        [ContentDelta("Hello")],
    ),
    "a-stripped-end": (
        [delta("\n\nHello world "), done(TEXT), end("completed", TEXT)],
        [ContentDelta("\n\nHello world ")],
    ),
    "arguments-written-another-way": (
        [added(CALL | {"arguments": ""}), call_delta('{"city":"Oslo"}'), done(CALL), end()],
        [ToolCallDelta("call_1", 0, "weather", '{"city":"Oslo"}')],
    ),
    "arguments-that-are-an-object": ([done(CALL | {"arguments": {"city": "Oslo"}}), end()], [CALL_DELTA]),
    "arguments-at-the-beginning-alone": ([added(CALL), end()], [CALL_DELTA]),
    "arguments-at-the-beginning-and-as-deltas": ([added(CALL), call_delta('{"city": "Oslo"}'), end()], [CALL_DELTA]),
    "text-at-the-beginning-alone": ([added(TEXT), end()], [ContentDelta("Hello world")]),
    "text-of-a-part-at-its-beginning-alone": (
        [{"type": "response.content_part.added", "output_index": 0, "part": text_part("Hello")}, end()],
        [ContentDelta("Hello")],
    ),
    "the-beginning-of-a-call-repeated": (
        [added(CALL | {"arguments": ""}), added(CALL | {"arguments": ""}), call_delta('{"city": "Oslo"}'), end()],
        [CALL_DELTA],
    ),
    "the-end-of-a-call-repeated": ([done(CALL), done(CALL), end("completed", CALL)], [CALL_DELTA]),
    "the-name-at-the-end-alone": (
        [call_delta('{"city": "Oslo"}', call_id="call_1"), done(CALL), end()],
        [CALL_DELTA],
    ),
    "the-name-with-the-end-of-the-arguments": (
        [
            added({"type": "function_call", "id": "fc_2", "call_id": "call_1"}),
            call_delta('{"city": "Oslo"}'),
            {"type": "response.function_call_arguments.done", "output_index": 0, "name": "weather", "arguments": None},
            end(),
        ],
        [CALL_DELTA],
    ),
    "the-id-of-a-call-at-the-end-alone": (
        [added({"type": "function_call", "name": "weather"}), call_delta('{"city": "Oslo"}'), done(CALL), end()],
        [CALL_DELTA],
    ),
    "an-id-of-the-item-for-a-call": (
        [done({"type": "function_call", "id": "fc_2", "name": "weather", "arguments": "{}"}), end()],
        [ToolCallDelta("fc_2", 0, "weather", "{}")],
    ),
    "calls-within-each-other": (
        [
            added(call_item(0, "c1", "f", "")),
            added(call_item(1, "c2", "g", ""), 1),
            call_delta('{"a"', 0),
            call_delta('{"b"', 1),
            call_delta(":1}", 0),
            call_delta(":2}", 1),
            done(call_item(1, "c2", "g", '{"b":2}'), 1),
            done(call_item(0, "c1", "f", '{"a":1}'), 0),
            end("completed", call_item(0, "c1", "f", '{"a":1}'), call_item(1, "c2", "g", '{"b":2}')),
        ],
        [
            ToolCallDelta("c1", 0, "f", ""),
            ToolCallDelta("c2", 1, "g", ""),
            ToolCallDelta("c1", 0, "", '{"a"'),
            ToolCallDelta("c2", 1, "", '{"b"'),
            ToolCallDelta("c1", 0, "", ":1}"),
            ToolCallDelta("c2", 1, "", ":2}"),
        ],
    ),
    "every-item-at-place-0": (
        [
            done(reasoning_item(1, "hm", encrypted="e")),
            added(call_item(2, "c1", "f", "")),
            call_delta("{}", item_id="fc_2"),
            done(call_item(2, "c1", "f", "{}")),
            added(call_item(3, "c2", "g", "")),
            call_delta("[]", item_id="fc_3"),
            done(call_item(3, "c2", "g", "[]")),
            end("completed", reasoning_item(1, "hm"), call_item(2, "c1", "f", "{}"), call_item(3, "c2", "g", "[]")),
        ],
        [
            ReasoningDelta("hm", signature='{"id":"rs_1","encrypted_content":"e"}'),
            ToolCallDelta("c1", 0, "f", "{}"),
            ToolCallDelta("c2", 1, "g", "[]"),
        ],
    ),
    "another-id-of-the-item-in-each-event": (
        [
            added(call_item(7, "c1", "f", "")),
            call_delta('{"a"', item_id="fc_8"),
            call_delta(":1}", item_id="fc_9"),
            done(call_item(10, "c1", "f", '{"a":1}')),
            end("completed", call_item(11, "c1", "f", '{"a":1}')),
        ],
        [ToolCallDelta("c1", 0, "f", '{"a":1}')],
    ),
    "an-output-without-the-reasoning": (
        [*write_stream([THOUGHT, TEXT])[:-1], end("completed", TEXT)],
        [WHOLE[0], WHOLE[2]],
    ),
    "unknown-events-and-items": (
        [
            {"type": "keepalive", "sequence_number": 3},
            {"type": "codex.rate_limits", "limits": []},
            {"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"},
            added({"type": "web_search_call", "id": "ws_1", "status": "in_progress"}),
            done({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}),
            delta("Hi", place=1),
            {
                "type": "response.output_text.annotation.added",
                "output_index": 1,
                "annotation": {"type": "url_citation"},
            },
            end("completed", {"type": "web_search_call", "id": "ws_1"}, message_item(1, text_part("Hi"))),
        ],
        [ContentDelta("Hi")],
    ),
    "a-refusal": (
        write_stream([message_item(0, refusal_part("I cannot help."))]),
        [ContentDelta("I cannot help.", refusal=True)],
    ),
    "a-refusal-after-text": (
        write_stream([message_item(0, text_part("Well. "), refusal_part("No."))]),
        [ContentDelta("Well. "), ContentDelta("No.", refusal=True)],
    ),
    "messages-with-a-phase": (
        write_stream(
            [
                message_item(0, text_part("Looking."), phase="commentary"),
                message_item(1, text_part("Cold."), phase="final_answer"),
            ]
        ),
        [
            ContentDelta("Looking.", signature='{"phase":"commentary"}'),
            ContentDelta("Cold.", signature='{"phase":"final_answer"}'),
        ],
    ),
    "reasoning-of-an-open-model": (
        write_stream([OPEN_THOUGHT, TEXT]),
        [
            ReasoningDelta("Let me see.", signature='{"id":"rs_4","parts":[["content",11]]}'),
            ContentDelta("Hello world"),
        ],
    ),
    "reasoning-without-a-summary": (
        write_stream([reasoning_item(1, encrypted="e"), TEXT]),
        [ReasoningDelta(signature='{"id":"rs_1","encrypted_content":"e"}'), ContentDelta("Hello world")],
    ),
    "reasoning-that-is-not-kept": (
        write_stream([reasoning_item(1, "hm"), TEXT]),
        [ReasoningDelta("hm"), ContentDelta("Hello world")],
    ),
    "a-summary-repeated-as-content": (  # a LiteLLM proxy does so for providers without this API
        [
            *write_stream([reasoning_item(0, "hm"), message_item(1, text_part("Hello"))])[:-1],
            end(
                "completed",
                {"id": "rs_0", "type": "reasoning", "content": [{"type": "output_text", "text": "hm"}]},
                message_item(1, text_part("Hello")),
            ),
        ],
        [ReasoningDelta("hm"), ContentDelta("Hello")],
    ),
    "a-signature-after-the-text-that-follows": (
        [
            added(reasoning_item(1)),
            delta("hm", "reasoning_summary_text", summary_index=0),
            delta("Hello world", place=1),
            done(reasoning_item(1, "hm", encrypted="late")),
            end(),
        ],
        [ReasoningDelta("hm"), ContentDelta("Hello world")],
    ),
    "reasoning-of-an-open-model-that-ends-after-the-text": (  # llama.cpp does so
        [
            added(OPEN_THOUGHT | {"content": []}),
            delta("Let me see.", "reasoning_text", item_id="rs_4"),
            added(message_item(3), 1),
            delta("Hello world", place=1),
            done(OPEN_THOUGHT),
            done(TEXT, 1),
            end("completed", OPEN_THOUGHT, TEXT),
        ],
        [
            ReasoningDelta("Let me see.", signature='{"id":"rs_4","parts":[["content",11]]}'),
            ContentDelta("Hello world"),
        ],
    ),
    "content-that-is-text": (
        [make_response("completed", message_item(0) | {"content": "Hello"})],
        [ContentDelta("Hello")],
    ),
    "content-of-texts": (
        [make_response("completed", message_item(0) | {"content": ["Hel", "lo"]})],
        [ContentDelta("Hello")],
    ),
    "nulls": (
        [
            {"type": "response.created", "response": None},
            added({"type": "message", "id": None, "content": None}),
            {"type": "response.content_part.added", "output_index": 0, "part": None},
            delta("a", content_index=None, item_id=None, logprobs=None),
            {"type": "response.content_part.done", "output_index": 0, "part": {"type": "output_text", "text": None}},
            done({"type": "message", "id": None, "content": None, "phase": None}),
            done({"type": "reasoning", "id": None, "summary": None, "content": None, "encrypted_content": None}, 1),
            {"type": "response.completed", "response": {"status": None, "output": None, "usage": None}},
        ],
        [ContentDelta("a")],
    ),
    "logprobs-of-deltas": (
        [delta("a", logprobs=[{"token": "a", "logprob": -0.5, "top_logprobs": None}]), end()],
        [ContentDelta("a", (TokenLogprob("a", -0.5),))],
    ),
    "logprobs-of-a-document": (
        [make_response("completed", message_item(0, text_part("a", [{"token": "a", "logprob": -1, "bytes": [97]}])))],
        [ContentDelta("a", (TokenLogprob("a", -1.0, b"a"),))],
    ),
    "half-surrogates": ([delta("a\ud83d"), end()], [ContentDelta("a\ufffd")]),
}


@pytest.mark.parametrize(("events", "expected"), EVENTS.values(), ids=EVENTS.keys())
def test_events_are_read(events: list[Json], expected: list[Delta]) -> None:
    """Each text counts once, in order, and the answer has ended."""
    reader = ResponsesReader()

    assert read_all(*events, reader=reader) == expected
    assert reader.is_ended
    has_calls = any(isinstance(each, ToolCallDelta) for each in expected)
    assert reader.finish_reason is (FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP)
    assert reader.provider_finish_reason == "completed"


@pytest.mark.parametrize(
    ("is_requested", "echo", "signature"),
    [(True, True, '{"id":"rs_1"}'), (True, None, '{"id":"rs_1"}'), (True, False, ""), (False, True, "")],
)
def test_an_id_alone_is_a_signature_where_the_provider_keeps_the_response(
    is_requested: bool, echo: bool | None, signature: str
) -> None:
    """Reasoning without encrypted content can go back only by its id, and only where the response was kept."""
    reader = ResponsesReader(is_stored=is_requested)

    deltas = read_all(make_response("completed", reasoning_item(1, "hm"), store=echo), reader=reader)

    assert deltas == [ReasoningDelta("hm", signature=signature)]


MALFORMED: Final[dict[str, list[Any]]] = {
    "a-delta-of-another-type": [delta({"text": "lost"})],
    "a-delta-that-is-a-list": [delta(["lost"], "reasoning_summary_text")],
    "a-delta-that-is-a-number": [call_delta(7)],
    "a-text-of-another-type": [{"type": "response.output_text.done", "text": ["lost"]}],
    "a-refusal-of-another-type": [{"type": "response.refusal.done", "refusal": {"text": "lost"}}],
    "content-of-another-type": [done(message_item(0) | {"content": {"text": "lost"}})],
    "content-of-numbers": [done(message_item(0) | {"content": [1]})],
    "a-part-of-another-type": [done(message_item(0, {"type": "output_text", "text": {"value": "lost"}}))],
    "a-summary-of-another-type": [done(reasoning_item(0) | {"summary": {"text": "lost"}})],
    "arguments-of-another-type": [done(call_item(0, "c", "f", "") | {"arguments": 7})],
    "an-output-of-another-type": [end("completed", output={"0": TEXT})],
    "an-output-of-texts": [end("completed", output=["lost"])],
    "a-text-that-differs": [delta("Bye"), done(TEXT)],
    "a-text-whose-beginning-was-lost": [delta(" world"), end("completed", TEXT)],
    "a-text-whose-middle-was-lost": [delta("Hello"), delta("ld"), end("completed", TEXT)],
    "a-text-that-came-twice": [delta("Hello world"), delta("Hello world"), end("completed", TEXT)],
    "arguments-that-differ": [added(CALL | {"arguments": ""}), call_delta('{"city": "Rome"}'), done(CALL)],
    "a-beginning-that-is-not-repeated": [added(TEXT), delta(" again"), end()],
    "a-call-without-a-name": [call_delta("{}"), end()],
    "a-call-without-a-name-that-was-cut": [call_delta("{}"), end("incomplete")],
    "a-second-answer": [
        {"type": "response.created", "response": make_response("in_progress")},
        delta("Hel"),
        {"type": "response.created", "response": make_response("in_progress", id="resp_2")},
    ],
    "a-chunk-of-chat-completions": [{"object": "chat.completion.chunk", "choices": [{"delta": {"content": "Hello"}}]}],
    "an-answer-of-chat-completions": [
        {"object": "chat.completion", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    ],
    "an-empty-object": [{}],
    "a-list": [[]],
    "a-text": ["Hello"],
}


@pytest.mark.parametrize("events", MALFORMED.values(), ids=MALFORMED.keys())
def test_text_is_never_lost_in_silence(events: list[Any]) -> None:
    """An answer is malformed where a text of it could not be read, or where one text says two things."""
    with pytest.raises(MalformedAnswer):
        read_all(*events)


ENDS: Final[dict[str, tuple[Json, FinishReason | None, str]]] = {
    "completed": (end(), FinishReason.STOP, "completed"),
    "max_output_tokens": (
        end("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        FinishReason.LENGTH,
        "max_output_tokens",
    ),
    "content_filter": (
        end("incomplete", incomplete_details={"reason": "content_filter"}),
        FinishReason.CONTENT_FILTER,
        "content_filter",
    ),
    "unknown-reason": (end("incomplete", incomplete_details={"reason": "odd"}), FinishReason.OTHER, "odd"),
    "no-reason": (end("incomplete"), FinishReason.OTHER, "incomplete"),
    "null-reason": (end("incomplete", incomplete_details={"reason": None}), FinishReason.OTHER, "incomplete"),
    "no-response": ({"type": "response.completed"}, FinishReason.STOP, "completed"),
    "completed-with-a-response-that-is-cut": (
        end("completed", status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        FinishReason.LENGTH,
        "max_output_tokens",
    ),
    "incomplete-with-a-response-that-is-complete": (
        end("incomplete", status="completed"),
        FinishReason.OTHER,
        "incomplete",
    ),
    "completed-with-a-response-in-progress": (end("completed", status="in_progress"), FinishReason.STOP, "completed"),
    "done": ({"type": "response.done", "response": make_response("completed")}, FinishReason.STOP, "completed"),
    "a-document": (make_response("incomplete", incomplete_details=None), FinishReason.OTHER, "incomplete"),
    "a-document-without-its-object": ({"status": "completed", "output": []}, FinishReason.STOP, "completed"),
    "a-document-in-progress": (make_response("in_progress"), None, ""),
    "a-document-in-a-queue": (make_response("queued"), None, ""),
    "a-document-without-a-status": (make_response("") | {"status": None}, None, ""),
    "an-event-in-a-queue": ({"type": "response.queued", "response": make_response("queued")}, None, ""),
}


@pytest.mark.parametrize(("event", "reason", "word"), ENDS.values(), ids=ENDS.keys())
def test_the_end_is_the_providers(event: Json, reason: FinishReason | None, word: str) -> None:
    """Only an end that the provider sent is one, and its word stays readable beside ours."""
    reader = ResponsesReader()
    read_all(delta("Hello"), event, reader=reader)

    assert (reader.finish_reason, reader.provider_finish_reason) == (reason, word)
    assert reader.is_ended == (reason is not None)


ERROR: Final = {"code": "server_error", "message": "m"}
ERRORS: Final[dict[str, tuple[Json, Any]]] = {
    "failed": (end("failed", error=ERROR), ERROR),
    "failed-without-an-error": (end("failed"), {"code": "server_error"}),
    "failed-with-an-error-beside": ({"type": "response.failed", "error": ERROR}, ERROR),
    "failed-with-a-response-that-is-complete": (end("failed", status="completed"), {"code": "server_error"}),
    "completed-with-a-response-that-failed": (end("completed", status="failed", error=ERROR), ERROR),
    "completed-with-an-error": (end("completed", error=ERROR), ERROR),
    "cancelled": (end("cancelled"), {"code": 500}),
    "a-document-that-failed": (make_response("failed", error=ERROR), ERROR),
    "a-document-that-was-cancelled": (make_response("cancelled"), {"code": 500}),
    "flat": ({"type": "error", **ERROR, "param": None}, {"type": "error", **ERROR, "param": None}),
    "nested": ({"type": "error", "error": ERROR, "sequence_number": 3}, ERROR),
    "without-a-type": ({"error": ERROR}, ERROR),
    "of-an-unknown-event": ({"type": "response.error", "error": ERROR}, ERROR),
}


@pytest.mark.parametrize(("event", "error"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_are_reported(event: Json, error: Any) -> None:
    """An error of the provider is one in every form, and ends the answer without a finish reason."""
    reader = ResponsesReader()
    with pytest.raises(ErrorInAnswer) as raised:
        read_all(delta("Hello"), event, reader=reader)

    assert raised.value.error == error
    assert reader.finish_reason is None


def test_counts_of_the_last_event() -> None:
    """The counts are the provider's, with their parts, also those of an answer that failed."""
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 25},
        "total_tokens": 50,
    }
    for event in (end(usage=usage), end("incomplete", usage=usage), end("failed", usage=usage)):
        reader = ResponsesReader()
        with suppress(ErrorInAnswer):
            read_all(delta("Hello"), event, reader=reader)

        counted = reader.build_usage(1)
        assert (counted.input_tokens, counted.output_tokens, counted.total_tokens) == (20, 30, 50)
        assert (counted.cached_input_tokens, counted.cache_write_tokens, counted.reasoning_tokens) == (8, 4, 25)
        assert counted.source.name == "PROVIDER"


TEXTS: Final = st.text('ab {}"\n\u20ac\U0001f600', min_size=1, max_size=12)
MESSAGES: Final = st.lists(st.tuples(st.booleans(), TEXTS), min_size=1, max_size=2)
SUMMARIES: Final = st.lists(TEXTS, max_size=2)


@st.composite
def answers(draw: st.DrawFn) -> list[Json]:
    """Draws the items of an answer."""
    items: list[Json] = []
    for number in range(draw(st.integers(1, 4))):
        match draw(st.sampled_from(["reasoning", "open", "message", "call"])):
            case "reasoning":
                items.append(reasoning_item(number, *draw(SUMMARIES), encrypted=f"e{number}"))
            case "open":
                items.append(OPEN_THOUGHT | {"id": f"rs_{number}"})
            case "message":
                parts = [refusal_part(text) if declines else text_part(text) for declines, text in draw(MESSAGES)]
                items.append(message_item(number, *parts))
            case _:
                items.append(call_item(number, f"c{number}", f"f{number}", draw(TEXTS)))
    return items


WRITINGS: Final = st.builds(
    Writing,
    delta_length=st.integers(1, 12),
    **{member.name: st.booleans() for member in fields(Writing) if member.name != "delta_length"},
)


@settings(deadline=None)
@given(answers(), WRITINGS)
def test_every_writing_says_the_same(items: list[Json], writing: Writing) -> None:
    """The texts of an answer are those that the provider wrote, in order, whichever events a server sends."""
    assume(writing.is_readable)
    reader = ResponsesReader()

    deltas = read_all(*write_stream(items, writing), reader=reader)

    expected = [(kind, text) for kind, text in list_texts(items) if text]
    assert join_texts(deltas) == join_neighbours(expected)
    assert reader.is_ended


@settings(deadline=None)
@given(answers(), st.data())
def test_a_lost_event_is_noticed(items: list[Json], data: st.DataObject) -> None:
    """Where an event with a delta is lost, a later one has its text, or the answer is malformed. Blanks may be lost."""
    events = write_stream(items, Writing(delta_length=3))
    deltas = [row for row, event in enumerate(events) if event["type"].endswith(".delta")]
    assume(deltas)
    lost = data.draw(st.sampled_from(deltas))

    with suppress(MalformedAnswer):
        read = read_all(*events[:lost], *events[lost + 1 :])
        expected = join_neighbours([each for each in list_texts(items) if each[1]])
        assert remove_blanks(join_texts(read)) == remove_blanks(expected)


def remove_blanks(texts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the texts without blanks, which servers strip in what they repeat; and none that has only blanks."""
    return [(kind, left) for kind, text in texts if (left := "".join(text.split()))]


def join_texts(deltas: list[Delta]) -> list[tuple[str, str]]:
    """Returns the texts of the deltas with their kinds."""
    texts: list[tuple[str, str]] = []
    for each in deltas:
        match each:
            case ReasoningDelta(text=text):
                texts.append(("reasoning", text))
            case ContentDelta(text=text, refusal=refusal):
                texts.append(("refusal" if refusal else "text", text))
            case ToolCallDelta(index=index, arguments=text):
                texts.append((f"call {index}", text))
    return join_neighbours([each for each in texts if each[1]])


def join_neighbours(texts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Returns the texts with neighbours of one kind joined; calls are numbered."""
    numbers = itertools.count()
    named = [(f"call {next(numbers)}" if kind.startswith("f") else kind, text) for kind, text in texts]
    groups = itertools.groupby(named, key=lambda each: each[0])
    return [(kind, "".join(text for _, text in group)) for kind, group in groups]


NAMES: Final = sorted(
    {"type", "response", "item", "item_id", "output_index", "content_index", "summary_index", "delta", "text", "part"}
    | {"output", "content", "summary", "arguments", "call_id", "name", "id", "status", "incomplete_details", "reason"}
    | {"error", "code", "usage", "input_tokens", "output_tokens", "encrypted_content", "logprobs", "refusal", "object"}
)
TYPES: Final = st.sampled_from(
    sorted(
        {event["type"] for event in write_stream([THOUGHT, CALL, TEXT, OPEN_THOUGHT])}
        | {"error", "response.failed", "response.incomplete", "response.done", "message", "reasoning", "function_call"}
    )
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=3) | TYPES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
    max_leaves=12,
)


ODD_EVENTS: Final = st.builds(
    lambda kind, rest: {**rest, "type": kind}, TYPES, st.dictionaries(st.sampled_from(NAMES), VALUES)
)


@settings(deadline=None)
@given(st.lists(ODD_EVENTS | VALUES, max_size=6))
def test_any_json_is_read_or_refused(events: list[Any]) -> None:
    """Any JSON either raises one of our two errors or becomes deltas that fit into a protobuf message."""
    reader = ResponsesReader()
    with suppress(MalformedAnswer, ErrorInAnswer):
        for each in read_all(*events, reader=reader):
            repr(each).encode()
    usage = reader.build_usage(1)
    assert min(usage.input_tokens, usage.output_tokens, usage.total_tokens) >= 0
