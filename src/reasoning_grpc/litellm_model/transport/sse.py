"""Decoders of server-sent events: they convert bytes to the data of each event, as the standard says."""

from typing import Final

from reasoning_grpc.litellm_model.answers import ErrorEvent, MalformedAnswer, decode_event, find_error
from reasoning_grpc.litellm_model.transport.errors import MalformedStream

DONE: Final = b"[DONE]"
"""The event that ends a stream of the OpenAI protocol."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_IGNORED_FIELDS: Final = (b"id", b"retry")
_KEEP_ALIVE_NAMES: Final = (b"ping", b"keepalive", b"keep-alive", b"heartbeat")
"""Names, in lower case, of events without content."""


class EventStreamDecoder:
    """Takes bytes as the network brings them, and returns the data of each event that is whole.

    A line ends with LF, CR or CRLF, and an empty line ends an event, whose `data:` lines are joined. Two deviations
    from the standard keep text from being lost in silence: the last event needs no empty line, and what the standard
    ignores, a line without a known field and an event with empty data, is an error. Beyond the standard, an
    error may be a line of JSON of its own, and events named `ping` are left out.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest: bytes | bytearray = b""
        """The beginning of a line whose end has not arrived; a bytearray when several reads have brought it."""
        self._has_begun = False
        self._is_after_return = False
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._is_half = False
        """Whether the only data line so far was found to be no whole event."""
        self._name = b""
        self.failure: MalformedStream | None = None
        """Why nothing more can be read; the events before it were returned."""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the data of the events that these bytes complete, up to a `failure`."""
        if self._rest:
            if b"\n" not in data and b"\r" not in data:
                self._add_to_rest(data)
                return []
            data = b"".join((self._rest, data))
        if events := self._take_plain_events(data):
            return events
        *lines, self._rest = self._convert_line_ends(data).split(b"\n")
        if lines and not self._has_begun:
            self._has_begun = True
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        events = self._decode_lines(lines)
        self._check_length()
        return events

    def _add_to_rest(self, data: bytes) -> None:
        """Adds bytes without a line end to a line that has begun; the bytes before them are not read again."""
        if isinstance(self._rest, bytes):
            self._rest = bytearray(self._rest)
        self._rest += data
        self._check_length()

    def _check_length(self) -> None:
        if len(self._rest) + self._data_bytes > self._max_event_bytes:
            self.failure = MalformedStream("an event is too long")

    def _take_plain_events(self, block: bytes) -> list[bytes]:
        """Returns the events where each is one data line and an empty line, as most servers write them.

        Returns nothing, and takes nothing, where any of the events is written otherwise, or the bytes behind them have
        a line end. The block begins with what was left over.
        """
        if self._data or self._name or self._is_after_return or not block.startswith(b"data:"):
            return []
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        end = block.rfind(b"\n\n")
        if end < 0 or b"\r" in block:
            return []
        mark = b"data: " if block.startswith(b"data: ") else b"data:"
        events = list(map(bytes.strip, block[len(mark) : end].split(b"\n\n" + mark)))
        rest = block[end + 2 :]
        is_plain = block.count(b"\n") == 2 * len(events) and all(events)
        if not is_plain or len(rest) > self._max_event_bytes:
            return []
        self._rest, self._has_begun = rest, True
        return events

    def finish(self, *, drops_half: bool = False) -> list[bytes]:
        """Returns the data of a last event without a line end or an empty line, unless it is a `failure`.

        `drops_half` says that half an event is no failure, and left out.
        """
        last, self._rest = bytes(self._rest), b""
        events = self._decode_lines([last if self._has_begun else last.removeprefix(_BYTE_ORDER_MARK), b""])
        if drops_half:
            self.failure = None
            events = [event for event in events if _is_whole(event)]
        return events

    def _convert_line_ends(self, data: bytes) -> bytes:
        """Returns the bytes with LF as the only line end; a CRLF may be split between two calls.

        After a CR, no bytes are left over, so a LF that belongs to it comes first.
        """
        if self._is_after_return and data:
            data = data.removeprefix(b"\n")
            self._is_after_return = False
        if b"\r" in data:
            self._is_after_return = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _decode_lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        try:
            for line in lines:
                # Most lines are the one data line of an event, or the empty line after it.
                if not line:
                    if self._data or self._name:
                        self._end_event(events)
                elif line.startswith(b"data:"):
                    if self._has_whole_line():
                        self._end_event(events)  # some servers leave out the empty line
                    self._data.append(line[5:])
                    self._data_bytes += len(line)
                else:
                    self._decode_field(line, events)
        except MalformedStream as exc:
            self.failure = exc
        return events

    def _decode_field(self, line: bytes, events: list[bytes]) -> None:
        """Reads a line that is neither data nor empty. Raises MalformedStream."""
        field, _, value = line.partition(b":")
        if field == b"event":
            if self._name and self._has_whole_line():
                self._end_event(events)
            self._name = value.strip()
        elif line.startswith(b"{") and reports_error(line):
            events.append(line)
        elif field == b"error":  # servers of llama.cpp have written the event's name in the place of `data`
            if self._has_whole_line():
                self._end_event(events)
            self._name = field
            self._data.append(value)
            self._data_bytes += len(line)
        elif field and field not in _IGNORED_FIELDS:
            raise MalformedStream("a line is not of an event stream")

    def _has_whole_line(self) -> bool:
        """Whether the only data line so far is a whole event, so that another line begins a new event.

        Servers that leave out the empty line write each event in one line. The line is decoded once, however many
        lines without data follow it.
        """
        if len(self._data) != 1 or self._is_half:
            return False
        self._is_half = not _is_whole(self._data[0])
        return not self._is_half

    def _end_event(self, events: list[bytes]) -> None:
        """Adds the event whose lines were read. Raises MalformedStream for one whose data is empty."""
        name, has_data = self._name.lower(), bool(self._data)
        data = (self._data[0] if len(self._data) == 1 else b"\n".join(self._data)).strip()
        self._data.clear()
        self._data_bytes, self._is_half, self._name = 0, False, b""
        if name == b"error":
            events.append(ErrorEvent(data))
        elif name in _KEEP_ALIVE_NAMES:
            pass
        elif data:
            events.append(data)
        elif has_data:
            raise MalformedStream("an event is empty")


class LineDecoder(EventStreamDecoder):
    """Decodes a stream whose every line is an event, such as Ollama's."""

    def _take_plain_events(self, data: bytes) -> list[bytes]:  # noqa: ARG002
        """Takes nothing: a line that begins with `data:` is an event with these bytes."""
        return []

    def _decode_lines(self, lines: list[bytes]) -> list[bytes]:
        return [event for line in lines if (event := line.strip())]


def reports_error(line: bytes) -> bool:
    """Returns whether a line is a JSON object that reports an error."""
    try:
        decoded = decode_event(line)
    except MalformedAnswer:
        return False
    return isinstance(decoded, dict) and find_error(decoded) is not None


def _is_whole(line: bytes) -> bool:
    """Whether a data line is a whole event."""
    try:
        return line.strip() == DONE or decode_event(line) is not None
    except MalformedAnswer:
        return False
