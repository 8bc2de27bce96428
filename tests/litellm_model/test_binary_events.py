"""How the bytes of Amazon's binary event stream become its events, wherever the network cuts them."""

import itertools
import json
import struct
from typing import Final
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.litellm_model.answers import ErrorEvent, NamedEvent
from reasoning_grpc.litellm_model.transport.binary_events import BinaryEventDecoder, encode_binary_event
from reasoning_grpc.litellm_model.transport.errors import MalformedStream
from tests.support.upstream.bedrock import binary_message, event_message, exception_message

EVENT: Final = event_message("contentBlockDelta", {"delta": {"text": "Grüße"}, "contentBlockIndex": 0})
STREAM: Final = [event_message("messageStart", {"role": "assistant"}), EVENT, event_message("messageStop", {})]


def decode(feeds: list[bytes], max_event_bytes: int = 1000) -> list[bytes]:
    """Returns the events of a stream that arrives in these chunks; raises the failure of the decoder."""
    decoder = BinaryEventDecoder(max_event_bytes=max_event_bytes)
    events = [event for data in feeds for event in decoder.feed(data)] + decoder.finish()
    if decoder.failure is not None:
        raise decoder.failure
    return events


def build_message(headers: bytes, payload: bytes = b"{}", length: int | None = None) -> bytes:
    """Returns a message with these bytes for headers, and right checksums."""
    size = len(headers) + len(payload) + 16 if length is None else length
    prelude = struct.pack("!II", size, len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


@given(cuts=st.lists(st.integers(0, len(b"".join(STREAM)))))
def test_the_network_may_cut_anywhere(cuts: list[int]) -> None:
    """Events are found in whatever chunks they arrive, with their names."""
    stream = b"".join(STREAM)
    edges = [0, *sorted(cuts), len(stream)]

    events = decode([stream[start:end] for start, end in itertools.pairwise(edges)])

    assert [(type(event), getattr(event, "name", "")) for event in events] == [
        (NamedEvent, "messageStart"),
        (NamedEvent, "contentBlockDelta"),
        (NamedEvent, "messageStop"),
    ]
    assert json.loads(events[1]) == {"delta": {"text": "Grüße"}, "contentBlockIndex": 0}


def test_half_a_message_is_left_out() -> None:
    """A stream that is cut at any byte has the events that were whole before."""
    stream = b"".join(STREAM)
    ends = list(itertools.accumulate(map(len, STREAM)))

    for cut in range(len(stream)):
        assert len(decode([stream[:cut]])) == sum(end <= cut for end in ends)


def test_each_damaged_byte_is_noticed() -> None:
    """A message in which any byte is damaged is no event, and the events before it are returned."""
    for position in range(len(EVENT)):
        damaged = bytearray(EVENT)
        damaged[position] ^= 0x10
        decoder = BinaryEventDecoder(max_event_bytes=1000)

        events = decoder.feed(STREAM[0] + bytes(damaged) + STREAM[2])

        assert len(events) == 1
        assert isinstance(decoder.failure, MalformedStream)


HEADERS_OF_EVERY_TYPE: Final = (
    b"\x01a\x00\x01b\x01\x01c\x02\x07\x01d\x03\x00\x07\x01e\x04\x00\x00\x00\x07\x01f\x05" + bytes(8)
) + (b"\x01g\x06\x00\x03abc\x01h\x08" + bytes(8) + b"\x01i\x09" + bytes(16) + b"\x0b:event-type\x07\x00\x04ping")


def test_headers_of_every_type_are_read() -> None:
    """Headers that are no texts are read over; a message without a type is an event."""
    assert decode([build_message(HEADERS_OF_EVERY_TYPE)]) == [b"{}"]


MALFORMED: Final = {
    "too-long": build_message(b"", bytes(2000)),
    "length-before-the-rest": build_message(b"", length=2**31)[:12],
    "headers-longer-than-the-message": struct.pack("!III", 20, 8, crc32(struct.pack("!II", 20, 8))),
    "too-many-headers": struct.pack("!III", 900, 2**20, crc32(struct.pack("!II", 900, 2**20))),
    "no-name": build_message(b""),
    "unknown-type-of-message": binary_message({":message-type": "brand-new"}, b"{}"),
    "unknown-type-of-header": build_message(b"\x01a\x0a"),
    "header-cut-in-its-name": build_message(b"\x09a"),
    "header-without-a-type": build_message(b"\x01a"),
    "header-cut-in-its-length": build_message(b"\x01a\x07\x00"),
    "header-cut-in-its-text": build_message(b"\x01a\x07\x00\x09abc"),
    "header-cut-in-its-number": build_message(b"\x01a\x05\x00"),
    "header-that-is-no-text": build_message(b"\x01a\x07\x00\x01\xff"),
    "sse": b'data: {"messageStart": {}}\n\n',
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_message_is_malformed(message: bytes) -> None:
    """Bytes that are no message end the stream; a wrong length is noticed before the rest of the message has come."""
    with pytest.raises(MalformedStream):
        decode([EVENT, message])


def test_the_buffer_is_bounded() -> None:
    """The decoder keeps no more than one message, which may not be longer than the limit."""
    decoder = BinaryEventDecoder(max_event_bytes=len(EVENT))
    for _ in range(1000):
        assert len(decoder.feed(EVENT)) == 1
    assert decoder.failure is None

    decoder = BinaryEventDecoder(max_event_bytes=len(EVENT) - 1)

    assert decoder.feed(EVENT[:12]) == []
    assert decoder.failure is not None


ERRORS: Final = {
    "exception": (
        exception_message("throttlingException", message="slow down", originalStatusCode=429),
        {"code": "throttlingException", "message": "slow down"},
    ),
    "exception-with-a-namespace": (
        exception_message("com.amazon.coral#ValidationException:http://x", Message="no"),
        {"code": "ValidationException", "message": "no"},
    ),
    "exception-that-is-no-json": (
        binary_message({":message-type": "exception", ":exception-type": "x"}, b"<html>"),
        {"code": "x", "message": "<html>"},
    ),
    "exception-without-anything": (
        binary_message({":message-type": "exception"}, b""),
        {"code": "", "message": ""},
    ),
    "exception-named-as-an-event": (
        event_message("internalServerException", {"message": "oh"}),
        {"code": "internalServerException", "message": "oh"},
    ),
    "error": (
        binary_message({":message-type": "error", ":error-code": "503", ":error-message": "busy"}, b""),
        {"code": "503", "message": "busy"},
    ),
}


@pytest.mark.parametrize(("message", "error"), ERRORS.values(), ids=ERRORS.keys())
def test_errors_are_told_from_events(message: bytes, error: dict[str, str]) -> None:
    """A message that reports an error becomes an error with the name and the text that it has."""
    (event,) = decode([message])

    assert isinstance(event, ErrorEvent)
    assert json.loads(event) == error


@given(name=st.sampled_from(["messageStart", "chunk"]), payload=st.dictionaries(st.text(), st.text()))
def test_amazons_decoder_reads_what_is_encoded(name: str, payload: dict[str, str]) -> None:
    """botocore, with which litellm reads the messages, reads what we write."""
    buffer = EventStreamBuffer()
    buffer.add_data(encode_binary_event(json.dumps({name: payload}).encode()))

    (message,) = buffer

    assert message.headers == {
        ":event-type": name,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert json.loads(message.payload) == payload
