"""`Http2Connection`: sends gRPC calls over one connection, for some ten microseconds of CPU time each.

A client library takes as long for a call as a server does, so a generator of five times the load would be busier than
the server, and would measure itself. This one builds the bytes of a call from a template, and looks in the answer only
for what the benchmark counts.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_LARGEST_WINDOW: Final = 2**31 - 1
_FIRST_WINDOW: Final = 65535
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM: Final = 1
_ACK: Final = 1
_END_HEADERS: Final = 4
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4
_CANCEL: Final = (8).to_bytes(4)
_STATUS, _MESSAGE = b"\x0bgrpc-status", b"\x0cgrpc-message"  # each with its length
_LONG_TEXT: Final = 127
_PUSHBACK: Final = b"grpc-retry-pushback-ms"


@dataclass(slots=True)
class Http2Call:
    """One call, and what became of it."""

    due_time: float
    """The time of the loop at which the call should have been sent."""
    sent_time: float
    first_token_time: float = 0.0
    """When the message after the first one began to arrive; 0: not yet."""
    end_time: float = 0.0
    """When the call has ended; 0: it is in progress."""
    status: int = -1
    """The number of the gRPC status; -1: the call ended without one."""
    has_pushback: bool = False
    """Whether the status has a delay after which the call may be sent again."""
    message: str = ""
    """The text of the status."""
    first_bytes: int = 0
    """The length of the first message."""
    received_bytes: int = 0


def encode_call(path: str, authority: str, headers: tuple[tuple[str, str], ...], message: bytes) -> bytes:
    """Returns the frames of a call, of stream 0: its headers, and its only message."""
    block = b"\x83\x86" + b"".join(  # POST and http, from HPACK's static table
        [b"\x04", _encode_text(path), b"\x01", _encode_text(authority)]
        + [b"\x00" + _encode_text(name) + _encode_text(value) for name, value in headers]
    )
    framed = b"\x00" + len(message).to_bytes(4) + message
    return _frame(_HEADERS, _END_HEADERS, 0, block) + _frame(_DATA, _END_STREAM, 0, framed)


class Http2Connection(asyncio.Protocol):
    """A connection, on which calls made by `encode_call` are sent."""

    def __init__(self, frames: bytes, on_end: Callable[[Http2Call], None]) -> None:
        head_bytes = 9 + int.from_bytes(frames[:3])
        self._head, self._body = frames[:5], frames[9:head_bytes] + frames[head_bytes : head_bytes + 5]
        self._message = frames[head_bytes + 9 :]
        self._on_end = on_end
        self._calls: dict[int, Http2Call] = {}
        self._next_stream = 1
        self._window = _FIRST_WINDOW
        """The bytes of messages that the server accepts now."""
        self._blocked: deque[Http2Call] = deque()
        self._kept = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens the connection so that the server may send without limit, and compresses no header."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = ((_HEADER_TABLE_SIZE, 0), (_INITIAL_WINDOW_SIZE, _LARGEST_WINDOW))
        values = b"".join(number.to_bytes(2) + value.to_bytes(4) for number, value in settings)
        increment = (_LARGEST_WINDOW - _FIRST_WINDOW).to_bytes(4)
        transport.write(_PREFACE + _frame(_SETTINGS, 0, 0, values) + _frame(_WINDOW_UPDATE, 0, 0, increment))

    def send(self, call: Http2Call) -> None:
        """Sends a call, or keeps it until the server accepts its message."""
        assert self._transport is not None
        if self._window < len(self._message):
            self._blocked.append(call)
            return
        self._window -= len(self._message)
        stream = self._next_stream.to_bytes(4)
        self._calls[self._next_stream] = call
        self._next_stream += 2
        self._transport.write(b"".join((self._head, stream, self._body, stream, self._message)))

    def cancel_before(self, due_time: float) -> None:
        """Cancels the calls that were due before this time: their deadline is over."""
        assert self._transport is not None
        now = asyncio.get_running_loop().time()
        while self._blocked and self._blocked[0].due_time < due_time:
            self._end(self._blocked.popleft(), now)
        while self._calls:
            stream, call = next(iter(self._calls.items()))
            if call.due_time >= due_time:
                return
            del self._calls[stream]
            self._transport.write(_frame(_RST_STREAM, 0, stream, _CANCEL))
            self._end(call, now)

    def close(self) -> None:
        """Closes the connection."""
        assert self._transport is not None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Reads the frames that are complete."""
        now = asyncio.get_running_loop().time()
        data, at = self._kept + data, 0
        while len(data) >= at + 9 and len(data) >= (end := at + 9 + int.from_bytes(data[at : at + 3])):
            self._read_frame(data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9]), data[at + 9 : end], now)
            at = end
        self._kept = data[at:]

    def connection_lost(self, _: Exception | None) -> None:
        """Ends the calls that are left without a status."""
        calls = [*self._calls.values(), *self._blocked]
        self._calls.clear()
        self._blocked.clear()
        for call in calls:
            self._end(call, asyncio.get_running_loop().time())

    def _read_frame(self, kind: int, flags: int, stream: int, payload: bytes, now: float) -> None:
        assert self._transport is not None
        if kind == _DATA:
            if (call := self._calls.get(stream)) is not None:
                _read_message(call, payload, now)
        elif kind == _HEADERS:
            if flags & _END_STREAM and (call := self._calls.pop(stream, None)) is not None:
                call.status, call.has_pushback = int(_find_value(payload, _STATUS) or -1), _PUSHBACK in payload
                call.message = _find_value(payload, _MESSAGE)
                self._end(call, now)
        elif kind == _RST_STREAM:
            if (call := self._calls.pop(stream, None)) is not None:
                self._end(call, now)
        elif kind in (_SETTINGS, _PING):
            if not flags & _ACK:
                self._transport.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _WINDOW_UPDATE:
            if not stream:
                self._window += int.from_bytes(payload)
                while self._blocked and self._window >= len(self._message):
                    self.send(self._blocked.popleft())
        elif kind == _GOAWAY:
            self._transport.close()

    def _end(self, call: Http2Call, now: float) -> None:
        call.end_time = now
        self._on_end(call)


def _read_message(call: Http2Call, payload: bytes, now: float) -> None:
    """Counts the bytes of messages. Those after the first one are of the answer: the first event says how it begins."""
    if not call.received_bytes:
        call.first_bytes = 5 + int.from_bytes(payload[1:5])
    call.received_bytes += len(payload)
    if not call.first_token_time and call.received_bytes > call.first_bytes:
        call.first_token_time = now


def _find_value(block: bytes, name: bytes) -> str:
    """Returns the value of a trailer; empty without it. Trailers are not compressed, because the table has no room."""
    at = block.find(name)
    if at < 0:
        return ""
    at += len(name)
    length = block[at]
    if length == _LONG_TEXT:  # the rest of the length follows, which is below 128 here
        at += 1
        length += block[at]
    return block[at + 1 : at + 1 + length].decode()


def _encode_text(text: str) -> bytes:
    data = text.encode()
    if len(data) >= _LONG_TEXT:
        raise ValueError(f"{text} is longer than one byte can say")
    return bytes((len(data),)) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload
