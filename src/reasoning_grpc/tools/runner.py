"""`ToolRunner`: runs tools, each within its bounds, and makes an outcome of whatever they do."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.domain import CallContext, ToolStatus
from reasoning_grpc.tools.errors import ArgumentsProblem, NoResult, ToolError, ToolUnavailable
from reasoning_grpc.tools.results import ToolOutput
from reasoning_grpc.tools.tool import RunnableTool

STOP_SECONDS: Final = 5.0
"""How long a tool may take to stop that is cancelled."""
_LATE_STOP_SECONDS: Final = 0.25
"""The same after a timeout, when whoever waits has no time left, and goes on without it."""

_logger = logging.getLogger("reasoning_grpc.tools")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call has ended."""

    status: ToolStatus
    text: str = ""
    error: str = ""


NOT_AVAILABLE: Final = Outcome(ToolStatus.NOT_AVAILABLE, error="There is no such tool, or it may not be used here.")
_UNREACHABLE: Final = Outcome(ToolStatus.NOT_AVAILABLE, error="The tool cannot be reached now.")
_TIMED_OUT: Final = Outcome(ToolStatus.TIMED_OUT, error="The tool took too long and was stopped.")
_CANCELLED: Final = Outcome(ToolStatus.CANCELLED, error="The server stopped the tool.")


class ToolRunner:
    """Runs tools in tasks of its own. Wants `aclose`."""

    def __init__(self, stop_seconds: float) -> None:
        """`stop_seconds` is how long a tool may take to stop that is cancelled; then it is left."""
        self._stop_seconds: Final = stop_seconds
        self._turns: Final[dict[str, asyncio.Semaphore]] = {}
        self._running: Final[dict[asyncio.Task[Outcome], str]] = {}
        """With the name of its tool."""
        self._closed = False

    async def outcome(
        self, tool: RunnableTool, arguments_text: str, context: CallContext, timeout_seconds: float | None
    ) -> Outcome:
        """Runs a tool to its end, whatever that is; None: no limit but its own. See `Toolbox.run`."""
        try:
            arguments = tool.arguments(arguments_text)
        except ArgumentsProblem as exc:
            return Outcome(ToolStatus.INVALID_ARGUMENTS, error=f"The arguments do not fit the tool's schema: {exc}.")
        except ToolError as exc:
            return Outcome(ToolStatus.INVALID_ARGUMENTS, str(exc), "The tool does not take the arguments.")
        except Exception as exc:  # a check of the function's own, in one of its types
            return _broken(exc, tool, context)
        own_limit = tool.limits.timeout_seconds
        limit_seconds = own_limit if timeout_seconds is None else min(own_limit, timeout_seconds)
        return await self._in_turn(tool, arguments, context, limit_seconds) if limit_seconds > 0 else _TIMED_OUT

    async def _in_turn(
        self, tool: RunnableTool, arguments: Mapping[str, Any], context: CallContext, limit_seconds: float
    ) -> Outcome:
        """Waits for a place, runs the tool in a task of its own, and gives the place back when that has ended."""
        ends = asyncio.get_running_loop().time() + limit_seconds
        turns = self._turns.setdefault(tool.info.name, asyncio.Semaphore(tool.limits.concurrency))
        try:
            async with asyncio.timeout_at(ends):
                await turns.acquire()
        except TimeoutError:
            return _TIMED_OUT
        if self._closed:
            turns.release()
            return _CANCELLED
        work = asyncio.create_task(_work(tool, arguments, context), name=f"tool {tool.info.name}")
        self._running[work] = tool.info.name
        work.add_done_callback(self._running.pop)
        work.add_done_callback(lambda _: turns.release())
        return await self._ended(work, ends)

    async def _ended(self, work: asyncio.Task[Outcome], ends: float) -> Outcome:
        """How the work ends, which it does by this time."""
        try:
            await asyncio.wait({work}, timeout=ends - asyncio.get_running_loop().time())
            if not work.done():
                await self._stop(work, _LATE_STOP_SECONDS)
                return _TIMED_OUT
        except asyncio.CancelledError:
            await self._stop(work, self._stop_seconds)
            raise
        return _CANCELLED if work.cancelled() else work.result()

    async def _stop(self, work: asyncio.Task[Outcome], seconds: float) -> None:
        """Cancels the work, and waits so long for its end; one that comes later is logged."""
        facts = {"tool": self._running.get(work, "")}
        work.cancel()
        await asyncio.wait({work}, timeout=seconds)
        if not work.done():
            _logger.warning("tool does not stop", extra=facts)
            work.add_done_callback(lambda _: _logger.info("tool has stopped", extra=facts))

    async def aclose(self) -> None:
        """Stops what runs, and what waits for its turn."""
        self._closed = True
        for work in self._running:
            work.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._stop_seconds)
        for name in self._running.values():
            _logger.warning("tool does not stop", extra={"tool": name})


async def _work(tool: RunnableTool, arguments: Mapping[str, Any], context: CallContext) -> Outcome:
    """Runs the tool. Whatever it raises is how it ended, but for a cancellation that was meant."""
    try:
        return _given(await tool.call(arguments, context))
    except ToolError as exc:
        return _given(ToolOutput(str(exc), is_error=True))
    except ToolUnavailable:
        return _UNREACHABLE
    except NoResult as exc:
        return Outcome(ToolStatus.FAILED, error=str(exc))
    except BaseException as exc:  # SystemExit and GeneratorExit too: it is the tool that ends, not the server
        if isinstance(exc, asyncio.CancelledError) and _is_to_end():
            raise
        return _broken(exc, tool, context)


def _is_to_end() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _broken(failure: BaseException, tool: RunnableTool, context: CallContext) -> Outcome:
    """The outcome of a failure that the tool did not mean to be told; the log has it."""
    facts = {"tool": tool.info.name, "request_id": context.request_id}
    _logger.error("tool failed", exc_info=failure, extra=facts)
    return Outcome(ToolStatus.FAILED, error="The tool failed unexpectedly.")


def _given(output: ToolOutput) -> Outcome:
    if output.is_error:
        return Outcome(ToolStatus.FAILED, output.text, "The tool reported an error.")
    return Outcome(ToolStatus.OK, output.text)
