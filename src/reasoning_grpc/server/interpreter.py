"""Sets the Python interpreter up for a process that serves calls."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_GC_THRESHOLDS: Final = (700, 200, 10)
"""When a warm server collects garbage: the youngest objects often, the others rarely.

Five objects of each call are garbage in circles, all of them gRPC's, and so are thirteen of each closed connection,
which are asyncio's. Most of them are young when they are collected. The first number is that of objects made less
objects freed, whatever their age, so a server in which hundreds of streams come and go has ten times as many young
ones: with 10,000 a collection took up to 65 ms, in which the event loop stood still.
"""


@contextmanager
def collecting_no_garbage() -> Iterator[None]:
    """Collects no garbage in this block, whose objects stay, and never looks at them again.

    They are those of litellm: its import would take half as long again, and a full collection later would stop the
    loop for a tenth of a second. Memory that a worker shares with its supervisor would be copied by a collection.
    """
    gc.collect()  # what is garbage already would stay for ever, too
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tune_interpreter() -> None:
    """Sets the running interpreter and event loop up for calls."""
    gc.set_threshold(*_GC_THRESHOLDS)
    # The loop need not keep a set of all generators: the code that iterates one closes it, and the loop closes one
    # that was dropped. The set takes 3 us of a call.
    sys.set_asyncgen_hooks(firstiter=None)
