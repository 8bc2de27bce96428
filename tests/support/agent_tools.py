"""Tools of the agent's tests that say what happens to them, and wait to be let go."""

import asyncio
from contextlib import suppress
from typing import Final

from tests.support.upstream.changes import Changes


class Bench:
    """What the tools of one test did; a test begins with a new one."""

    def __init__(self) -> None:
        self.began: list[str] = []
        """The calls of `wait` that have begun, by their names."""
        self.ended: list[str] = []
        self.cancelled: list[str] = []
        self._released: set[str] = set()
        self._changes = Changes()

    def release(self, name: str) -> None:
        """Lets the call of this name end."""
        self._released.add(name)
        self._changes.notify()

    async def begin(self, *names: str) -> None:
        """Wait until these calls have begun."""
        await self._changes.expect(
            lambda: set(names) <= set(self.began), lambda: f"{names} expected to begin; {self.began} did"
        )

    async def cancel(self, *names: str) -> None:
        """Wait until these calls were cancelled."""
        await self._changes.expect(
            lambda: set(names) <= set(self.cancelled), lambda: f"{names} expected cancelled; {self.cancelled} were"
        )

    async def run(self, name: str) -> str:
        """For the tools: one call, from its beginning to its release."""
        self.began.append(name)
        self._changes.notify()
        try:
            await self._changes.wait_for(lambda: name in self._released)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            self._changes.notify()
            raise
        self.ended.append(name)
        return f"{name} is done"


benches: Final = [Bench()]
"""The last one is in use: tools are plain functions that the configuration names."""


async def wait(name: str) -> str:
    """Wait until the test lets it go.

    Args:
        name: Of this call.
    """
    return await benches[-1].run(name)


async def sleep(seconds: float) -> str:
    """Take so long.

    Args:
        seconds: How long.
    """
    with suppress(ZeroDivisionError):
        await asyncio.sleep(seconds)
    return "slept"


def note(text: str) -> str:
    """Note something.

    Args:
        text: What.
    """
    benches[-1].ended.append(text)
    return f"noted: {text}"


def count() -> str:
    """Count the calls of a test."""
    benches[-1].ended.append("counted")
    return str(len(benches[-1].ended))
