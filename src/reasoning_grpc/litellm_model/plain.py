"""The plain path: the answer as litellm reads it, for every provider with a protocol of its own.

litellm's chunks are read like any other answer, but for what litellm may have made up:
the finish reason and the usage are taken only where the upstream sent them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Protocol

from reasoning_grpc.events import Delta
from reasoning_grpc.litellm_model.answers import AnswerReader, joined
from reasoning_grpc.litellm_model.witness import Witness

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

    def __init__(self, stream: Stream, witness: Callable[[], Witness]) -> None:
        """`witness` gives the one of the answer, once litellm has read of it: some requests go out as late as that."""
        self._stream = stream
        self._witness = witness
        self.waited_seconds = 0.0
        """Time spent waiting for litellm, and for the upstream behind it."""

    async def deltas(self, reader: AnswerReader) -> AsyncGenerator[Delta, None]:
        """The answer's deltas; the reader knows finish reason and usage when they end. Raises litellm's exceptions."""
        usage: object = None
        try:
            while (chunk := await self._next_chunk()) is not None:
                answer = chunk.model_dump()
                usage = answer.pop("usage", None) or usage
                for delta in joined(reader.read_answer(_without_inventions(answer))):
                    yield delta
        finally:
            witness = self._witness()
            reader.read_answer({"usage": witness.usage})  # also of an answer that was cut
        word: str | None = witness.finish_word
        if not witness.knows_protocol:
            word = self._stream.received_finish_reason
            reader.read_answer({"usage": usage if self._was_counted() else None})
        reader.read_answer({"choices": [{"finish_reason": word}]})

    async def aclose(self) -> None:
        """Stops litellm's reading."""
        await self._stream.aclose()

    def _was_counted(self) -> bool:
        """Whether the tokens were counted by the upstream, not by litellm."""
        return any(getattr(chunk, "usage", None) is not None for chunk in self._stream.chunks)

    async def _next_chunk(self) -> Any:
        """litellm's next chunk; None at the end."""
        started = asyncio.get_running_loop().time()
        try:
            return await anext(self._stream, None)
        finally:
            self.waited_seconds += asyncio.get_running_loop().time() - started


def _without_inventions(answer: dict[str, Any]) -> dict[str, Any]:
    for choice in answer.get("choices") or ():
        choice.pop("finish_reason", None)
        for call in choice.get("delta", {}).get("tool_calls") or ():
            if call.get("id"):
                call["id"] = call["id"].partition(_SIGNED_ID)[0]
    return answer
