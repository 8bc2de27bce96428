"""`ToolThreads`: the threads in which synchronous tools run."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final

_IDLE: Final = "idle tool thread"


class ThreadsNotStarted(Exception):
    """The system starts fewer threads than the tools need; the message says how many."""


class ToolThreads:
    """Threads that are started once, before the server serves: to start one stops the event loop for milliseconds.

    They are daemons, so the process does not wait for a tool that hangs in one.
    """

    def __init__(self) -> None:
        self._count = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def start(self, count: int) -> None:
        """Starts this many threads. Raises ThreadsNotStarted."""
        for started in range(count):
            thread = threading.Thread(target=self._work, name=_IDLE, daemon=True)
            try:
                thread.start()
            except RuntimeError as exc:
                self.stop()
                raise ThreadsNotStarted(
                    f"the tools need {count} threads, and the system starts only {started}; lower their concurrency"
                ) from exc
            self._count += 1

    async def run(self, name: str, work: Callable[[], str], on_end: Callable[[], None]) -> str:
        """Runs the work in a thread, which has this name meanwhile. Returns its result, or raises its error.

        There must be a thread for it. `on_end` is called on the event loop when the work has ended, even if this call
        was cancelled before.
        """
        loop = asyncio.get_running_loop()
        end: asyncio.Future[_Outcome] = loop.create_future()
        variables = contextvars.copy_context()

        def finish(outcome: _Outcome) -> None:
            on_end()
            if not end.done():
                end.set_result(outcome)

        def job() -> None:
            threading.current_thread().name = name
            outcome = variables.run(_run_to_outcome, work)
            threading.current_thread().name = _IDLE
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(finish, outcome)

        self._jobs.put(job)
        return (await end)()

    def stop(self) -> None:
        """Lets each thread end as soon as it has no work."""
        for _ in range(self._count):
            self._jobs.put(None)
        self._count = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # or the thread would keep the last call alive while it waits for the next one


_Outcome = Callable[[], str]
"""Returns the result of the work in a thread, or raises its error."""


def _run_to_outcome(work: Callable[[], str]) -> _Outcome:
    try:
        text = work()
    except BaseException as exc:  # SystemExit as well: it ends the tool, not the server
        failure = exc

        def fail() -> str:
            raise failure

        return fail
    return lambda: text
