"""`Toolbox`: all tools that the agent may call, as one."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from reasoning_grpc.config import Config, ConfigError, McpServerEntry, ToolEntry
from reasoning_grpc.domain import (
    CallContext,
    Caller,
    McpServerInfo,
    ToolCall,
    ToolExecution,
    ToolInfo,
    ToolState,
)
from reasoning_grpc.tools.functions import FoundFunctions
from reasoning_grpc.tools.results import cut
from reasoning_grpc.tools.runner import NOT_AVAILABLE, STOP_SECONDS, ToolRunner
from reasoning_grpc.tools.tool import RunnableTool

if TYPE_CHECKING:  # the SDK takes most of a second to import: only where there are MCP servers
    from reasoning_grpc.tools.mcp_server import McpServer

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


class Toolbox:
    """The tools by name. Wants a running event loop; `start` it before, and `aclose` it after use."""

    def __init__(
        self,
        entries: Mapping[str, ToolEntry],
        servers: Mapping[str, McpServerEntry],
        *,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        """`stop_seconds` is how long a tool may take to stop that is cancelled; then it is left.

        Raises ConfigError for functions that cannot be loaded.
        """
        found = FoundFunctions(entries, servers.values())
        if found.problems:
            raise ConfigError(found.problems)
        self._functions: Final = found.tools
        self._off: Final = found.off
        self._servers: Final = _mcp_servers(entries, servers)
        self._runner: Final = ToolRunner(stop_seconds)
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
        outcome = NOT_AVAILABLE
        if tool is not None:
            outcome = await self._runner.outcome(tool, call.arguments, context, timeout_seconds)
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
        await self._runner.aclose()
        await asyncio.gather(*(server.aclose() for server in self._servers))
        if threads := sum(tool.threads_running for tool in self._functions.values()):
            _logger.warning("tools run on in threads", extra={"threads": threads})

    def _usable(self, name: str, caller: Caller, allowed: Collection[str] | None) -> RunnableTool | None:
        if self._closed or not _may_run(name, caller, allowed):
            return None
        found = (server.tools[name] for server in self._servers if name in server.tools)
        tool: RunnableTool | None = self._functions.get(name) or next(found, None)
        return None if tool is None or tool.info.state is ToolState.OFF else tool


def _may_run(name: str, caller: Caller, allowed: Collection[str] | None) -> bool:
    return caller.may_run(name) and (allowed is None or name in allowed)


def _mcp_servers(entries: Mapping[str, ToolEntry], servers: Mapping[str, McpServerEntry]) -> "tuple[McpServer, ...]":
    if not servers:
        return ()
    from reasoning_grpc.tools.mcp_server import McpServer

    return tuple(McpServer(entry, entries) for entry in servers.values())
