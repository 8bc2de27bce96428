"""Functions that the configuration of a test names as tools."""

import asyncio
import threading
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from reasoning_grpc.tools import InputRequired, ToolError

SECRET: Final = "sk-in-the-text-of-an-exception"

started = threading.Event()
"""Set by the tools that wait, as soon as they run."""
released = threading.Event()
"""Lets `wait_in_thread` and `ignore_cancellation` return."""
stopped: list[str] = []
"""Records the cancellations of tools, and the end of `ignore_cancellation`."""
running_counts: list[int] = []
"""Records, for each call of `count_running`, how many calls ran when it started."""
_running = [0]


def weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city: Where.
        days: For how long.
    """
    return f"{city}: rain for {days} days"


async def weather_without_thread(city: str) -> dict[str, Any]:
    """Tell the weather, on the event loop."""
    return {"city": city, "temperatures": [1.5, 2], "sunny": False}


def fail() -> str:
    """Fail with an exception whose text is a secret."""
    raise RuntimeError(SECRET)


async def fail_with_words() -> str:
    """Fail with a sentence for the model."""
    raise ToolError("There is no such city; try another.")


def ask_for_a_city() -> str:
    """Ask the user for a city."""
    raise InputRequired("Which city do you mean?")


def exit_process() -> str:
    """Try to end the process."""
    raise SystemExit(SECRET)


async def exit_process_in_loop() -> str:
    """Try to end the process from the event loop."""
    raise SystemExit(SECRET)


async def raise_generator_exit() -> str:
    """Raise what a closed generator raises."""
    raise GeneratorExit


async def raise_cancelled() -> str:
    """Raise what a cancelled task raises."""
    raise asyncio.CancelledError


async def hang() -> str:
    """Never return, and record its cancellation."""
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        stopped.append("hang")
        raise
    return ""


async def ignore_cancellation() -> str:
    """Ignore its cancellation until `released` is set."""
    started.set()
    while not released.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            stopped.append("cancellation ignored")
    stopped.append("returned")
    return ""


def wait_in_thread() -> str:
    """Wait in a thread until `released` is set."""
    started.set()
    assert released.wait(60)
    return threading.current_thread().name


async def count_running() -> int:
    """Return the number of calls that run at the same time."""
    _running[0] += 1
    running_counts.append(_running[0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    _running[0] -= 1
    return running_counts[-1]


def write_letters(characters: int) -> str:
    """Return this many letters."""
    return "ä" * characters


def return_bytes() -> bytes:
    """Return 1234 bytes."""
    return b"\xff\x00" * 617


def return_value(kind: str) -> Any:
    """Return a value of this kind."""
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


def omit_annotation(city) -> str:
    """Cannot be a tool, because a parameter has no annotation."""
    return str(city)


def _raise_secret(value: str) -> str:
    raise RuntimeError(SECRET + value)


def _raise_words(city: str) -> str:
    raise ToolError(f"{city} has no station.")


def explain_bad_city(city: Annotated[str, AfterValidator(_raise_words)]) -> str:
    """Has a parameter type whose check fails with a sentence for the model."""
    return city


def fail_at_check(city: Annotated[str, AfterValidator(_raise_secret)]) -> str:
    """Has a parameter type whose check fails unexpectedly."""
    return city


NOT_CALLABLE: Final = 3
