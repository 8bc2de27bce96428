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

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that these bytes complete. Raises MalformedStream."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._max_event_bytes:
            raise MalformedStream("an event is too long")
        return [event for line in lines if (event := _data(line)) is not None]

    def finish(self) -> list[bytes]:
        """The data of a last line that no line feed ended. Raises MalformedStream."""
        last, self._rest = self._rest, b""
        event = _data(last)
        return [] if event is None else [event]


def _data(line: bytes) -> bytes | None:
    if line.startswith(b"data:"):
        data = line[5:].strip()
        if not data:
            raise MalformedStream("an event is empty")
        return data
    line = line.rstrip(b"\r")
    if not line or line.startswith(b":") or line.partition(b":")[0] in _IGNORED_FIELDS:
        return None
    raise MalformedStream("a line is not of an event stream")
