"""`EmbeddingRunner`: loads the embedding in a thread of its own, and encodes conversations there, in batches."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reasoning_grpc.domain import read_clock
from reasoning_grpc.router.embedding.encoder import MODEL_NAME, SentenceEncoder
from reasoning_grpc.router.embedding.examples import Example

if TYPE_CHECKING:
    from reasoning_grpc.router.embedding.learning import TrainedRouter

_MAX_BATCH: Final = 8
"""Conversations that are encoded together: a batch costs less than its parts, but a long one keeps calls waiting."""
_MAX_WAITING: Final = 64
"""Conversations that may wait. A longer queue would answer later than the caller's deadline allows."""

logger = logging.getLogger("reasoning_grpc.router")

Features = Any
"""A row of numbers, as numpy has it."""


class EmbeddingBusy(Exception):
    """So many conversations wait to be encoded that another one is not taken."""


class EmbeddingRunner:
    """Runs the encoder in one thread, off the event loop. It outlives configurations, because loading takes seconds."""

    def __init__(self, load: Callable[[], SentenceEncoder] | None = None) -> None:
        """Loads nothing yet. `load` makes the encoder, in the thread; None: the one of the installed package."""
        self._load = load or _load
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="embedding")
        self._loading: asyncio.Future[SentenceEncoder] | None = None
        self._waiting: list[tuple[tuple[str, str], asyncio.Future[Features]]] = []
        self._is_encoding = False

    async def load(self) -> SentenceEncoder:
        """Returns the encoder, once it is loaded; only the first call loads it. Raises EmbeddingUnusable."""
        if self._loading is None:
            self._loading = asyncio.get_running_loop().run_in_executor(self._executor, self._load)
        return await asyncio.shield(self._loading)

    async def read_router(self, file: Path) -> "TrainedRouter":
        """Reads a trained router, once the embedding is loaded. Raises OSError, and what is wrong with the file."""
        await self.load()
        return await asyncio.get_running_loop().run_in_executor(self._executor, _read, file)

    async def train(self, examples: Sequence[Example], *, max_messages: int) -> "TrainedRouter":
        """Returns a router that is trained with these examples. Raises EmbeddingUnusable."""
        encoder = await self.load()
        return await asyncio.get_running_loop().run_in_executor(self._executor, _train, encoder, examples, max_messages)

    async def encode(self, described: tuple[str, str]) -> Features:
        """Returns the features of a described conversation. Those that arrive together are encoded together.

        Raises EmbeddingBusy, and EmbeddingUnusable. A call that is cancelled gives up its place.
        """
        encoder = await self.load()
        self._waiting = [entry for entry in self._waiting if not entry[1].done()]
        if len(self._waiting) >= _MAX_WAITING:
            raise EmbeddingBusy
        future: asyncio.Future[Features] = asyncio.get_running_loop().create_future()
        self._waiting.append((described, future))
        self._encode_next(encoder)
        return await future

    def close(self) -> None:
        """Ends the thread when it has done what it is doing; nothing that waits is encoded any more."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._loading = None  # frees the model at once, not when garbage is collected

    def _encode_next(self, encoder: SentenceEncoder) -> None:
        """Starts the next batch, unless one is being encoded; its end starts the one after it."""
        if self._is_encoding:
            return
        waiting = [entry for entry in self._waiting if not entry[1].done()]
        batch, self._waiting = waiting[:_MAX_BATCH], waiting[_MAX_BATCH:]
        if not batch:
            return
        self._is_encoding = True
        described = [each for each, _ in batch]
        futures = [future for _, future in batch]
        encoding = asyncio.get_running_loop().run_in_executor(self._executor, _encode, encoder, described)
        encoding.add_done_callback(lambda done: self._finish(encoder, futures, done))

    def _finish(
        self, encoder: SentenceEncoder, futures: Sequence[asyncio.Future[Features]], done: asyncio.Future[Features]
    ) -> None:
        self._is_encoding = False
        if done.cancelled():  # closed
            for future in futures:
                future.cancel()
            return
        error = done.exception()
        for row, future in enumerate(futures):
            if future.done():
                continue
            if error is None:
                future.set_result(done.result()[row])
            else:
                future.set_exception(error)
        self._encode_next(encoder)


def _load() -> SentenceEncoder:
    started = read_clock()
    encoder = SentenceEncoder()
    logger.info(
        "the router's embedding is loaded",
        extra={"embedding": MODEL_NAME, "seconds": round(read_clock() - started, 2)},
    )
    return encoder


# The learning part imports numpy, which takes most of a second on a busy machine: only this thread imports it.


def _train(encoder: SentenceEncoder, examples: Sequence[Example], max_messages: int) -> "TrainedRouter":
    from reasoning_grpc.router.embedding.learning import train_router

    return train_router(encoder, examples, max_messages=max_messages)[0]


def _read(file: Path) -> "TrainedRouter":
    from reasoning_grpc.router.embedding.learning import read_trained_router

    return read_trained_router(file)


def _encode(encoder: SentenceEncoder, described: Sequence[tuple[str, str]]) -> Features:
    from reasoning_grpc.router.embedding.learning import encode_described

    return encode_described(encoder, described)
