"""`FunctionTool`: a Python function as a tool."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from reasoning_grpc.config import ToolLimits
from reasoning_grpc.domain import CallContext, ToolInfo, ToolSource
from reasoning_grpc.tools.results import ToolOutput, convert_result
from reasoning_grpc.tools.signature import Signature
from reasoning_grpc.tools.tool import ProgressCallback


class FunctionTool:
    """Calls a Python function: an `async def` on the event loop, any other in a thread of its own.

    A thread cannot be stopped. The thread of a call that timed out runs to its end, and occupies one of the
    `concurrency` places of its tool until then. So there are never more threads than places, and the process does not
    wait for them when it ends.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        source: ToolSource,
        limits: ToolLimits,
        description: str = "",
    ) -> None:
        """A `description` replaces that of the docstring. Raises UnusableFunction."""
        self._function: Final = function
        self._signature: Final = Signature(function)
        self.limits: Final = limits
        self.info: Final = ToolInfo(
            name=name,
            description=description or self._signature.description,
            parameters_schema=self._signature.parameters_schema,
            source=source,
        )
        self._is_async: Final = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        )
        self._places: Final = asyncio.Semaphore(limits.concurrency)
        self.threads_running = 0
        """The number of threads that have not ended, including those of calls that timed out."""

    def parse_arguments(self, text: str) -> Mapping[str, Any]:
        """See `RunnableTool.parse_arguments`."""
        return self._signature.parse_arguments(text)

    async def call(
        self,
        arguments: Mapping[str, Any],
        context: CallContext,  # noqa: ARG002
        on_progress: ProgressCallback,  # noqa: ARG002
    ) -> ToolOutput:
        """See `RunnableTool.call`. A function cannot report progress."""
        if self._is_async:
            return ToolOutput(convert_result(await self._function(**arguments)))
        await self._places.acquire()
        return ToolOutput(await self._run_in_thread(lambda: convert_result(self._function(**arguments))))

    async def _run_in_thread(self, work: Callable[[], str]) -> str:
        """Runs the work in a new thread, whose place is free when the thread ends, even if the call was cancelled."""
        loop = asyncio.get_running_loop()
        end: asyncio.Future[_Outcome] = loop.create_future()
        variables = contextvars.copy_context()

        def finish(outcome: _Outcome) -> None:
            self._release_place()
            if not end.done():
                end.set_result(outcome)

        def run() -> None:
            outcome = variables.run(_run_to_outcome, work)
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, outcome)

        self.threads_running += 1
        try:
            threading.Thread(target=run, name=f"tool {self.info.name}", daemon=True).start()
        except RuntimeError:  # the system has no more threads
            self._release_place()
            raise
        return (await end)()

    def _release_place(self) -> None:
        self.threads_running -= 1
        self._places.release()


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
