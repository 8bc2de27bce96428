"""Decoders of event streams: they convert bytes to the JSON text of each event."""

from typing import Final

from reasoning_grpc.litellm_model.transport.errors import MalformedStream

DONE: Final = b"[DONE]"
"""The event that ends a stream of the OpenAI protocol."""
_IGNORED_FIELDS: Final = (b"event", b"id", b"retry")


class EventStreamDecoder:
    """Takes bytes as the network brings them, and returns the data of each event that is whole.

    Every event of the dialect is one `data:` line. Any line that is neither that, nor a comment, nor another
    field of the standard is an error, because text may have been lost.
    """

    def __init__(self, *, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._rest = b""
        self.failure: MalformedStream | None = None
        """Why nothing more can be read; the events before it were returned."""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the data of the events that these bytes complete, up to a `failure`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = self._decode_lines(lines)
        if len(self._rest) > self._max_event_bytes:
            self.failure = MalformedStream("an event is too long")
        return events

    def finish(self) -> list[bytes]:
        """Returns the data of a last line without a line feed, unless it is a `failure`."""
        last, self._rest = self._rest, b""
        return self._decode_lines([last])

    def _decode_lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        try:
            events.extend(event for line in lines if (event := self._decode_line(line)) is not None)
        except MalformedStream as exc:
            self.failure = exc
        return events

    def _decode_line(self, line: bytes) -> bytes | None:
        """Returns the data in a line; None when it has none. Raises MalformedStream."""
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
    """Decodes a stream whose every line is an event, such as Ollama's."""

    def _decode_line(self, line: bytes) -> bytes | None:
        return line.strip() or None
