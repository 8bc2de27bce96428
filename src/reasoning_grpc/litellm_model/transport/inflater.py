"""`Inflater`: decompresses in bounded chunks what upstreams compress although we ask them not to."""

import zlib
from typing import Final

from reasoning_grpc.litellm_model.transport.errors import AnswerTooLarge

_CHUNK_BYTES: Final = 1024 * 1024


class Inflater:
    """Decompresses one answer, gzip or deflate, chunk by chunk, so that a small answer cannot fill the memory."""

    def __init__(self, encoding: str) -> None:
        self._is_known = encoding in {"gzip", "deflate"}
        self._decompressor = zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
        self._compressed = b""

    def feed(self, data: bytes) -> None:
        """Takes more compressed bytes, once `next_chunk` has returned nothing. Raises AnswerTooLarge."""
        if not self._is_known:
            raise AnswerTooLarge("an encoding that was not requested")
        self._compressed = data

    def next_chunk(self) -> bytes:
        """Returns the next chunk of the bytes fed; empty when more must be fed first. Raises AnswerTooLarge."""
        try:
            chunk = self._decompressor.decompress(self._compressed, _CHUNK_BYTES)
        except zlib.error as exc:
            raise AnswerTooLarge("broken compression") from exc
        self._compressed = self._decompressor.unconsumed_tail
        return chunk
