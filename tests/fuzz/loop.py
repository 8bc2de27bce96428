"""The event loop of the targets: one for all inputs, because a new one for each would take most of the time."""

import asyncio
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def get_loop() -> asyncio.AbstractEventLoop:
    """Returns the loop, which the first call creates."""
    return asyncio.new_event_loop()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, and returns its result. Nothing may be left running behind it."""
    loop = get_loop()
    result = loop.run_until_complete(coroutine)
    assert not asyncio.all_tasks(loop), "a task is left"
    return result
