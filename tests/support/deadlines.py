"""`try_deadlines`: tests of what a deadline cuts, which must pass on a busy machine too."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

_SECONDS: Final = (1.0, 2.0, 8.0, 32.0)


async def try_deadlines(call: Callable[[float], Awaitable[T | None]], *, least_seconds: float = 0.0) -> T:
    """Makes a call with longer and longer deadlines, and returns its first outcome that is not None.

    None says that the call had not come as far as it must when its deadline passed. An idle machine needs one attempt.
    """
    for seconds in _SECONDS:
        if seconds >= least_seconds and (outcome := await call(seconds)) is not None:
            return outcome
    raise AssertionError(f"no call came as far as it must within {_SECONDS[-1]:g} seconds")
