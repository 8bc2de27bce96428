"""Relays a streamed answer to litellm's reader; an observer sees each event first."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.transport.event_batches import EVENT_STREAM_TYPES, event_batches
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder, LineDecoder

_LINE_TYPES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_BINARY_TYPES: Final = frozenset({"application/vnd.amazon.eventstream"})


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
    if kind in _BINARY_TYPES:
        while data := await exchange.read():
            yield data
        return
    if kind == "application/json":
        if body := await exchange.read_whole():
            for event in observer.observe_whole(body):
                yield b"data: " + event + b"\n\n"
        return
    if kind not in EVENT_STREAM_TYPES | _LINE_TYPES:
        raise MalformedAnswer("the answer is neither a stream of events nor JSON")
    is_lines = kind in _LINE_TYPES
    decoder = (LineDecoder if is_lines else EventStreamDecoder)(max_event_bytes=exchange.limits.max_event_bytes)
    batches = event_batches(exchange, decoder, observer)
    async with aclosing(batches):
        async for batch in batches:
            events, failure = _observe_batch(batch, observer)
            for event in events:
                yield event + b"\n" if is_lines else b"data: " + event + b"\n\n"
            if failure is not None:
                raise failure


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
