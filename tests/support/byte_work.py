"""Counts the bytes that code copies and scans, so that a test can say how work grows without a clock."""

import sys
import tracemalloc
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, TypeVar

_Part = TypeVar("_Part")


def count_bytes_of_work(step: Callable[[_Part], object], parts: Iterable[_Part]) -> int:
    """Returns how many bytes were copied and scanned while `step` took one part after the other.

    A copy is what the memory grows by, for a moment or for good, while one part is taken. A scan is a call of a
    method of `bytes`, `bytearray` or `str`, and counts as all the bytes of the object.
    """
    work = 0

    def record(_frame: FrameType, event: str, function: Any) -> None:
        nonlocal work
        owner = getattr(function, "__self__", None)
        if event == "c_call" and isinstance(owner, bytes | bytearray | str):
            work += len(owner)

    parts = list(parts)
    profile = sys.getprofile()
    tracemalloc.start()
    try:
        for part in parts:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            sys.setprofile(record)
            try:
                step(part)
            finally:
                sys.setprofile(profile)
            _, most = tracemalloc.get_traced_memory()
            work += most - before
    finally:
        tracemalloc.stop()
    return work
