"""Calls an OpenAI face over HTTP, or the mock upstream itself, with as little work of its own as possible.

Usage: python -m bench.load.http_client PORT PATH KEY NAME. In NAME, %s stands for the model's name at the mock.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Final

from bench.load.driver import WORD, serve_orders

_HOST: Final = "127.0.0.1"
_WORD: Final = WORD.encode()
_READ_BYTES: Final = 1 << 20


class HttpClient:
    """Keeps its connections open, one for each call at a time."""

    def __init__(self, port: int, path: str, key: str, name: str) -> None:
        self._address = (_HOST, port)
        self._name = name
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {_HOST}:{port}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def complete(self, model: str, prompt: str) -> int:
        """Returns the words of an answer that is not streamed."""
        words = 0
        async for chunk in self._call(model, prompt, stream=False):
            words += chunk.count(_WORD)
        return words

    async def stream(self, model: str, prompt: str) -> AsyncIterator[int]:
        """Yields the words that each read brings."""
        rest = b""
        async for chunk in self._call(model, prompt, stream=True):
            text = rest + chunk
            if words := text.count(_WORD):
                yield words
            rest = text[text.rfind(_WORD) + len(_WORD) :][-len(_WORD) :] if words else text[-len(_WORD) :]

    async def think(self, model: str, prompt: str, steps: int) -> int:
        """Fails, because the service has no agent."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Closes the connections."""
        for _, writer in self._idle:
            writer.close()

    async def _call(self, model: str, prompt: str, *, stream: bool) -> AsyncIterator[bytes]:
        """Yields what each read brings of the body. Raises ValueError for an error status."""
        reader, writer = await self._connect()
        request = {"model": self._name % model, "messages": [{"role": "user", "content": prompt}], "stream": stream}
        if stream:
            request["stream_options"] = {"include_usage": True}
        body = json.dumps(request).encode()
        writer.write((self._head % len(body)).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            writer.close()
            raise ValueError(head.partition(b"\r\n")[0].decode())
        lower = head.lower()
        if b"chunked" in lower:
            async for chunk in _read_chunks(reader):
                yield chunk
        else:
            yield await reader.readexactly(int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        self._idle.append((reader, writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Returns an idle connection that the service has not closed meanwhile, or a new one."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(*self._address)


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yields what each read brings, with the framing in it, until the last chunk."""
    rest = b""
    while True:
        data = await reader.read(_READ_BYTES)
        if not data:
            raise ValueError("the answer was cut")
        yield data
        rest = (rest + data)[-7:]
        if rest.endswith(b"\r\n0\r\n\r\n"):
            return


async def _create() -> HttpClient:
    return HttpClient(int(sys.argv[1]), *sys.argv[2:])


if __name__ == "__main__":
    asyncio.run(serve_orders(_create))
