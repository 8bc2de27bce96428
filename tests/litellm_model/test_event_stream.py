"""How the bytes of an event stream become its events, wherever the network cuts them."""

import itertools
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.litellm_model.transport.errors import MalformedStream
from reasoning_grpc.litellm_model.transport.sse import DONE, EventStreamDecoder


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
