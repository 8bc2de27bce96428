"""Relays a streamed answer to litellm's reader; an observer sees each event first."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, NamedTuple

from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.transport.binary_events import BinaryEventDecoder, encode_binary_event, encode_message
from reasoning_grpc.litellm_model.transport.documents import LINE_TYPES, is_document
from reasoning_grpc.litellm_model.transport.event_batches import EVENT_STREAM_TYPES, EventBatches, EventDecoder
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder, LineDecoder

_BINARY_TYPES: Final = frozenset({"application/vnd.amazon.eventstream"})
_UNKNOWN_TYPES: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})


class _Framing(NamedTuple):
    """How events stand in the bytes of an answer."""

    decoder: type[EventDecoder]
    encode: Callable[[bytes], bytes]
    """Returns the bytes of an event for litellm."""
    opening: bytes = b""
    """The bytes that litellm gets before the first event."""


_EVENT_STREAM: Final = _Framing(EventStreamDecoder, lambda event: b"data: " + event + b"\n\n")
_LINES: Final = _Framing(LineDecoder, lambda event: event + b"\n")
_BINARY: Final = _Framing(
    BinaryEventDecoder,
    encode_binary_event,
    # litellm raises an error of its own for a stream without any event that it knows.
    encode_message({":event-type": "messageStart", ":message-type": "event"}, b""),
)


async def relay_stream(exchange: Exchange, observer: Observer) -> AsyncGenerator[bytes, None]:
    """Yields the bytes of a streamed answer for litellm: events that are whole, and rewritten by the observer.

    Raises what `Exchange.read` raises, MalformedAnswer, MalformedStream and ErrorInAnswer, and marks the observer
    as failed.
    """
    try:
        async with aclosing(_relay(exchange, observer)) as chunks:
            async for chunk in chunks:
                yield chunk
    except Exception:
        observer.has_failed = True
        raise


async def relay_whole(exchange: Exchange, observer: Observer) -> AsyncGenerator[bytes, None]:
    """Yields the body of an answer that litellm reads whole and then presents as a stream."""
    body = await exchange.read_whole()
    if observer.knows_protocol:
        observer.observe_whole(body)
    yield observer.complete_whole(body)


async def _relay(exchange: Exchange, observer: Observer) -> AsyncGenerator[bytes, None]:
    kind = exchange.content_type
    if kind in _BINARY_TYPES and not observer.is_binary:
        while data := await exchange.read():
            yield data
        return
    is_whole = await is_document(exchange)
    framing = _choose_framing(kind, is_whole=is_whole, is_binary=observer.is_binary)
    if framing.opening:
        yield framing.opening
    if is_whole:
        if body := await exchange.read_whole():
            for event in observer.observe_whole(body):
                yield framing.encode(event)
        return
    decoder = framing.decoder(max_event_bytes=exchange.limits.max_event_bytes)
    batches = EventBatches(exchange, decoder, observer)
    while (batch := await batches.next_batch()) is not None:
        events, failure = _observe_batch(batch, observer)
        for event in events:
            yield framing.encode(event)
        if failure is not None:
            raise failure


def _choose_framing(kind: str, *, is_whole: bool, is_binary: bool) -> _Framing:
    """Returns how litellm reads the events of an answer of this MIME type. Raises MalformedAnswer for another type."""
    stream_types = _BINARY_TYPES | _UNKNOWN_TYPES if is_binary else EVENT_STREAM_TYPES | LINE_TYPES
    if not is_whole and kind not in stream_types:
        raise MalformedAnswer("the answer is neither a stream of events nor JSON")
    if is_binary:
        return _BINARY
    return _LINES if kind in LINE_TYPES else _EVENT_STREAM


def _observe_batch(batch: list[bytes], observer: Observer) -> tuple[list[bytes], Exception | None]:
    """Returns the events before the first that cannot be read, so that they are not lost, and why it cannot.

    The events after the end of the answer are not read.
    """
    events: list[bytes] = []
    try:
        for event in batch:
            events += observer.observe_event(event)
            if observer.is_ended:
                break
    except (MalformedAnswer, ErrorInAnswer) as exc:
        return events, exc
    return events, None
