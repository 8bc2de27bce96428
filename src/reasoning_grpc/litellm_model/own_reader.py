"""Our own reader: reads an answer without litellm."""

from collections.abc import AsyncGenerator

from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.answers import AnswerRecord, MalformedAnswer
from reasoning_grpc.litellm_model.transport.documents import LINE_TYPES, is_document
from reasoning_grpc.litellm_model.transport.event_batches import EVENT_STREAM_TYPES, EventBatches
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder, LineDecoder


async def read_deltas(exchange: Exchange, reader: AnswerRecord) -> AsyncGenerator[Delta, None]:
    """Yields the deltas of the answer; the reader knows finish reason and usage when they end.

    Raises MalformedAnswer, MalformedStream, ErrorInAnswer, and what `Exchange.read` raises.
    """
    if await is_document(exchange):
        if body := await exchange.read_whole():  # without a byte, it is an empty answer, not a malformed one
            for delta in reader.join(reader.read_whole(body)):
                yield delta
        return
    if exchange.content_type not in EVENT_STREAM_TYPES | LINE_TYPES:
        raise MalformedAnswer("the answer is neither an event stream nor JSON")
    decoder_class = LineDecoder if exchange.content_type in LINE_TYPES else EventStreamDecoder
    decoder = decoder_class(max_event_bytes=exchange.limits.max_event_bytes)
    batches = EventBatches(exchange, decoder, reader)
    while (batch := await batches.next_batch()) is not None:
        deltas, failure = reader.read_batch(batch)
        for delta in reader.join(deltas):
            yield delta
        if failure is not None:
            raise failure
