"""`ToolRunner`: runs tools within their limits, and converts whatever they do to an outcome."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.domain import CallContext, ToolStatus
from reasoning_grpc.tools.errors import (
    ArgumentsProblem,
    InputRequired,
    NoResult,
    ResultProblem,
    ToolError,
    ToolUnavailable,
)
from reasoning_grpc.tools.results import ToolOutput
from reasoning_grpc.tools.time_limit import TimeLimit
from reasoning_grpc.tools.tool import ProgressCallback, RunnableTool

STOP_SECONDS: Final = 5.0
"""The time that a cancelled tool has to stop."""
_LATE_STOP_SECONDS: Final = 0.25
"""The time that a tool has to stop after its timeout. It is short because the caller of the tool has no time left."""

_logger = logging.getLogger("reasoning_grpc.tools")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a call."""

    status: ToolStatus
    text: str = ""
    error: str = ""


NOT_AVAILABLE: Final = Outcome(ToolStatus.NOT_AVAILABLE, error="There is no such tool, or it may not be used here.")
_UNREACHABLE: Final = Outcome(ToolStatus.NOT_AVAILABLE, error="The tool cannot be reached now.")
_TIMED_OUT: Final = Outcome(ToolStatus.TIMED_OUT, error="The tool took too long and was stopped.")
_NO_TIME: Final = Outcome(ToolStatus.TIMED_OUT, error="The tool was not started, because no time was left.")
_NO_TURN: Final = Outcome(
    ToolStatus.TIMED_OUT, error="The tool was not started, because other calls of it ran all the time."
)
_INPUT_REQUIRED: Final = (
    "The tool needs input that it cannot get here. If only the user can give it, ask the user for it in the answer."
)
_CANCELLED: Final = Outcome(ToolStatus.CANCELLED, error="The server stopped the tool.")


class ToolRunner:
    """Runs each tool in a task of its own. It must be closed."""

    def __init__(self, stop_seconds: float) -> None:
        """`stop_seconds` is the time that a cancelled tool has to stop; after it, the runner no longer waits for it."""
        self._stop_seconds: Final = stop_seconds
        self._turns: Final[dict[tuple[str, int], asyncio.Semaphore]] = {}
        """The places of each tool, by its name and their number, which another configuration may change."""
        self._running: Final[dict[asyncio.Task[Outcome], str]] = {}
        """The tasks that run, each with the name of its tool."""
        self._closed = False

    async def run(
        self, tool: RunnableTool, arguments_text: str, context: CallContext, timeout_seconds: float | None
    ) -> Outcome:
        """Runs a tool and returns how it ended. For `timeout_seconds` see `Toolbox.run`."""
        try:
            arguments = tool.parse_arguments(arguments_text)
        except ArgumentsProblem as exc:
            return Outcome(ToolStatus.INVALID_ARGUMENTS, error=f"The arguments do not fit the tool's schema: {exc}.")
        except ToolError as exc:
            return Outcome(ToolStatus.INVALID_ARGUMENTS, str(exc), "The tool does not take the arguments.")
        except Exception as exc:  # a check in one of the function's own types
            return _report_failure(exc, tool, context)
        limit = TimeLimit(tool.limits.timeout_seconds, timeout_seconds)
        facts = {"request_id": context.request_id, "tool": tool.info.name}
        _logger.debug("tool is called", extra=facts)
        outcome = await self._run_in_turn(tool, arguments, context, limit) if limit.left_seconds() > 0 else _NO_TIME
        _logger.debug("tool has ended", extra={**facts, "status": outcome.status})
        return outcome

    async def _run_in_turn(
        self, tool: RunnableTool, arguments: Mapping[str, Any], context: CallContext, limit: TimeLimit
    ) -> Outcome:
        """Waits for a place, runs the tool in a task of its own, and frees the place when the task has ended."""
        places = tool.limits.concurrency
        turns = self._turns.setdefault((tool.info.name, places), asyncio.Semaphore(places))
        try:
            async with asyncio.timeout_at(limit.ends):
                await turns.acquire()
        except TimeoutError:
            return _NO_TURN
        if self._closed:
            turns.release()
            return _CANCELLED
        work = asyncio.create_task(_call_tool(tool, arguments, context, limit.renew), name=f"tool {tool.info.name}")
        self._running[work] = tool.info.name
        work.add_done_callback(self._running.pop)
        work.add_done_callback(lambda _: turns.release())
        return await self._wait_for_end(work, limit)

    async def _wait_for_end(self, work: asyncio.Task[Outcome], limit: TimeLimit) -> Outcome:
        """Waits for the task within its limit, stops it then, and returns its outcome."""
        try:
            while not work.done() and limit.left_seconds() > 0:
                await asyncio.wait({work}, timeout=limit.left_seconds())
            if not work.done():
                await self._stop(work, _LATE_STOP_SECONDS)
                return _TIMED_OUT
        except asyncio.CancelledError:
            await self._stop(work, self._stop_seconds)
            raise
        return _CANCELLED if work.cancelled() else work.result()

    async def _stop(self, work: asyncio.Task[Outcome], seconds: float) -> None:
        """Cancels the task and waits for its end for this many seconds; a later end is logged."""
        facts = {"tool": self._running.get(work, "")}
        work.cancel()
        await asyncio.wait({work}, timeout=seconds)
        if not work.done():
            _logger.warning("tool does not stop", extra=facts)
            work.add_done_callback(lambda _: _logger.info("tool has stopped", extra=facts))

    async def aclose(self) -> None:
        """Stops the tools that run and those that wait for a place."""
        self._closed = True
        for work in self._running:
            work.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._stop_seconds)
        for name in self._running.values():
            _logger.warning("tool does not stop", extra={"tool": name})


async def _call_tool(
    tool: RunnableTool, arguments: Mapping[str, Any], context: CallContext, on_progress: ProgressCallback
) -> Outcome:
    """Calls the tool, and converts its result or its exception to an outcome. A cancellation of this task passes."""
    try:
        return _convert_output(await tool.call(arguments, context, on_progress))
    except ToolError as exc:
        return _convert_output(ToolOutput(str(exc), is_error=True))
    except ToolUnavailable:
        return _UNREACHABLE
    except InputRequired as exc:
        return Outcome(ToolStatus.INPUT_REQUIRED, str(exc), _INPUT_REQUIRED)
    except ResultProblem as exc:
        return Outcome(ToolStatus.FAILED, str(exc), "The tool's result does not fit its own output schema.")
    except NoResult as exc:
        return Outcome(ToolStatus.FAILED, error=str(exc))
    except BaseException as exc:  # SystemExit and GeneratorExit as well: they end the tool, not the server
        if isinstance(exc, asyncio.CancelledError) and _is_cancelled():
            raise
        return _report_failure(exc, tool, context)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _report_failure(failure: BaseException, tool: RunnableTool, context: CallContext) -> Outcome:
    """Logs an unexpected exception of a tool, and returns an outcome without its text."""
    facts = {"tool": tool.info.name, "request_id": context.request_id}
    _logger.error("tool failed", exc_info=failure, extra=facts)
    return Outcome(ToolStatus.FAILED, error="The tool failed unexpectedly.")


def _convert_output(output: ToolOutput) -> Outcome:
    if output.is_error:
        return Outcome(ToolStatus.FAILED, output.text, "The tool reported an error.")
    return Outcome(ToolStatus.OK, output.text)
