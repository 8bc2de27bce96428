"""`OwnAnswer`: reads an answer without litellm, one network read at a time."""

from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.answers import AnswerRecord, MalformedAnswer
from reasoning_grpc.litellm_model.transport.documents import LINE_TYPES, is_document
from reasoning_grpc.litellm_model.transport.event_batches import EVENT_STREAM_TYPES, EventBatches
from reasoning_grpc.litellm_model.transport.exchange import Exchange
from reasoning_grpc.litellm_model.transport.sse import EventStreamDecoder, LineDecoder


class OwnAnswer:
    """One answer; the reader knows its finish reason and usage when it ends."""

    def __init__(self, exchange: Exchange, reader: AnswerRecord) -> None:
        self._exchange = exchange
        self._reader = reader
        self._batches: EventBatches | None = None
        """None before the first read, and of an answer that is one document."""
        self._failure: Exception | None = None
        """Why nothing can be read behind the latest deltas."""
        self._is_document = False

    async def next_deltas(self) -> list[Delta] | None:
        """Returns the deltas of the next network read, perhaps none of them; None at the end of the answer.

        Raises MalformedAnswer, MalformedStream, ErrorInAnswer, and what `Exchange.read` raises.
        """
        if self._failure is not None:
            raise self._failure
        if self._batches is None:
            if self._is_document:
                return None
            self._is_document = await is_document(self._exchange)
            if self._is_document:
                return await self._read_document()
            self._batches = self._open_batches()
        batch = await self._batches.next_batch()
        if batch is None:
            return None
        deltas, self._failure = self._reader.read_batch(batch)
        return self._reader.join(deltas) if len(deltas) > 1 else deltas

    def _open_batches(self) -> EventBatches:
        kind = self._exchange.content_type
        if kind not in EVENT_STREAM_TYPES | LINE_TYPES:
            raise MalformedAnswer("the answer is neither an event stream nor JSON")
        decoder_class = LineDecoder if kind in LINE_TYPES else EventStreamDecoder
        decoder = decoder_class(max_event_bytes=self._exchange.limits.max_event_bytes)
        return EventBatches(self._exchange, decoder, self._reader)

    async def _read_document(self) -> list[Delta]:
        body = await self._exchange.read_whole()
        # Without a byte, it is an empty answer, not a malformed one.
        return self._reader.join(self._reader.read_whole(body)) if body else []
