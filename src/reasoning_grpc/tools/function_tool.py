"""`FunctionTool`: a Python function as a tool."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from reasoning_grpc.config import ToolLimits
from reasoning_grpc.domain import CallContext, ToolInfo, ToolSource
from reasoning_grpc.tools.results import ToolOutput, convert_result
from reasoning_grpc.tools.signature import Signature
from reasoning_grpc.tools.threads import ToolThreads
from reasoning_grpc.tools.tool import ProgressCallback


class FunctionTool:
    """Calls a Python function: an `async def` on the event loop, any other in a thread.

    A thread cannot be stopped. The thread of a call that timed out runs to its end, and occupies one of the
    `concurrency` places of its tool until then. A tool never has more threads than places, so one that hangs takes no
    thread from another.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        threads: ToolThreads,
        *,
        source: ToolSource,
        limits: ToolLimits,
        description: str = "",
        needs_approval: bool = False,
    ) -> None:
        """A `description` replaces that of the docstring. Raises UnusableFunction."""
        self._function: Final = function
        self._threads: Final = threads
        self._signature: Final = Signature(function)
        self.limits: Final = limits
        self.info: Final = ToolInfo(
            name=name,
            description=description or self._signature.description,
            parameters_schema=self._signature.parameters_schema,
            source=source,
            needs_approval=needs_approval,
        )
        self._is_async: Final = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        )
        self._places: Final = asyncio.Semaphore(limits.concurrency)
        self.threads_running = 0
        """The number of threads that run the tool, including those of calls that timed out."""

    @property
    def most_threads(self) -> int:
        """The number of threads that the tool may occupy at the same time."""
        return 0 if self._is_async else self.limits.concurrency

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
        self.threads_running += 1
        name, work = f"tool {self.info.name}", lambda: convert_result(self._function(**arguments))
        return ToolOutput(await self._threads.run(name, work, on_end=self._release_place))

    def _release_place(self) -> None:
        self.threads_running -= 1
        self._places.release()
