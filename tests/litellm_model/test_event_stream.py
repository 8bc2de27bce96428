"""How the bytes of an event stream become its events, wherever the network cuts them."""

import itertools
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.litellm_model.answers import ErrorEvent
from reasoning_grpc.litellm_model.transport.errors import MalformedStream
from reasoning_grpc.litellm_model.transport.sse import DONE, EventStreamDecoder, LineDecoder


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
    "crlf-split-around-nothing": ([b"data: 1\r", b"", b"\n\r", b"", b"\ndata: 2\r\n\r\n"], [b"1", b"2"]),
    "no-space": ([b"data:1\n\n"], [b"1"]),
    "many-spaces": ([b"data:   1  \n\n"], [b"1"]),
    "no-empty-line-between": ([b"data: 1\ndata: 2\n"], [b"1", b"2"]),
    "comments": ([b": keep-alive\n\n:\ndata: 1\n\n: bye\n\n"], [b"1"]),
    "other-fields": ([b"event: delta\nid: 7\nretry: 10\ndata: 1\n\nevent\nid\n"], [b"1"]),
    "no-end-of-line-at-the-end": ([b"data: 1\n\ndata: 2"], [b"1", b"2"]),
    "comment-at-the-end": ([b"data: 1\n\n: by"], [b"1"]),
    "carriage-returns": ([b"data: 1\r\rdata: 2\r\r"], [b"1", b"2"]),
    "carriage-returns-split": ([b"data: 1\r", b"\rdata: 2", b"\r", b"\r"], [b"1", b"2"]),
    "mixed-line-ends": ([b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\n\r"], [b"1", b"2", b"3"]),
    "byte-order-mark": ([b"\xef\xbb\xbfdata: 1\n\n"], [b"1"]),
    "byte-order-mark-split": ([b"\xef", b"\xbb", b"\xbfdata: 1\n\n"], [b"1"]),
    "byte-order-mark-before-a-half-line": ([b"\xef\xbb\xbfdata: 1"], [b"1"]),
    "two-data-lines": ([b'data: {"a":\ndata: 1}\n\ndata: 2\n\n'], [b'{"a":\n 1}', b"2"]),
    "an-empty-data-line-in-an-event": ([b'data: {\ndata:\ndata: "a": 1}\n\n'], [b'{\n\n "a": 1}']),
    "other-fields-in-an-event": ([b"event: a\ndata: [1,\n: c\nid: 7\ndata: 2]\nretry: 1\n\n"], [b"[1,\n 2]"]),
    "an-event-without-data": ([b"event: ping\n\ndata: 1\n\n"], [b"1"]),
    "names-without-empty-lines": ([b"event: a\ndata: 1\nevent: b\ndata: 2\n"], [b"1", b"2"]),
    "a-named-error": ([b"event: error\ndata: 1\n\ndata: 2\n\n"], [ErrorEvent(b"1"), b"2"]),
    "a-named-error-without-empty-lines": (
        [b"event: a\ndata: 1\nevent: a\ndata: 2\nevent: error\ndata: 3"],
        [b"1", b"2", ErrorEvent(b"3")],
    ),
    "a-named-error-without-data": ([b"event: error\n\ndata: 2\n\n"], [ErrorEvent(b""), b"2"]),
    "an-error-in-the-place-of-data": (
        [b'data: 1\n\nerror: {"code":500}\n\n', b"data: 2\nerror: 3"],
        [b"1", ErrorEvent(b'{"code":500}'), b"2", ErrorEvent(b"3")],
    ),
    "a-line-in-many-reads": ([b"data: 1\n\nda", b"ta", b": [", b"", b"2", b"]", b"\n", b"\n"], [b"1", b"[2]"]),
    "a-line-in-many-reads-with-crlf": ([b"data: ", b"1", b"2\r", b"\n\r", b"\ndata: 3\r\n\r\n"], [b"12", b"3"]),
    "a-line-in-many-reads-with-cr": ([b"data: ", b"1", b"2", b"\r", b"\rda", b"ta: ", b"3"], [b"12", b"3"]),
    "split-between-a-line-and-its-empty-line": ([b"data: 1\n\ndata: 2\n", b"\ndata: 3\n\n"], [b"1", b"2", b"3"]),
    "whole-lines-behind-whole-events": ([b"data: 1\n\ndata: 2\ndata: 3\nda", b"ta: 4"], [b"1", b"2", b"3", b"4"]),
    "names-in-half-an-event": (
        [b'event: a\ndata: {"a":\nevent: b\nevent: c\ndata: 1}\n\ndata: 2\ndata: 3\n'],
        [b'{"a":\n 1}', b"2", b"3"],
    ),
    "an-event-that-stays-half": ([b"event: a\ndata: {\nevent: b\n\ndata: 2\ndata: 3\n"], [b"{", b"2", b"3"]),
    "a-line-feed-inside-json": ([b'data: "a\\n"\n\n'], [b'"a\\n"']),
}


@pytest.mark.parametrize(("feeds", "expected"), STREAMS.values(), ids=STREAMS.keys())
def test_data_lines_are_events(feeds: list[bytes], expected: list[bytes]) -> None:
    """The `data:` lines up to an empty line are an event; comments and other fields are not events."""
    events = _decode(feeds)

    assert events == expected
    assert [type(event) for event in events] == [type(event) for event in expected]


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
        [b"data:\ndata:\n\n"],
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


def test_data_lines_over_the_limit_are_an_error() -> None:
    """The limit of an event counts all its data lines."""
    decoder = EventStreamDecoder(max_event_bytes=20)

    assert decoder.feed(b"data: [1,\ndata: 2,\n") == []
    assert decoder.failure is None
    assert decoder.feed(b"data: 3,\n") == []
    assert isinstance(decoder.failure, MalformedStream)


@settings(deadline=None)
@given(
    st.sampled_from([(b"", 0), (b"data: [1,\n", 9), (b"data: [1,\r\n", 9), (b"event: x\r", 0), (b"data: 1\n\n", 0)]),
    st.lists(st.integers(1, 20)),
    st.integers(0, 100),
)
def test_the_limit_is_kept_in_any_split(before: tuple[bytes, int], sizes: list[int], limit: int) -> None:
    """An event fails with the read that brings it over the limit, and not earlier, however many reads bring it."""
    decoder = EventStreamDecoder(max_event_bytes=limit)
    first, held = before
    feeds = [first + b"data: ", *(b"y" * size for size in sizes)]

    for data in feeds:
        assert decoder.failure is None
        decoder.feed(data)
        held += len(data.removeprefix(first))
        if held > limit:
            assert isinstance(decoder.failure, MalformedStream)
            break


def test_events_before_junk_are_kept() -> None:
    """Events that were whole before a malformed line are returned, together with the failure."""
    decoder = EventStreamDecoder(max_event_bytes=100)

    assert decoder.feed(b"data: 1\n\njunk\n\ndata: 2\n\n") == [b"1"]
    assert isinstance(decoder.failure, MalformedStream)


PARTS: Final = st.sampled_from(
    [
        ([b"data: 1"], b"1"),
        ([b"data:{}"], b"{}"),
        ([b"data: \xe2\x82\xac "], b"\xe2\x82\xac"),
        ([b"data: {", b"data:", b'data: "a": 1}'], b'{\n\n "a": 1}'),
        ([b"event: x", b"id: 7", b": c", b"data: [DONE]"], b"[DONE]"),
        ([b"event: error", b"data: 2"], ErrorEvent(b"2")),
        ([b"data: 2", b"event:error"], ErrorEvent(b"2")),
        ([b"retry: 10"], None),
        ([b":"], None),
        ([], None),
    ]
)
"""The lines of an event, and what the decoder returns for it."""
LINE_ENDS: Final = st.sampled_from([b"\n", b"\r", b"\r\n"])
ODD_LINES: Final = st.sampled_from(
    [
        *(b"data: 1", b"data:2", b"data: 3 ", b"data:", b"data:  ", b"data: {", b"data: [DONE]", b"data: [DONE] "),
        *(b"data: " + b"5" * 300, b"data: {\n" + b"event: a\n" * 3 + b'data:"a":1}'),
        *(b"event: error", b"event: ping", b"junk", b'{"error":{"message":"m"}}', b": c", b" data: 4", b"error: 5"),
    ]
)


@settings(deadline=None)
@given(st.lists(ODD_LINES | st.just(b"data: 1")), st.data())
def test_any_split_has_the_same_events_and_failure(lines: list[bytes], data: st.DataObject) -> None:
    """Events of one line, which are read together, are those that are read line by line, up to the same failure."""
    line_end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    fed = [line + line_end * data.draw(st.sampled_from([2, 2, 1, 3])) for line in lines]
    stream = b"".join(fed)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    feeds = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]

    expected = _decode_up_to_failure(stream.splitlines(keepends=True))

    assert _decode_up_to_failure(feeds) == expected
    assert _decode_up_to_failure([stream]) == expected
    assert _decode_up_to_failure([stream[at : at + 1] for at in range(len(stream))]) == expected


def _decode_up_to_failure(feeds: list[bytes]) -> tuple[list[tuple[type, bytes]], str]:
    """Returns the events of a stream, each with its kind, and the failure that ended them; empty for none."""
    decoder = EventStreamDecoder(max_event_bytes=1000)
    events: list[bytes] = []
    for data in feeds:
        if decoder.failure is None:
            events += decoder.feed(data)
    if decoder.failure is None:
        events += decoder.finish()
    return [(type(event), event) for event in events], str(decoder.failure or "")


@settings(deadline=None)
@given(st.lists(PARTS), st.booleans(), st.sampled_from([b"", b"data: last", b": last"]), st.data())
def test_any_split_gives_the_same_events(
    parts: list[tuple[list[bytes], bytes | None]], has_mark: bool, last: bytes, data: st.DataObject
) -> None:
    """The events are those that were written, with any line ends, and wherever the network cuts the stream."""
    stream = b"\xef\xbb\xbf" * has_mark
    line_ends = data.draw(st.sampled_from([LINE_ENDS, st.just(b"\n"), st.just(b"\r\n")]))
    for line in (line for part, _ in parts for line in (*part, b"")):
        end = data.draw(line_ends)
        # A CR and a LF would be one line end where two are meant.
        stream += line + (b"\r\n" if not line and end == b"\n" and stream.endswith(b"\r") else end)
    expected = [event for _, event in parts if event is not None] + [last[6:]] * last.startswith(b"data")
    stream += last
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    feeds = [stream[start:end] for start, end in itertools.pairwise([0, *cuts, len(stream)])]

    for fed in (feeds, [stream], [stream[at : at + 1] for at in range(len(stream))]):
        events = _decode(fed)
        assert [(type(event), event) for event in events] == [(type(event), event) for event in expected]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_each_line_is_an_event_wherever_the_network_cuts_it(size: int) -> None:
    """A line that begins like one of an event stream is an event with all of its bytes."""
    stream = b'{"a":1}\n\n\ndata: {"b":2}\n\ndata: 3\r\n'
    decoder = LineDecoder(max_event_bytes=1000)

    events = [event for at in range(0, len(stream), size) for event in decoder.feed(stream[at : at + size])]

    assert events + decoder.finish() == [b'{"a":1}', b'data: {"b":2}', b"data: 3"]
