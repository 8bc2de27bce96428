"""Holds the threads in which the loop runs what blocks."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def hold_threads() -> Iterator[Callable[[], None]]:
    """Blocks the loop's default thread pool, in which the warm-up imports litellm; yields what releases it."""
    released = threading.Event()
    pool = ThreadPoolExecutor(max_workers=1)
    asyncio.get_running_loop().set_default_executor(pool)
    pool.submit(released.wait)
    try:
        yield released.set
    finally:
        released.set()
