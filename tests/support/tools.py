"""Functions that are tools of tests; the configuration of a test names them."""

import asyncio
import threading
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from reasoning_grpc.tools import ToolError

SECRET: Final = "sk-in-the-text-of-an-exception"

started = threading.Event()
"""Set by the tools that wait, when they begin."""
released = threading.Event()
"""Lets `wait_in_thread` end."""
stopped: list[str] = []
"""What tools that were cancelled say of it."""
at_once: list[int] = []
"""How many calls of `count_at_once` ran when each began."""
_running = [0]


def weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city: Where.
        days: For how long.
    """
    return f"{city}: rain for {days} days"


async def weather_later(city: str) -> dict[str, Any]:
    """Tell the weather, without a thread."""
    return {"city": city, "temperatures": [1.5, 2], "sunny": False}


def raises() -> str:
    """Fail with a secret."""
    raise RuntimeError(SECRET)


async def raises_words() -> str:
    """Fail with words for the model."""
    raise ToolError("There is no such city; try another.")


def exits() -> str:
    """Try to end the process."""
    raise SystemExit(SECRET)


async def exits_later() -> str:
    """Try to end the process from the event loop."""
    raise SystemExit(SECRET)


async def closes_itself() -> str:
    """Behave as if closed."""
    raise GeneratorExit


async def cancels_itself() -> str:
    """Behave as if cancelled."""
    raise asyncio.CancelledError


async def hangs() -> str:
    """Never answer, and say when it is stopped."""
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        stopped.append("hangs")
        raise
    return ""


async def stubborn() -> str:
    """Take no notice of being cancelled, until released."""
    started.set()
    while not released.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            stopped.append("not stubborn")
    stopped.append("stubborn")
    return ""


def wait_in_thread() -> str:
    """Wait in a thread until released."""
    started.set()
    assert released.wait(60)
    return threading.current_thread().name


async def count_at_once() -> int:
    """Say how many of it run."""
    _running[0] += 1
    at_once.append(_running[0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    _running[0] -= 1
    return at_once[-1]


def big(characters: int) -> str:
    """Say much."""
    return "ä" * characters


def binary() -> bytes:
    """Give bytes."""
    return b"\xff\x00" * 617


def gives(kind: str) -> Any:
    """Give a value of some kind."""
    return {
        "nothing": None,
        "number": 1.5,
        "set": {1},
        "endless": iter(int, 1),
        "object": object(),
        "half a character": "a\ud83d",
        "nested bytes": {"a": b"\xff"},
        "not a number": float("nan"),
    }[kind]


def unannotated(city) -> str:
    """Cannot be a tool."""
    return str(city)


def _never(value: str) -> str:
    raise RuntimeError(SECRET + value)


def _no_station(city: str) -> str:
    raise ToolError(f"{city} has no station.")


def spoken_check(city: Annotated[str, AfterValidator(_no_station)]) -> str:
    """Have a type whose check speaks to the model."""
    return city


def broken_check(city: Annotated[str, AfterValidator(_never)]) -> str:
    """Have a type whose check fails by itself."""
    return city


NOT_CALLABLE: Final = 3
