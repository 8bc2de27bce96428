"""`Toolbox`: all tools that the agent may call."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from reasoning_grpc.config import Config, ConfigError, McpServerEntry, ToolEntry, suggest
from reasoning_grpc.domain import (
    CallContext,
    Caller,
    McpServerInfo,
    McpServerState,
    ToolCall,
    ToolExecution,
    ToolInfo,
    ToolState,
)
from reasoning_grpc.tools.functions import FunctionTools
from reasoning_grpc.tools.results import cut
from reasoning_grpc.tools.runner import NOT_AVAILABLE, STOP_SECONDS, ToolRunner
from reasoning_grpc.tools.tool import RunnableTool

if TYPE_CHECKING:  # the SDK takes most of a second to import, so only servers of MCP pay for it
    from reasoning_grpc.tools.mcp_server import McpServer

_logger = logging.getLogger("reasoning_grpc.tools")


def find_tool_problems(config: Config) -> list[str]:
    """Returns what is wrong with the tools of a configuration. It imports the functions that are switched on."""
    functions = FunctionTools(config.tools, config.mcp_servers.values())
    names = functions.tools.keys() | functions.off.keys()
    prefixes = tuple(server.prefix for server in config.mcp_servers.values())
    unknown = [
        f"callers.{caller.name}.allowed_tools: {name!r} is not a tool{suggest(name, names)}"
        for caller in config.callers.values()
        for name in sorted((caller.allowed_tools or frozenset()) - names)
        if not name.startswith(prefixes)
    ]
    return functions.problems + unknown


def list_tools_of_callers(config: Config) -> dict[str, frozenset[str]]:
    """Returns the tools that the configuration names for each caller."""
    return {caller.name: caller.allowed_tools or frozenset() for caller in config.callers.values()}


class Toolbox:
    """All tools by name. It needs a running event loop, `start` before use and `aclose` after it."""

    def __init__(
        self,
        entries: Mapping[str, ToolEntry],
        servers: Mapping[str, McpServerEntry],
        *,
        tools_of_callers: Mapping[str, Collection[str]] | None = None,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        """`tools_of_callers` are the tools that the configuration names for each caller; unknown ones are reported.

        `stop_seconds` is the time that a cancelled tool has to stop; after it, the toolbox no longer waits for it.

        Raises ConfigError for functions that cannot be loaded.
        """
        functions = FunctionTools(entries, servers.values())
        if functions.problems:
            raise ConfigError(functions.problems)
        self._functions: Final = functions.tools
        self._threads: Final = functions.threads
        self._off: Final = functions.off
        self._prefixes: Final = tuple(server.prefix for server in servers.values())
        self._servers: Final = _create_mcp_servers(entries, servers, tools_of_callers or {})
        self._runner: Final = ToolRunner(stop_seconds)
        self._closed = False

    async def start(self) -> None:
        """Starts the threads of the tools, and to connect to the MCP servers, and waits for none of them.

        Raises ThreadsNotStarted.
        """
        self._threads.start(sum(tool.most_threads for tool in self._functions.values()))
        for server in self._servers:
            server.start()

    async def wait_for_first_attempts(self) -> None:
        """Waits until the first attempt to connect to each MCP server has succeeded or failed."""
        await asyncio.gather(*(server.wait_for_first_attempt() for server in self._servers))

    async def wait_for_required(self) -> None:
        """Waits until each required MCP server has connected once, or the toolbox was closed."""
        required = [server for server in self._servers if server.is_required]
        if missing := [server.info().name for server in required if not server.has_connected]:
            _logger.info("waiting for required mcp servers", extra={"mcp_servers": missing})
        await asyncio.gather(*(server.wait_for_first_connection() for server in required))

    async def wait_for_lists(self, caller: Caller, allowed: Collection[str] | None, seconds: float) -> None:
        """Waits for the first attempts to connect to the MCP servers that may offer tools to a request."""
        waited = [server.wait_for_first_attempt() for server in self._servers if server.may_offer(caller, allowed)]
        if not waited:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*waited)

    def list_unready_servers(self, caller: Caller, allowed: Collection[str] | None) -> tuple[str, ...]:
        """Returns the MCP servers that may offer tools to a request and are not connected now."""
        infos = (server.info() for server in self._servers if server.may_offer(caller, allowed))
        return tuple(info.name for info in infos if info.state is not McpServerState.CONNECTED)

    def may_exist(self, name: str) -> bool:
        """Returns whether there is a tool of this name, or an MCP server that may list one at another time."""
        return name in self._functions or name in self._off or name.startswith(self._prefixes)

    def list_all(self) -> tuple[ToolInfo, ...]:
        """Returns every known tool with its state, ordered by name."""
        infos = [tool.info for tool in self._functions.values()] + list(self._off.values())
        infos += [server.tool_info(tool) for server in self._servers for tool in server.tools.values()]
        return tuple(sorted(infos, key=lambda info: info.name))

    def list_servers(self) -> tuple[McpServerInfo, ...]:
        """Returns the MCP servers with their states."""
        return tuple(server.info() for server in self._servers)

    def list_usable(self, caller: Caller, allowed: Collection[str] | None = None) -> tuple[ToolInfo, ...]:
        """Returns the tools that can be called now and that the caller may run, ordered by name.

        `allowed` are the names to which the request restricts them; None means no restriction.
        """
        return tuple(
            info
            for info in self.list_all()
            if info.state is ToolState.AVAILABLE and _may_run(info.name, caller, allowed)
        )

    async def run(
        self,
        call: ToolCall,
        context: CallContext,
        *,
        allowed: Collection[str] | None = None,
        timeout_seconds: float | None = None,
    ) -> ToolExecution:
        """Runs a call and returns its execution. A failure raises nothing: it is an execution with that status.

        `timeout_seconds` is the absolute limit. The tool's own limit may end the call earlier; progress that the tool
        reports renews it. With None, the tool's own limit is absolute. A tool that has not ended by then is cancelled,
        and gets a moment to stop. When this call is cancelled, it cancels the tool, waits for it up to `stop_seconds`,
        and lets the cancellation pass. A tool that does not stop keeps its place until it does; a thread runs to its
        end.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        tool = self._find_usable(call.name, context.caller, allowed)
        max_characters = 0 if tool is None else tool.limits.max_result_characters
        outcome = NOT_AVAILABLE
        if tool is not None:
            outcome = await self._runner.run(tool, call.arguments, context, timeout_seconds)
        text, truncated = cut(outcome.text, max_characters) if outcome.text else ("", False)
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
        """Stops the tools that run, and closes all connections."""
        self._closed = True
        await self._runner.aclose()
        self._threads.stop()
        await asyncio.gather(*(server.aclose() for server in self._servers))
        if threads := sum(tool.threads_running for tool in self._functions.values()):
            _logger.warning("tools run on in threads", extra={"threads": threads})

    def _find_usable(self, name: str, caller: Caller, allowed: Collection[str] | None) -> RunnableTool | None:
        if self._closed or not _may_run(name, caller, allowed):
            return None
        found = (server.tools[name] for server in self._servers if name in server.tools)
        tool: RunnableTool | None = self._functions.get(name) or next(found, None)
        return None if tool is None or tool.info.state is ToolState.OFF else tool


def _may_run(name: str, caller: Caller, allowed: Collection[str] | None) -> bool:
    return caller.may_use_tool(name) and (allowed is None or name in allowed)


def _create_mcp_servers(
    entries: Mapping[str, ToolEntry],
    servers: Mapping[str, McpServerEntry],
    tools_of_callers: Mapping[str, Collection[str]],
) -> "tuple[McpServer, ...]":
    if not servers:
        return ()
    from reasoning_grpc.tools.mcp_server import McpServer

    places = {f"tools.{name}": name for name in entries}
    for caller, names in tools_of_callers.items():
        places |= {f"callers.{caller}.allowed_tools: {name!r}": name for name in sorted(names)}
    return tuple(McpServer(entry, entries, places) for entry in servers.values())
