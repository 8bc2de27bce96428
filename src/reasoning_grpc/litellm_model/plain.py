"""The plain path: the answer as litellm reads it, for every provider with a protocol of its own.

litellm's chunks are read like any other answer, but for what litellm may have made up:
the finish reason and the usage are taken only where the upstream sent them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Protocol

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta, ToolCallDelta
from reasoning_grpc.litellm_model.answers import AnswerReader, MalformedAnswer, join_deltas
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.protocols.openai import OpenAIObserver

_SIGNED_ID: Final = "__thought__"
"""Between the id of a Gemini call and its signature, which litellm appends to it and gives beside it too."""


class Stream(Protocol):
    """As much as we need of litellm's `CustomStreamWrapper`."""

    received_finish_reason: str | None
    """None when the upstream did not send one, and with some providers always."""
    chunks: list[Any]
    """What was read so far, before litellm adds its own count of tokens at the end."""

    def __aiter__(self) -> AsyncIterator[Any]:
        """The chunks."""
        ...

    async def __anext__(self) -> Any:
        """The next chunk, a Pydantic model."""
        ...

    async def aclose(self) -> None:
        """Closes the answer that it reads."""
        ...


class PlainAnswer:
    """One answer that litellm reads."""

    def __init__(self, stream: Stream, observer: Callable[[], Observer]) -> None:
        """`observer` gives the one of the answer, once litellm has read of it: some requests go out as late as that."""
        self._stream = stream
        self._observer = observer
        self._usage: object = None
        self._text_length = 0
        self._has_calls = False
        self.waited_seconds = 0.0
        """Time spent waiting for litellm, and for the upstream behind it."""

    async def deltas(self, reader: AnswerReader) -> AsyncGenerator[Delta, None]:
        """The answer's deltas; the reader knows finish reason and usage when they end.

        Raises MalformedAnswer and litellm's exceptions.
        """
        try:
            while (chunk := await self._next_chunk()) is not None:
                for delta in join_deltas(reader.read_answer(self._without_inventions(chunk.model_dump()))):
                    self._text_length += len(delta.text) if isinstance(delta, ContentDelta) else 0
                    self._has_calls = self._has_calls or isinstance(delta, ToolCallDelta)
                    yield delta
        finally:
            reader.read_answer({"usage": self._observer().usage})  # also of an answer that was cut
        self._finish(reader)

    async def aclose(self) -> None:
        """Stops litellm's reading."""
        await self._stream.aclose()

    def _finish(self, reader: AnswerReader) -> None:
        observer = self._observer()
        word: str | None = observer.provider_finish_reason
        if not (observer.knows_protocol and observer.has_events):
            word = self._stream.received_finish_reason
            reader.read_answer({"usage": self._usage if self._was_counted() else None})
        if self._text_length < observer.text_length:
            raise MalformedAnswer("litellm lost some of the text")
        reader.read_answer({"choices": [{"finish_reason": word}]})
        if reader.finish_reason is FinishReason.TOOL_CALLS and not self._has_calls:
            # litellm has some models give their JSON to a tool of its own, and gives us the text.
            reader.finish_reason = FinishReason.STOP

    def _was_counted(self) -> bool:
        """Whether the tokens were counted by the upstream, not by litellm."""
        return any(getattr(chunk, "usage", None) is not None for chunk in self._stream.chunks)

    def _without_inventions(self, answer: dict[str, Any]) -> dict[str, Any]:
        """litellm's chunk without what the upstream never sent."""
        self._usage = answer.pop("usage", None) or self._usage
        observer = self._observer()
        for choice in answer.get("choices") or ():
            choice.pop("finish_reason", None)
            for call in choice.get("delta", {}).get("tool_calls") or ():
                if not isinstance(observer, OpenAIObserver):
                    call["id"] = (call.get("id") or "").partition(_SIGNED_ID)[0]
                elif not observer.calls_have_index:
                    del call["index"]
        return answer

    async def _next_chunk(self) -> Any:
        """litellm's next chunk; None at the end. Raises MalformedAnswer where nothing but its content can be wrong."""
        started = asyncio.get_running_loop().time()
        try:
            return await anext(self._stream, None)
        except Exception as exc:
            observer = self._observer()
            if observer.knows_protocol and observer.has_events and not observer.has_failed:
                raise MalformedAnswer("litellm cannot read it") from exc
            raise
        finally:
            self.waited_seconds += asyncio.get_running_loop().time() - started
