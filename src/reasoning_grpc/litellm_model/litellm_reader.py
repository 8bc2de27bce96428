"""`LiteLLMAnswer`: the answer as litellm reads it, for every provider with a protocol of its own.

litellm's chunks are read like any other answer, without what litellm may have invented: finish reason and
usage count only where the upstream sent them.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Protocol

from reasoning_grpc.domain import FinishReason, read_clock
from reasoning_grpc.domain.events import ContentDelta, Delta, ToolCallDelta
from reasoning_grpc.litellm_model.answers import AnswerReader, MalformedAnswer, join_deltas
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.protocols.openai import OpenAIObserver

_SIGNATURE_MARK: Final = "__thought__"
"""The mark that litellm puts between the id of a Gemini call and its signature, which it also gives beside the id."""


class Stream(Protocol):
    """The part of litellm's `CustomStreamWrapper` that we use."""

    received_finish_reason: str | None
    """None when the upstream did not send one, and with some providers always."""
    chunks: list[Any]
    """The chunks read so far, before litellm adds its own count of tokens at the end."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterates over the chunks."""
        ...

    async def __anext__(self) -> Any:
        """Returns the next chunk, a Pydantic model."""
        ...

    async def aclose(self) -> None:
        """Closes the answer that it reads."""
        ...


class LiteLLMAnswer:
    """One answer that litellm reads."""

    def __init__(self, stream: Stream, find_observer: Callable[[], Observer]) -> None:
        """`find_observer` returns the observer of the answer, which may exist only after litellm's first read.

        litellm sends some requests as late as that.
        """
        self._stream = stream
        self._find_observer = find_observer
        self._usage: object = None
        self._text_length = 0
        self._has_calls = False
        self.waited_seconds = 0.0
        """Time spent waiting for litellm, and for the upstream behind it."""

    async def next_deltas(self, reader: AnswerReader) -> list[Delta] | None:
        """Returns the deltas of litellm's next chunk; None at the end, when the reader knows finish reason and usage.

        Raises MalformedAnswer and litellm's exceptions.
        """
        try:
            chunk = await self._next_chunk()
            deltas = None if chunk is None else self._read_chunk(chunk, reader)
        except BaseException:
            self.record_counts(reader)
            raise
        if deltas is None:
            self.record_counts(reader)
            self._finish(reader)
        return deltas

    def _read_chunk(self, chunk: Any, reader: AnswerReader) -> list[Delta]:
        deltas = join_deltas(reader.read_answer(self._remove_inventions(chunk.model_dump())))
        for delta in deltas:
            self._text_length += len(delta.text) if isinstance(delta, ContentDelta) else 0
            self._has_calls = self._has_calls or isinstance(delta, ToolCallDelta)
        return deltas

    def record_counts(self, reader: AnswerReader) -> None:
        """Records in the reader what the observer has seen the provider count."""
        observer = self._find_observer()
        reader.read_answer({"usage": observer.usage})
        reader.uncounted_bytes = observer.text_length - observer.counted_text_length

    async def aclose(self) -> None:
        """Stops litellm's reading."""
        await self._stream.aclose()

    def _finish(self, reader: AnswerReader) -> None:
        """Gives the reader finish reason and usage: the observer's, or litellm's where nobody observed the end."""
        observer = self._find_observer()
        word: str | None = observer.provider_finish_reason
        if not (observer.knows_protocol and observer.has_events):
            word = self._stream.received_finish_reason
            reader.read_answer({"usage": self._usage if self._has_upstream_usage() else None})
        if self._text_length < observer.text_length:
            raise MalformedAnswer("litellm lost some of the text")
        reader.read_answer({"choices": [{"finish_reason": word}]})
        if reader.finish_reason is FinishReason.TOOL_CALLS and not self._has_calls:
            # litellm makes some models write their JSON as a call of a tool of its own, and returns it as text.
            reader.finish_reason = FinishReason.STOP

    def _has_upstream_usage(self) -> bool:
        """Whether the upstream counted the tokens, not litellm."""
        return any(getattr(chunk, "usage", None) is not None for chunk in self._stream.chunks)

    def _remove_inventions(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Returns litellm's chunk without what the upstream never sent."""
        self._usage = answer.pop("usage", None) or self._usage
        answer.pop("id", None)  # the observer has compared the upstream's ids; litellm gives some chunks new ones
        observer = self._find_observer()
        for choice in answer.get("choices") or ():
            choice.pop("finish_reason", None)
            for call in choice.get("delta", {}).get("tool_calls") or ():
                if not isinstance(observer, OpenAIObserver):
                    call["id"] = (call.get("id") or "").partition(_SIGNATURE_MARK)[0]
                elif not observer.calls_have_index:
                    del call["index"]
        return answer

    async def _next_chunk(self) -> Any:
        """Returns litellm's next chunk; None at the end.

        Raises MalformedAnswer when litellm fails although the answer arrived and its events were well formed.
        """
        started = read_clock()
        try:
            return await anext(self._stream, None)
        except Exception as exc:
            observer = self._find_observer()
            if observer.knows_protocol and observer.has_events and not observer.has_failed:
                raise MalformedAnswer("litellm cannot read the answer") from exc
            raise
        finally:
            self.waited_seconds += read_clock() - started
