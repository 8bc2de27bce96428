"""Everything that fuzzing has found before is tried again, without the fuzzer."""

import gc
import logging
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.fuzz.targets import CORPUS, TARGETS, list_corpus

pytestmark = pytest.mark.thorough

EVERY_TARGET: Final = pytest.mark.parametrize("name", TARGETS)
_REPETITIONS: Final = 4
_MOST_BLOCKS: Final = 5
"""The objects that an input may leave each time: caches fill and are emptied, and differ by hundreds in between."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Logs nothing but faults: pytest keeps what is logged, which would count as memory that grows."""
    loggers = [logging.getLogger(name) for name in ("reasoning_grpc", "LiteLLM", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@EVERY_TARGET
def test_the_corpus_is_read_as_it_must_be(name: str) -> None:
    """Each input of the corpus ends in one of the ways that the target allows."""
    inputs = list_corpus(name)

    for path in inputs:
        TARGETS[name].run(path.read_bytes())

    assert inputs


@EVERY_TARGET
def test_the_corpus_leaves_nothing_behind(name: str) -> None:
    """Reading the same inputs again and again takes no more memory.

    What is put aside for a while, such as the calls that metrics count in batches, comes and goes: so the least of
    several repetitions is compared with the least of those after them.
    """
    inputs = [path.read_bytes() for path in list_corpus(name)]
    blocks = []
    for _ in range(1 + 2 * _REPETITIONS):
        for data in inputs:
            TARGETS[name].run(data)
        gc.collect()
        blocks.append(sys.getallocatedblocks())

    left = min(blocks[-_REPETITIONS:]) - min(blocks[1:-_REPETITIONS])
    assert left < _MOST_BLOCKS * _REPETITIONS * len(inputs)


def test_the_corpus_has_known_targets() -> None:
    """No folder of the corpus is left from a target that has another name now."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
