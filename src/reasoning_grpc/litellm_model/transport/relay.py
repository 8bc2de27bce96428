"""The events of an answer as the network brings them, for our own reader, and relayed to litellm's."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.transport.exchange import READ_ERRORS, Exchange
from reasoning_grpc.litellm_model.transport.sse import DONE, EventStreamDecoder, LineDecoder

EVENT_STREAM_TYPES: Final = frozenset({"", "text/event-stream", "text/plain", "application/octet-stream"})
_LINE_TYPES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_BINARY_TYPES: Final = frozenset({"application/vnd.amazon.eventstream"})


async def event_batches(
    exchange: Exchange, decoder: EventStreamDecoder, is_finished: Callable[[], bool]
) -> AsyncGenerator[list[bytes], None]:
    """The events that each network read completes, up to `[DONE]` or the end of the body.

    Once the finish reason is there, the answer is whole: what is still to come, usage
    and the end of the body, is waited for only so long, and may fail.
    """
    done = False
    wait_until: float | None = None
    while True:
        if done or is_finished():
            wait_until = wait_until or asyncio.get_running_loop().time() + exchange.limits.trailer_seconds
            data = await _read_trailer(exchange, wait_until)
        else:
            data = await exchange.read()
        # After the finish reason half an event may be left over: it is nothing of the answer.
        whole = bool(data) or is_finished()
        batch = decoder.feed(data) if whole else decoder.finish()
        if not done and batch:
            done = DONE in batch
            yield batch[: batch.index(DONE)] if done else batch
        if decoder.failure is not None and not done:
            raise decoder.failure
        if not data or (done and exchange.at_end):
            return


async def relayed(exchange: Exchange, observer: Observer) -> AsyncGenerator[bytes, None]:
    """The bytes of a streamed answer for litellm to read: what is whole and well formed, seen by the observer first.

    Raises what `Exchange.read` does, MalformedAnswer, MalformedStream and ErrorInAnswer; the observer is told.
    """
    try:
        async with aclosing(_relayed(exchange, observer)) as pieces:
            async for piece in pieces:
                yield piece
    except Exception:
        observer.has_failed = True
        raise


async def _relayed(exchange: Exchange, observer: Observer) -> AsyncGenerator[bytes, None]:
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
    batches = event_batches(exchange, decoder, lambda: bool(observer.provider_finish_reason))
    async with aclosing(batches):
        async for batch in batches:
            passed, failure = _passed(batch, observer)
            for event in passed:
                yield event + b"\n" if is_lines else b"data: " + event + b"\n\n"
            if failure is not None:
                raise failure


def _passed(batch: list[bytes], observer: Observer) -> tuple[list[bytes], Exception | None]:
    """The events up to one that cannot be read; what came before it is not lost."""
    passed: list[bytes] = []
    try:
        passed.extend(observer.observe_event(event) for event in batch)
    except (MalformedAnswer, ErrorInAnswer) as exc:
        return passed, exc
    return passed, None


async def _read_trailer(exchange: Exchange, wait_until: float) -> bytes:
    try:
        async with asyncio.timeout_at(wait_until):
            return await exchange.read()
    except (TimeoutError, *READ_ERRORS):
        return b""
