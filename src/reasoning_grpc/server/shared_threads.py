"""Starts the event loop's shared threads, in which litellm, name lookups and credentials block."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_MOST_THREADS: Final = min(32, (os.cpu_count() or 1) + 4)
"""The number of threads that asyncio's own pool would have."""


def start_shared_threads() -> None:
    """Gives the running event loop a default pool whose threads have all started.

    asyncio's own starts each thread when it is needed, which stops the loop for milliseconds while calls are served.
    The loop closes the pool at its end.
    """
    pool = ThreadPoolExecutor(_MOST_THREADS, "shared")
    have_started = threading.Barrier(_MOST_THREADS)
    for _ in range(_MOST_THREADS):
        pool.submit(have_started.wait)  # so that none is idle, and takes the work of a thread that has not started
    asyncio.get_running_loop().set_default_executor(pool)
