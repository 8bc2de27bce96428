"""`finding_garbage`: finds what only the garbage collector could free."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_GENERATED: Final = "reasoning_grpc.v1."
"""The messages are the client's as well, which runs in this process."""
_KEPT_BY_ASYNCIO: Final = frozenset({"_CountedSocket"})
"""A transport of asyncio's holds itself after it was closed, and its closed socket."""


@contextmanager
def finding_garbage() -> Iterator[set[str]]:
    """Fills a set at its end with the kinds of our objects that were left in circles.

    Nothing may be frozen meanwhile, as a server does it at its start: a call is held by what gRPC made for it when it
    began to wait for calls, and a circle through a frozen object is never found.
    """
    found: set[str] = set()
    gc.unfreeze()
    while gc.collect():  # what has a finalizer keeps other objects until it has run
        pass
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(filter(None, map(_name_own, gc.garbage)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _name_own(value: object) -> str:
    """Returns the name of an object of ours, or of a frame of our code; an empty text for any other."""
    if isinstance(value, FrameType):
        module, name = str(value.f_globals.get("__name__")), value.f_code.co_qualname
    else:
        module, name = type(value).__module__, type(value).__name__
    is_own = module.startswith("reasoning_grpc.") and not module.startswith(_GENERATED)
    return name if is_own and name not in _KEPT_BY_ASYNCIO else ""
