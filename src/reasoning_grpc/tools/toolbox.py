"""`Toolbox`: all tools that the agent may call, as one, and the running of them."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reasoning_grpc.config import Config, ConfigError, McpServerEntry, ToolEntry
from reasoning_grpc.tools.errors import ArgumentsProblem, NoResult, ToolError, ToolUnavailable
from reasoning_grpc.tools.functions import FoundFunctions
from reasoning_grpc.tools.results import ToolOutput, cut
from reasoning_grpc.tools.tool import RunnableTool
from reasoning_grpc.types import (
    CallContext,
    Caller,
    McpServerInfo,
    ToolCall,
    ToolExecution,
    ToolInfo,
    ToolState,
    ToolStatus,
)

if TYPE_CHECKING:  # the SDK takes most of a second to import: only where there are MCP servers
    from reasoning_grpc.tools.mcp_server import McpServer

_STOP_SECONDS: Final = 5.0
_LATE_STOP_SECONDS: Final = 0.25
"""The same after a timeout, when whoever waits has no time left, and goes on without it."""

_logger = logging.getLogger("reasoning_grpc.tools")


def tool_problems(config: Config) -> list[str]:
    """What is wrong with the tools of a configuration; imports the functions that are switched on."""
    found = FoundFunctions(config.tools, config.mcp_servers.values())
    names = found.tools.keys() | found.off.keys()
    prefixes = tuple(server.prefix for server in config.mcp_servers.values())
    strangers = [
        f"callers.{caller.name}.allowed_tools: {name!r} is not a tool"
        for caller in config.callers.values()
        for name in sorted((caller.allowed_tools or frozenset()) - names)
        if not name.startswith(prefixes)
    ]
    return found.problems + strangers


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a call has ended."""

    status: ToolStatus
    text: str = ""
    error: str = ""


_NOT_AVAILABLE: Final = _Outcome(ToolStatus.NOT_AVAILABLE, error="There is no such tool, or it may not be used here.")
_UNREACHABLE: Final = _Outcome(ToolStatus.NOT_AVAILABLE, error="The tool cannot be reached now.")
_TIMED_OUT: Final = _Outcome(ToolStatus.TIMED_OUT, error="The tool took too long and was stopped.")
_CANCELLED: Final = _Outcome(ToolStatus.CANCELLED, error="The server stopped the tool.")


class Toolbox:
    """The tools by name. Wants a running event loop; `start` it before, and `aclose` it after use."""

    def __init__(
        self,
        entries: Mapping[str, ToolEntry],
        servers: Mapping[str, McpServerEntry],
        *,
        stop_seconds: float = _STOP_SECONDS,
    ) -> None:
        """`stop_seconds` is how long a cancelled tool may take to stop; then it is left.

        Raises ConfigError for functions that cannot be loaded.
        """
        found = FoundFunctions(entries, servers.values())
        if found.problems:
            raise ConfigError(found.problems)
        self._functions: Final = found.tools
        self._off: Final = found.off
        self._servers: Final = _mcp_servers(entries, servers)
        self._turns: Final[dict[str, asyncio.Semaphore]] = {}
        self._running: Final[dict[asyncio.Task[_Outcome], str]] = {}
        """With the name of its tool."""
        self._stop_seconds: Final = stop_seconds
        self._closed = False

    async def start(self) -> None:
        """Begins to connect to the MCP servers, and waits for none of them."""
        for server in self._servers:
            server.start()

    async def first_attempts(self) -> None:
        """Returns when each MCP server was connected, or could not be, for the first time."""
        await asyncio.gather(*(server.first_attempt() for server in self._servers))

    def listed(self) -> tuple[ToolInfo, ...]:
        """Every tool that is known, with its state, by name."""
        infos = [tool.info for tool in self._functions.values()] + list(self._off.values())
        infos += [server.tool_info(tool) for server in self._servers for tool in server.tools.values()]
        return tuple(sorted(infos, key=lambda info: info.name))

    def servers(self) -> tuple[McpServerInfo, ...]:
        """The MCP servers, with their states."""
        return tuple(server.info() for server in self._servers)

    def offered(self, caller: Caller, allowed: Collection[str] | None = None) -> tuple[ToolInfo, ...]:
        """The tools that can be called now and that the caller may run, by name.

        `allowed` are those to which a request narrows them; None: it does not.
        """
        return tuple(
            info for info in self.listed() if info.state is ToolState.AVAILABLE and _may_run(info.name, caller, allowed)
        )

    async def run(
        self,
        call: ToolCall,
        context: CallContext,
        *,
        allowed: Collection[str] | None = None,
        timeout_seconds: float | None = None,
    ) -> ToolExecution:
        """Runs a call to its end, whatever that is: a failure is an execution with that status.

        `timeout_seconds` shortens the tool's own limit. A tool that has not ended by then is cancelled, and waited for
        for a moment more. Cancelled, it cancels the tool, waits until that has stopped, or for five seconds, and lets
        the cancellation pass. A tool that does not stop keeps its turn until it does; a thread goes on to its end.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        tool = self._usable(call.name, context.caller, allowed)
        most_characters = 0 if tool is None else tool.limits.max_result_characters
        outcome = _NOT_AVAILABLE if tool is None else await self._outcome(tool, call, context, timeout_seconds)
        text, truncated = cut(outcome.text, most_characters) if outcome.text else ("", False)
        return ToolExecution(
            call_id=call.id,
            name=call.name,
            arguments=call.arguments,
            status=outcome.status,
            result=text,
            result_truncated=truncated,
            error=outcome.error,
            duration_seconds=loop.time() - began,
        )

    async def aclose(self) -> None:
        """Stops the tools that run, and closes every connection."""
        self._closed = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._stop_seconds)
        for name in self._running.values():
            _logger.warning("tool does not stop", extra={"tool": name})
        await asyncio.gather(*(server.aclose() for server in self._servers))
        if threads := sum(tool.threads_running for tool in self._functions.values()):
            _logger.warning("tools run on in threads", extra={"threads": threads})

    def _usable(self, name: str, caller: Caller, allowed: Collection[str] | None) -> RunnableTool | None:
        if self._closed or not _may_run(name, caller, allowed):
            return None
        found = (server.tools[name] for server in self._servers if name in server.tools)
        tool: RunnableTool | None = self._functions.get(name) or next(found, None)
        return None if tool is None or tool.info.state is ToolState.OFF else tool

    async def _outcome(
        self, tool: RunnableTool, call: ToolCall, context: CallContext, timeout_seconds: float | None
    ) -> _Outcome:
        try:
            arguments = tool.arguments(call.arguments)
        except ArgumentsProblem as exc:
            return _Outcome(ToolStatus.INVALID_ARGUMENTS, error=f"The arguments do not fit the tool's schema: {exc}.")
        except Exception as exc:  # a check of the function's own, in one of its types
            return _broken(exc, tool, context)
        own_limit = tool.limits.timeout_seconds
        limit_seconds = own_limit if timeout_seconds is None else min(own_limit, timeout_seconds)
        return await self._in_turn(tool, arguments, context, limit_seconds) if limit_seconds > 0 else _TIMED_OUT

    async def _in_turn(
        self, tool: RunnableTool, arguments: Mapping[str, Any], context: CallContext, limit_seconds: float
    ) -> _Outcome:
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

    async def _ended(self, work: asyncio.Task[_Outcome], ends: float) -> _Outcome:
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

    async def _stop(self, work: asyncio.Task[_Outcome], seconds: float) -> None:
        """Cancels the work, and waits so long for its end; one that comes later is logged."""
        facts = {"tool": self._running.get(work, "")}
        work.cancel()
        await asyncio.wait({work}, timeout=seconds)
        if not work.done():
            _logger.warning("tool does not stop", extra=facts)
            work.add_done_callback(lambda _: _logger.info("tool has stopped", extra=facts))


async def _work(tool: RunnableTool, arguments: Mapping[str, Any], context: CallContext) -> _Outcome:
    """Runs the tool. Whatever it raises is how it ended, but for a cancellation that was meant."""
    try:
        return _given(await tool.call(arguments, context))
    except ToolError as exc:
        return _given(ToolOutput(str(exc), is_error=True))
    except ToolUnavailable:
        return _UNREACHABLE
    except NoResult as exc:
        return _Outcome(ToolStatus.FAILED, error=str(exc))
    except BaseException as exc:  # SystemExit and GeneratorExit too: it is the tool that ends, not the server
        task = asyncio.current_task()
        if isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        return _broken(exc, tool, context)


def _broken(failure: BaseException, tool: RunnableTool, context: CallContext) -> _Outcome:
    """The outcome of a failure that the tool did not mean to be told; the log has it."""
    facts = {"tool": tool.info.name, "request_id": context.request_id}
    _logger.error("tool failed", exc_info=failure, extra=facts)
    return _Outcome(ToolStatus.FAILED, error="The tool failed unexpectedly.")


def _given(output: ToolOutput) -> _Outcome:
    if output.is_error:
        return _Outcome(ToolStatus.FAILED, output.text, "The tool reported an error.")
    return _Outcome(ToolStatus.OK, output.text)


def _may_run(name: str, caller: Caller, allowed: Collection[str] | None) -> bool:
    return caller.may_run(name) and (allowed is None or name in allowed)


def _mcp_servers(entries: Mapping[str, ToolEntry], servers: Mapping[str, McpServerEntry]) -> "tuple[McpServer, ...]":
    if not servers:
        return ()
    from reasoning_grpc.tools.mcp_server import McpServer

    return tuple(McpServer(entry, entries) for entry in servers.values())
