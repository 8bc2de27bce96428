"""`share_one_heap`: lets all threads of the process take memory from one heap of the C library."""

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8
"""The parameter's number in glibc's malloc.h."""


def share_one_heap() -> None:
    """Keeps glibc from giving a heap of its own to each thread that takes memory from now on.

    A call is served by several threads of gRPC's core, of which each would take from another heap. What is free in one
    heap is of no use to another, so the process would grow for hours until each heap has seen its busiest moment. Only
    one thread at a time runs Python, so they seldom wait for each other at the only heap.

    Other C libraries have no such heaps, and are left as they are.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)
