"""`FunctionTool`: a Python function as a tool."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from reasoning_grpc.config import ToolLimits
from reasoning_grpc.domain import CallContext, ToolInfo, ToolSource
from reasoning_grpc.tools.results import ToolOutput, text_of
from reasoning_grpc.tools.signature import Signature


class FunctionTool:
    """Calls the function: an `async def` on the event loop, any other in a thread of its own.

    A thread cannot be stopped. One whose call was given up goes on to its end, and takes one of the `concurrency`
    places of its tool until then; so there are never more threads than that, and the process does not wait for them.
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
        """`description` stands for the docstring's. Raises UnusableFunction."""
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
        """Threads that have not ended, those of calls that were given up among them."""

    def arguments(self, text: str) -> Mapping[str, Any]:
        """See `RunnableTool.arguments`."""
        return self._signature.arguments(text)

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolOutput:  # noqa: ARG002
        """See `RunnableTool.call`."""
        if self._is_async:
            return ToolOutput(text_of(await self._function(**arguments)))
        await self._places.acquire()
        return ToolOutput(await self._in_thread(lambda: text_of(self._function(**arguments))))

    async def _in_thread(self, work: Callable[[], str]) -> str:
        """Gives back one place among the threads when the thread ends, whether or not anybody still waits for it."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_Ended] = loop.create_future()
        variables = contextvars.copy_context()

        def tell(outcome: _Ended) -> None:
            self._give_back()
            if not ended.done():
                ended.set_result(outcome)

        def thread() -> None:
            outcome = variables.run(_outcome, work)
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, outcome)

        self.threads_running += 1
        try:
            threading.Thread(target=thread, name=f"tool {self.info.name}", daemon=True).start()
        except RuntimeError:  # the system has no more threads
            self._give_back()
            raise
        return (await ended)()

    def _give_back(self) -> None:
        self.threads_running -= 1
        self._places.release()


_Ended = Callable[[], str]
"""Gives what the work in a thread gave, or raises what it raised."""


def _outcome(work: Callable[[], str]) -> _Ended:
    try:
        text = work()
    except BaseException as exc:  # SystemExit too: it is the tool that ends, not the server
        failure = exc

        def fail() -> str:
            raise failure

        return fail
    return lambda: text
