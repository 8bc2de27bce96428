"""Our reader of Anthropic's Messages API: few messages, and the same meaning however events are decoded and grouped."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, ToolCallDelta
from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer, MessagesReader, join_deltas
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder
from tests.support.factories import a_wire_request
from tests.support.native_events import (
    START,
    STOP,
    Json,
    anthropic_stream,
    block,
    finish_event,
    text_block,
)
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

SUPPORT: Final = Path(__file__).parents[1] / "support"
STREAMS: Final = [
    path
    for pattern in ("recorded_anthropic/*.sse", "families/anthropic-*/*.sse", "promised/anthropic/*.sse")
    for path in sorted(SUPPORT.glob(pattern))
]
EVERY_STREAM: Final = pytest.mark.parametrize("path", STREAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
TOOL: Final[Json] = {"type": "tool_use", "id": "t1", "name": "json_tool_call", "input": {}}


def read_events(path: Path) -> list[bytes]:
    """Returns the events of a recording."""
    decoder = EventStreamDecoder(max_event_bytes=2**20)
    return decoder.feed(path.read_bytes()) + decoder.finish()


def read_one_by_one(events: list[bytes]) -> list[Any]:
    """Returns all that a reader says of these events, or of those before one that it cannot read."""
    reader = MessagesReader()
    deltas: list[Delta] = []
    failure = ""
    try:
        for event in events:
            if not reader.is_ended:
                deltas += reader.read(event)
    except (MalformedAnswer, ErrorInAnswer) as exc:
        failure = type(exc).__name__
    return describe(reader, deltas, failure)


def describe(reader: MessagesReader, deltas: list[Delta], failure: str) -> list[Any]:
    """Returns what a reader knows at the end, and the deltas, in a form that is equal for two readers."""
    ended = (reader.finish_reason, reader.provider_finish_reason, reader.is_finished, reader.is_ended)
    return [*ended, reader.has_answer, failure, reader.build_usage(1), *map(remove_own_id, join_deltas(deltas))]


def remove_own_id(delta: Delta) -> Any:
    """Returns a delta without the id of a call that we made."""
    is_own = isinstance(delta, ToolCallDelta) and delta.call_id.startswith("call_") and len(delta.call_id) > 20
    return (delta.index, delta.name, delta.arguments) if is_own and isinstance(delta, ToolCallDelta) else delta


def encode(*events: Json) -> list[bytes]:
    """Returns the data of these events."""
    return [json.dumps(event).encode() for event in events]


@EVERY_STREAM
def test_both_ways_of_decoding_agree(path: Path) -> None:
    """A delta that must be read member by member means the same as one that has all types right."""
    events = read_events(path)

    # An error that is false is none, and does not fit the type.
    start = b'{"type":"content_block_delta"'
    members = [event.replace(start, start + b',"error":false') if start in event else event for event in events]

    assert read_one_by_one(members) == read_one_by_one(events)


@EVERY_STREAM
def test_events_mean_the_same_together_and_apart(path: Path) -> None:
    """A reader says the same of events that one network read brought and of the same events one by one."""
    events, reader = read_events(path), MessagesReader()

    deltas, failure = reader.read_batch(events)

    together = describe(reader, deltas, "" if failure is None else type(failure).__name__)
    assert together == read_one_by_one(events)


def test_what_precedes_a_broken_event_is_not_lost() -> None:
    """The text before an event that cannot be read is returned, with the failure."""
    broken = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"c","x":"\xff"}}'
    events = [*encode(START, *text_block(0, "a", "b"))[:-1], broken]
    reader = MessagesReader()

    deltas, failure = reader.read_batch(events)

    assert join_deltas(deltas) == [ContentDelta("ab")]
    assert isinstance(failure, MalformedAnswer)


def test_a_delta_without_the_type_of_its_event_is_refused() -> None:
    """An event that has the members of a delta, but no type, is malformed however its neighbours are decoded."""
    (delta,) = encode({"index": 0, "delta": {"type": "text_delta", "text": "b"}})
    start = encode(START, {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}})
    reader = MessagesReader()

    deltas, failure = reader.read_batch([*start, delta])

    assert deltas == [ContentDelta("a")]
    assert isinstance(failure, MalformedAnswer)


def test_the_type_of_a_delta_says_which_member_counts() -> None:
    """A delta with the members of two types is read by its own type, also where the event has any other member."""
    delta = {"type": "thinking_delta", "thinking": "hm", "partial_json": "{}"}
    event = {"type": "content_block_delta", "index": 0, "delta": delta}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}

    others: list[Json] = [{}, {"error": {}}]
    for other in others:
        deltas, failure = MessagesReader().read_batch(encode(START, start, event | other))

        assert deltas == [ReasoningDelta("hm")]
        assert failure is None


def test_text_of_hidden_blocks_is_left_out() -> None:
    """Whatever the deltas of the provider's own tools have, none of it is text or arguments of the answer."""
    search = block(
        0,
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        *({"type": "text_delta", "text": text} for text in "abc"),
        {"type": "input_json_delta", "partial_json": "{}"},
    )
    reader = MessagesReader()

    deltas, failure = reader.read_batch(encode(*anthropic_stream(search, text_block(1, "d"))))

    assert (deltas, failure) == ([ContentDelta("d")], None)


@pytest.mark.parametrize("word", ["tool_use", "end_turn"])
def test_an_answer_by_a_tool_is_a_text(word: str) -> None:
    """The arguments of the tool by which a model answers are the text of the answer, which ends like a text."""
    deltas = ({"type": "input_json_delta", "partial_json": text} for text in ("", '{"x"', ": 1}"))
    events = encode(*anthropic_stream(block(0, TOOL, *deltas), finish_event(word), STOP))
    reader = MessagesReader(answers_by_tool=True)

    read, failure = reader.read_batch(events)

    assert (join_deltas(read), failure) == ([ContentDelta('{"x": 1}')], None)
    assert (reader.finish_reason, reader.provider_finish_reason) == (FinishReason.STOP, word)


def test_a_word_for_calls_without_any_call_ends_a_text() -> None:
    """A message that is said to end with calls, and has none for the caller, ends like a text."""
    reader = MessagesReader()

    reader.read_batch(encode(*anthropic_stream(text_block(0, "a"), finish_event("tool_use"), STOP)))

    assert (reader.finish_reason, reader.provider_finish_reason) == (FinishReason.STOP, "tool_use")


def test_reasoning_that_comes_after_the_counts_is_estimated() -> None:
    """When a message is cut, output after its last counts is uncounted, reasoning and calls included."""
    reader = MessagesReader()
    thinking = block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"})
    call = block(1, {**TOOL, "name": "f"}, {"type": "input_json_delta", "partial_json": '{"a":1}'})

    deltas, _ = reader.read_batch(encode(*anthropic_stream(thinking, finish_event(None, output_tokens=1), call)))

    assert ReasoningDelta("hm") in deltas
    assert reader.uncounted_bytes == len("f") + len('{"a":1}')


# fmt: off
NAMES: Final = st.sampled_from([
    "type", "text", "thinking", "signature", "partial_json", "id", "name", "input", "data", "stop_reason", "usage",
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation", "error", "content", "index",
])
# fmt: on
SCALARS: Final = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=["Cs", "L"]))
)
VALUES: Final = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
OBJECTS: Final = st.dictionaries(NAMES, VALUES, max_size=3)
INDICES: Final = st.integers(0, 2) | st.none()
BLOCKS: Final = st.builds(
    lambda kind, members: {"id": "t", "name": "f", "input": {}, **members, "type": kind},
    st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "brand_new"]),
    st.just({}) | OBJECTS,
)
DELTAS: Final = st.sampled_from(
    [
        {"type": "text_delta", "text": "a"},
        {"type": "text_delta", "text": ""},
        {"type": "thinking_delta", "thinking": "b"},
        {"type": "signature_delta", "signature": "c"},
        {"type": "input_json_delta", "partial_json": "{}"},
    ]
)
EVENTS: Final = st.one_of(
    st.builds(lambda i, block: {"type": "content_block_start", "index": i, "content_block": block}, INDICES, BLOCKS),
    st.builds(lambda i, delta: {"type": "content_block_delta", "index": i, "delta": delta}, INDICES, DELTAS | VALUES),
    st.builds(lambda i: {"type": "content_block_stop", "index": i}, INDICES),
    st.builds(lambda delta, usage: {"type": "message_delta", "delta": delta, "usage": usage}, OBJECTS, VALUES),
    st.builds(lambda message: {"type": "message_start", "message": message}, OBJECTS),
    st.just(STOP),
    OBJECTS,
    VALUES,
)


@given(st.lists(EVENTS, max_size=12))
def test_any_events_are_read_or_refused(events: list[Any]) -> None:
    """Any events raise one of our two errors, or become deltas that fit into a message, in one batch or in many."""
    encoded = encode(START, *events)
    reader = MessagesReader()

    deltas, failure = reader.read_batch(encoded)

    together = describe(reader, deltas, "" if failure is None else type(failure).__name__)
    assert repr(together) == repr(read_one_by_one(encoded))
    for text in (value for delta in deltas for value in astuple(delta) if isinstance(value, str)):
        text.encode()


@pytest.mark.parametrize("together", [True, False], ids=["in-one-write", "in-many-writes"])
async def test_text_of_one_network_read_leaves_in_one_message(
    upstream: FakeUpstream, native_server: RunningServer, together: bool
) -> None:
    """Deltas that arrive in one network read leave as one message, thoughts and text apart."""
    upstream.reply("a", "b", "c", reasoning=("x", "y"), together=together)

    events = [event async for event in native_server.client().stream(a_wire_request("hi", model="anthropic"))]

    texts = [event.content_delta.text for event in events if event.HasField("content_delta")]
    assert "".join(texts) == "abc"
    assert not together or texts == ["abc"]
