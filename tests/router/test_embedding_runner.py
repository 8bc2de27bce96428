"""The embedding's thread encodes the conversations of concurrent calls together, and takes only so many of them."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pytest

from reasoning_grpc.router.embedding.runner import EmbeddingBusy, EmbeddingRunner

WAITING: Final = 64


class GatedEncoder:
    """Encodes when the gate is open, and keeps the batches that it was given."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def encode(self, texts: Sequence[str]) -> Any:
        """Returns a row for each text, whose numbers are the length of the text."""
        self.batches.append(list(texts))
        self.threads.add(threading.get_ident())
        self.started.set()
        assert self.gate.wait(60)
        return np.array([[float(len(text))] * 512 for text in texts])


def start(encoder: GatedEncoder) -> EmbeddingRunner:
    """Returns a runner of this encoder."""
    stand_in: Any = encoder
    return EmbeddingRunner(lambda: stand_in)


async def wait_for(event: threading.Event) -> None:
    """Waits for the event of a thread."""
    assert await asyncio.to_thread(event.wait, 60)


async def test_conversations_that_arrive_together_are_encoded_together() -> None:
    """While a batch is encoded, the others gather; each caller gets its own row, and the loop is never blocked."""
    encoder = GatedEncoder()
    runner = start(encoder)

    first = asyncio.create_task(runner.encode(("a", "a")))
    await wait_for(encoder.started)
    others = [asyncio.create_task(runner.encode(("x" * size, "b"))) for size in range(2, 6)]
    await asyncio.sleep(0)
    encoder.gate.set()
    rows = await asyncio.gather(first, *others)
    runner.close()

    assert [(row[0], row[512], len(row)) for row in rows] == [
        (1, 1, 1024),
        *[(size, 1, 1024) for size in range(2, 6)],
    ]
    assert encoder.batches == [["a"], ["xx", "b", "xxx", "xxxx", "xxxxx"]]
    assert encoder.threads.isdisjoint({threading.get_ident()})
    assert len(encoder.threads) == 1


async def test_a_full_queue_takes_no_more_until_a_caller_leaves() -> None:
    """So many conversations may wait; the next is refused at once, and one that is cancelled gives up its place."""
    encoder = GatedEncoder()
    runner = start(encoder)
    first = asyncio.create_task(runner.encode(("a", "a")))
    await wait_for(encoder.started)
    waiting = [asyncio.create_task(runner.encode((f"{number}", "b"))) for number in range(WAITING)]
    await asyncio.sleep(0)

    with pytest.raises(EmbeddingBusy):
        await runner.encode(("late", "late"))
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    taken = asyncio.create_task(runner.encode(("later", "b")))
    await asyncio.sleep(0)
    encoder.gate.set()
    await asyncio.gather(first, taken, *waiting[1:])
    runner.close()

    texts = [text for batch in encoder.batches for text in batch]
    assert "later" in texts
    assert not {"late", "0"} & set(texts)


async def test_the_encoder_is_loaded_once() -> None:
    """Calls that arrive before the encoder is loaded wait for the same loading."""
    loads: list[GatedEncoder] = []

    def load() -> Any:
        encoder = GatedEncoder()
        encoder.gate.set()
        loads.append(encoder)
        return encoder

    runner = EmbeddingRunner(load)
    await asyncio.gather(*(runner.encode((f"{number}", "b")) for number in range(5)))
    runner.close()

    assert len(loads) == 1


async def test_an_encoder_that_fails_fails_its_batch_alone() -> None:
    """An error of the encoder reaches the callers of its batch, and the next batch is encoded as usual."""
    encoder = GatedEncoder()
    encoder.gate.set()
    runner = start(encoder)

    broken: Any = (None, "b")

    with pytest.raises(TypeError):
        await runner.encode(broken)
    row = await runner.encode(("abc", "abc"))
    runner.close()

    assert row[0] == 3
