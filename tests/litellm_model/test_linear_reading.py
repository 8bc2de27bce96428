"""What arrives in many parts is read once: the work grows with the bytes, not with their square."""

from typing import Final

import pytest

from reasoning_grpc.domain.events import ToolCallDelta
from reasoning_grpc.litellm_model.answers.output_items import FUNCTION_CALL, CallLabels, Member, OutputItem
from reasoning_grpc.litellm_model.answers.tool_calls import ToolCallReader
from reasoning_grpc.litellm_model.transport.binary_events import BinaryEventDecoder, encode_message
from reasoning_grpc.litellm_model.transport.event_batches import EventDecoder
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder, LineDecoder
from tests.support.byte_work import count_bytes_of_work

_PART_BYTES: Final = 512
_PARTS: Final = 512
_BYTES: Final = _PART_BYTES * _PARTS
_MOST_WORK: Final = 64 * _BYTES
"""Several times what is needed, and far less than with all earlier bytes again for each part: 256 times as many."""
_TEXT: Final = b"y" * _BYTES
_HEADERS: Final = {":event-type": "chunk", ":message-type": "event"}
_STREAMS: Final[dict[str, tuple[type[EventDecoder], bytes]]] = {
    "one-line": (EventStreamDecoder, b'data: {"x":"%b"}\n\n' % _TEXT),
    "crlf": (EventStreamDecoder, b'data: {"x":"%b"}\r\n\r\n' % _TEXT),
    "cr": (EventStreamDecoder, b'data: {"x":"%b"}\r\r' % _TEXT),
    "behind-a-byte-order-mark": (EventStreamDecoder, b'\xef\xbb\xbfdata: {"x":"%b"}\n\n' % _TEXT),
    "behind-a-plain-event": (EventStreamDecoder, b'data: 1\n\ndata: {"x":"%b"}\n\n' % _TEXT),
    "named": (EventStreamDecoder, b'event: x\ndata: {"x":"%b"}\n\n' % _TEXT),
    "many-data-lines": (EventStreamDecoder, b'data: {"x":\n' + b"data: [],\n" * (_BYTES // 10) + b"data: 1}\n\n"),
    "names-behind-half-an-event": (
        EventStreamDecoder,
        b'event: a\ndata: {"x":"%b\n' % _TEXT + b"event: b\n" * _PARTS + b'data: "}\n\n',
    ),
    "a-comment": (EventStreamDecoder, b": %b\ndata: 1\n\n" % _TEXT),
    "a-line": (LineDecoder, b'{"x":"%b"}\n' % _TEXT),
    "a-message": (BinaryEventDecoder, encode_message(_HEADERS, _TEXT)),
    "many-messages": (BinaryEventDecoder, encode_message(_HEADERS, b"{}") * (_BYTES // 100)),
}


@pytest.mark.parametrize(("decoder_class", "stream"), _STREAMS.values(), ids=_STREAMS.keys())
def test_a_large_event_is_decoded_once(decoder_class: type[EventDecoder], stream: bytes) -> None:
    """Each read of an event costs what it brings, and not what came before it."""
    decoder = decoder_class(max_event_bytes=2 * _BYTES)
    events: list[bytes] = []

    work = count_bytes_of_work(lambda read: events.extend(decoder.feed(read)), _cut(stream))

    assert decoder.failure is None
    assert events
    assert work < _MOST_WORK


def test_arguments_before_the_name_of_a_call_are_joined_once() -> None:
    """The arguments of a call whose name has not come are held as they are, and returned with the name."""
    reader = ToolCallReader()
    function = {"arguments": "y" * _PART_BYTES}

    work = count_bytes_of_work(reader.read_calls, [[{"index": 0, "function": function}] for _ in range(_PARTS)])
    (delta,) = reader.read_calls([{"index": 0, "function": {"name": "f", "arguments": "z"}}])

    assert (delta.name, delta.arguments) == ("f", _TEXT.decode() + "z")
    assert work < _MOST_WORK


def test_arguments_before_the_name_of_an_item_are_joined_once() -> None:
    """The arguments of an item whose name has not come are held as they are, and returned with the name."""
    item = OutputItem(FUNCTION_CALL, 0, "item", CallLabels())
    texts = map(bytes.decode, _cut(_TEXT))

    work = count_bytes_of_work(lambda text: item.read_delta((Member.ARGUMENTS, 0), text), texts)
    (delta,) = item.name_call({"name": "f", "call_id": "call"})

    assert delta == ToolCallDelta("call", 0, "f", _TEXT.decode())
    assert work < _MOST_WORK


def _cut(stream: bytes) -> list[bytes]:
    return [stream[at : at + _PART_BYTES] for at in range(0, len(stream), _PART_BYTES)]
