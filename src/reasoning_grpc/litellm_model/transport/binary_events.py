"""Amazon's binary event stream, `application/vnd.amazon.eventstream`: its decoder and its encoder.

A message is a prelude (the length of the message, the length of its headers, and a checksum of both), the headers,
the payload, and a checksum of everything before it. Numbers are big-endian, and checksums are CRC-32. A header is
a name, a type and a value. The headers say whether the message is an event, a modelled exception or another error,
and what its name is; the payload of an event is JSON.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Final
from zlib import crc32

from reasoning_grpc.litellm_model.answers import ErrorEvent, MalformedAnswer, NamedEvent, decode_event
from reasoning_grpc.litellm_model.lenient import read_object, read_text
from reasoning_grpc.litellm_model.transport.errors import MalformedStream

_PRELUDE: Final = struct.Struct("!II")
_CHECKSUM: Final = struct.Struct("!I")
_PRELUDE_BYTES: Final = _PRELUDE.size + _CHECKSUM.size
_LEAST_BYTES: Final = _PRELUDE_BYTES + _CHECKSUM.size
_MAX_HEADERS_BYTES: Final = 128 * 1024
_TEXT: Final = 7
_TYPES_WITH_LENGTH: Final = frozenset({6, _TEXT})
"""The types of header whose value has its length, of two bytes, before it."""
_VALUE_BYTES: Final[Mapping[int, int]] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""The length of a header's value for each type whose values all have the same length."""


class BinaryEventDecoder:
    """Takes bytes as the network brings them, and returns each event that is whole, with its name.

    A message that reports an error becomes an `ErrorEvent`. Half a message at the end of the stream is left out:
    whether the answer was whole before it, its finish reason shows.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()
        self._message_bytes = 0
        """The length of the message whose prelude was read; 0 before that."""
        self.failure: MalformedStream | None = None
        """Why nothing more can be read; the events before it were returned."""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the events that these bytes complete, up to a `failure`."""
        self._buffer += data
        events: list[bytes] = []
        try:
            while (message := self._take_message()) is not None:
                events.append(_decode_message(message))
        except MalformedStream as exc:
            self.failure = exc
        return events

    def finish(self, *, drops_half: bool = False) -> list[bytes]:  # noqa: ARG002
        """Returns no events: half a message is not read."""
        return []

    def _take_message(self) -> bytes | None:
        """Removes the next message from the buffer and returns it; None until it is whole. Raises MalformedStream.

        The length is checked as soon as it has arrived, so that no damaged length makes the buffer grow.
        """
        if not self._message_bytes:
            if len(self._buffer) < _PRELUDE_BYTES:
                return None
            self._message_bytes = self._read_length()
        if len(self._buffer) < self._message_bytes:
            return None
        message = bytes(self._buffer[: self._message_bytes])
        del self._buffer[: self._message_bytes]
        self._message_bytes = 0
        _check(message, len(message) - _CHECKSUM.size)
        return message

    def _read_length(self) -> int:
        """Returns the length of the message whose prelude is in the buffer. Raises MalformedStream."""
        _check(self._buffer, _PRELUDE.size)
        length, headers_length = _PRELUDE.unpack_from(self._buffer)
        if length > self._max_event_bytes or headers_length > _MAX_HEADERS_BYTES:
            raise MalformedStream("a message is too long")
        if length < _LEAST_BYTES + headers_length:
            raise MalformedStream("a message is shorter than its headers")
        return int(length)


def encode_binary_event(event: bytes) -> bytes:
    """Returns the message for an event: an object whose only member is the payload, under the event's name."""
    ((name, payload),) = json.loads(event).items()
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(headers, json.dumps(payload).encode())


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Returns a message with these headers, all of which are texts."""
    encoded = b"".join(_encode_header(name, value) for name, value in headers.items())
    prelude = _PRELUDE.pack(_LEAST_BYTES + len(encoded) + len(payload), len(encoded))
    message = prelude + _CHECKSUM.pack(crc32(prelude)) + encoded + payload
    return message + _CHECKSUM.pack(crc32(message))


def _encode_header(name: str, value: str) -> bytes:
    encoded_name, encoded_value = name.encode(), value.encode()
    lengths = struct.pack("!B", len(encoded_name)), struct.pack("!BH", _TEXT, len(encoded_value))
    return lengths[0] + encoded_name + lengths[1] + encoded_value


def _check(data: bytes | bytearray, end: int) -> None:
    """Raises MalformedStream unless the bytes up to `end` have the checksum that follows them."""
    (expected,) = _CHECKSUM.unpack_from(data, end)
    if crc32(memoryview(data)[:end]) != expected:
        raise MalformedStream("a checksum is wrong")


def _decode_message(message: bytes) -> bytes:
    """Returns the event of a whole message. Raises MalformedStream."""
    _, headers_length = _PRELUDE.unpack_from(message)
    headers_end = _PRELUDE_BYTES + headers_length
    headers = dict(_decode_headers(message[_PRELUDE_BYTES:headers_end]))
    payload = message[headers_end : -_CHECKSUM.size]
    match headers.get(":message-type", "event"):
        case "event":
            return _name_event(headers.get(":event-type", ""), payload)
        case "exception":
            return _report_error(headers.get(":exception-type", ""), _find_text(payload))
        case "error":
            return _report_error(headers.get(":error-code", ""), headers.get(":error-message", ""))
        case _:
            raise MalformedStream("a message has an unknown type")


def _name_event(name: str, payload: bytes) -> bytes:
    """Returns an event with its name; the name of an exception makes it an error. Raises MalformedStream."""
    if not name:
        raise MalformedStream("an event has no name")
    if name.lower().endswith("exception"):
        return _report_error(name, _find_text(payload))
    return NamedEvent(payload, name)


def _report_error(name: str, text: str) -> ErrorEvent:
    """Returns the event of an error; its name may stand between the name of its service and an address."""
    code = name.rpartition("#")[2].partition(":")[0]
    return ErrorEvent(json.dumps({"code": code, "message": text}).encode())


def _find_text(payload: bytes) -> str:
    """Returns the message of an exception; a payload that is no JSON object is the message itself."""
    try:
        decoded = decode_event(payload)
    except MalformedAnswer:
        return payload.decode(errors="replace")
    error = read_object(decoded)
    return read_text(error.get("message") or error.get("Message"))


def _decode_headers(data: bytes) -> Iterator[tuple[str, str]]:
    """Yields the headers whose values are texts. Raises MalformedStream."""
    position = 0
    try:
        while position < len(data):
            name, position = _take_text(data, position + 1, data[position])
            kind = data[position]
            position += 1
            if kind in _TYPES_WITH_LENGTH:
                (length,) = struct.unpack_from("!H", data, position)
                position += 2
            else:
                length = _VALUE_BYTES[kind]
            if kind == _TEXT:
                value, position = _take_text(data, position, length)
                yield name, value
            else:
                position += length
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as exc:
        raise MalformedStream("a header cannot be read") from exc
    if position > len(data):
        raise MalformedStream("a header is longer than the headers")


def _take_text(data: bytes, start: int, length: int) -> tuple[str, int]:
    """Returns the text of this length, and where it ends. Raises IndexError where the data is shorter."""
    end = start + length
    if end > len(data):
        raise IndexError(end)
    return data[start:end].decode(), end
