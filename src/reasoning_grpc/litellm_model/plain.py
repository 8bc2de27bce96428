"""The plain path: the answer as litellm reads it, for every provider with a protocol of its own.

litellm's chunks are read like any other answer, but for what litellm may have made up:
the finish reason and the usage are taken only where the upstream sent them.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
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

    def __init__(self, stream: Stream, witness: Witness) -> None:
        self._stream = stream
        self._witness = witness
        self.waited_seconds = 0.0
        """Time spent waiting for litellm, and for the upstream behind it."""

    async def deltas(self, reader: AnswerReader) -> AsyncGenerator[Delta, None]:
        """The answer's deltas; the reader knows finish reason and usage when they end. Raises litellm's exceptions."""
        usage: object = None
        while (chunk := await self._next_chunk()) is not None:
            answer = chunk.model_dump()
            usage = answer.pop("usage", None) or usage
            for delta in joined(reader.read_answer(_without_inventions(answer))):
                yield delta
        if self._was_counted():
            reader.read_answer({"choices": [], "usage": usage})
        reader.read_answer({"choices": [{"finish_reason": self._finish_word()}]})

    async def aclose(self) -> None:
        """Stops litellm's reading."""
        await self._stream.aclose()

    def _finish_word(self) -> str:
        if self._witness.knows_protocol:
            return self._witness.finish_word
        return self._stream.received_finish_reason or ""

    def _was_counted(self) -> bool:
        """Whether the tokens were counted by the upstream, not by litellm."""
        if self._witness.knows_protocol:
            return self._witness.counted
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
