"""Tools of the agent's tests that record their calls, and that wait until the test releases them."""

import asyncio
import threading
from contextlib import suppress
from typing import Final

from tests.support.upstream.changes import Changes


class ToolLog:
    """The record of what the tools of one test did; each test starts with a new one."""

    def __init__(self) -> None:
        self.starts: list[str] = []
        """The names of the calls of `wait` that have started."""
        self.ends: list[str] = []
        """The names of the calls of `wait` that have returned, the texts of `note`, and the calls of `count`."""
        self.cancellations: list[str] = []
        """The names of the calls of `wait` that were cancelled."""
        self._released: set[str] = set()
        self._changes = Changes()

    def release(self, name: str) -> None:
        """Lets the call of this name return."""
        self._released.add(name)
        self._changes.notify()

    async def wait_for_starts(self, *names: str) -> None:
        """Waits until these calls have started."""
        await self._changes.expect(
            lambda: set(names) <= set(self.starts), lambda: f"{names} expected to start; {self.starts} did"
        )

    async def wait_for_cancellations(self, *names: str) -> None:
        """Waits until these calls were cancelled."""
        await self._changes.expect(
            lambda: set(names) <= set(self.cancellations),
            lambda: f"{names} expected cancelled; {self.cancellations} were",
        )

    async def run(self, name: str) -> str:
        """Runs one call for a tool, from its start to its release."""
        self.starts.append(name)
        self._changes.notify()
        try:
            await self._changes.wait_for(lambda: name in self._released)
        except asyncio.CancelledError:
            self.cancellations.append(name)
            self._changes.notify()
            raise
        self.ends.append(name)
        return f"{name} is done"


tool_logs: Final = [ToolLog()]
"""The last log is in use. Tools are plain functions that the configuration names, so they share this variable."""


async def wait(name: str) -> str:
    """Wait until the test releases this call.

    Args:
        name: The name of this call.
    """
    return await tool_logs[-1].run(name)


async def sleep(seconds: float) -> str:
    """Sleep for some seconds.

    Args:
        seconds: The time.
    """
    with suppress(ZeroDivisionError):
        await asyncio.sleep(seconds)
    return "slept"


def note(text: str) -> str:
    """Write a note.

    Args:
        text: The note.
    """
    tool_logs[-1].ends.append(text)
    return f"noted: {text}"


MEETING: Final = 3
"""The number of calls of `meet` that wait for each other."""
_meeting: Final = threading.Barrier(MEETING)


def meet() -> str:
    """Wait until `MEETING` calls run at the same time, and return the id of the thread."""
    _meeting.wait(60)
    return str(threading.get_native_id())


def count() -> str:
    """Count the calls of this test."""
    tool_logs[-1].ends.append("counted")
    return str(len(tool_logs[-1].ends))


def clock(zone: str) -> str:
    """Return the time in a zone.

    Args:
        zone: The zone.
    """
    return f"14:05 {zone}"
