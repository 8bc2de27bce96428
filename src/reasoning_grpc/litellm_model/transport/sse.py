"""Bytes of an event stream -> the JSON text of its events."""

from typing import Final

_IGNORED_FIELDS: Final = (b"event", b"id", b"retry")
DONE: Final = b"[DONE]"


class MalformedStream(ValueError):
    """The bytes are not an event stream of the OpenAI dialect."""


class EventStreamDecoder:
    """Takes bytes as the network brings them; gives back the data of each event that is whole.

    Every event of the dialect is one `data:` line. A line that is neither that, nor
    a comment, nor another field of the standard is an error: text may have been lost.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self.failure: MalformedStream | None = None
        """Why nothing more can be read; the events before it were given back."""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that these bytes complete, up to a `failure`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = self._events(lines)
        if len(self._rest) > self._max_event_bytes:
            self.failure = MalformedStream("an event is too long")
        return events

    def finish(self) -> list[bytes]:
        """The data of a last line that no line feed ended, unless it is a `failure`."""
        last, self._rest = self._rest, b""
        return self._events([last])

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        try:
            events.extend(event for line in lines if (event := self._data(line)) is not None)
        except MalformedStream as exc:
            self.failure = exc
        return events

    def _data(self, line: bytes) -> bytes | None:
        """The data in a line; None when it has none. Raises MalformedStream."""
        if line.startswith(b"data:"):
            data = line[5:].strip()
            if not data:
                raise MalformedStream("an event is empty")
            return data
        line = line.rstrip(b"\r")
        if not line or line.startswith(b":") or line.partition(b":")[0] in _IGNORED_FIELDS:
            return None
        raise MalformedStream("a line is not of an event stream")


class LineDecoder(EventStreamDecoder):
    """The same for a stream whose every line is an event, such as Ollama's."""

    def _data(self, line: bytes) -> bytes | None:
        return line.strip() or None
