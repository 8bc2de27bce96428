"""`Toolbox`: all tools that the agent may call."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping
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
        previous: "Toolbox | None" = None,
    ) -> None:
        """`tools_of_callers` are the tools that the configuration names for each caller; unknown ones are reported.

        `stop_seconds` is the time that a cancelled tool has to stop; after it, the toolbox no longer waits for it.
        Of a `previous` toolbox, which runs, it takes what the configuration did not change: the functions, and the
        connections to MCP servers.

        Raises ConfigError for functions that cannot be loaded.
        """
        self._entries: Final = entries
        self._prefixes: Final = tuple(server.prefix for server in servers.values())
        self._loaded: Final = self._load_functions(servers.values(), previous)
        if self._loaded.problems:
            raise ConfigError(self._loaded.problems)
        self._functions: Final = self._loaded.tools
        self._off: Final = self._loaded.off
        self._named_tools: Final = _list_named_tools(entries, tools_of_callers or {})
        kept = {} if previous is None else previous._find_same_servers(entries, servers)
        self._new_servers: Final = _create_mcp_servers(
            entries, [entry for entry in servers.values() if entry.name not in kept], self._named_tools
        )
        created = {server.name: server for server in self._new_servers}
        self._servers: Final = tuple((kept | created)[name] for name in servers)
        self._runner: Final[ToolRunner] = ToolRunner(stop_seconds) if previous is None else previous._runner
        self._previous_functions: Final = None if previous is None else previous._loaded
        self._closed = False

    async def start(self) -> None:
        """Starts the threads of the tools, and to connect to the MCP servers, and waits for none of them.

        Raises ThreadsNotStarted.
        """
        if self._loaded is not self._previous_functions:
            self._loaded.threads.start(sum(tool.most_threads for tool in self._functions.values()))
        for server in self._new_servers:
            server.start()

    async def find_unmet_requirements(self) -> list[str]:
        """Waits for the first attempts to connect; returns a sentence for each required MCP server that is down."""
        await self.wait_for_first_attempts()
        return [
            f"mcp_servers.{server.name}: is required, and is down: {server.info().problem}"
            for server in self._servers
            if server.is_required and not server.has_connected
        ]

    def take_over(self) -> None:
        """Takes the place of the previous toolbox: the servers that were kept check the names of this configuration."""
        for server in self._servers:
            if server not in self._new_servers:
                server.name_tools(self._named_tools)

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
        self._loaded.threads.stop()
        await asyncio.gather(*(server.aclose() for server in self._servers))
        self._report_threads()

    async def aclose_beside(self, other: "Toolbox") -> None:
        """Closes what the other toolbox does not use, once no call uses it any more."""
        self._closed = True
        if self._loaded is not other._loaded:
            self._loaded.threads.stop()
            self._report_threads()
        await asyncio.gather(*(server.aclose() for server in self._servers if server not in other._servers))

    def _report_threads(self) -> None:
        if threads := sum(tool.threads_running for tool in self._functions.values()):
            _logger.warning("tools run on in threads", extra={"threads": threads})

    def _load_functions(self, servers: Iterable[McpServerEntry], previous: "Toolbox | None") -> FunctionTools:
        """Loads the functions, or returns those of the previous toolbox when nothing changed."""
        if previous is not None and previous._prefixes == self._prefixes:
            own = [name for name in (*self._entries, *previous._entries) if not name.startswith(self._prefixes)]
            if all(self._entries.get(name) == previous._entries.get(name) for name in own):
                return previous._loaded
        return FunctionTools(self._entries, servers)

    def _find_same_servers(
        self, entries: Mapping[str, ToolEntry], servers: Mapping[str, McpServerEntry]
    ) -> "dict[str, McpServer]":
        """Returns the servers whose own entries, and those of their tools, are the same here."""
        return {
            server.name: server
            for server in self._servers
            if server.entry == servers.get(server.name)
            and _select(self._entries, server.entry.prefix) == _select(entries, server.entry.prefix)
        }

    def _find_usable(self, name: str, caller: Caller, allowed: Collection[str] | None) -> RunnableTool | None:
        if self._closed or not _may_run(name, caller, allowed):
            return None
        found = (server.tools[name] for server in self._servers if name in server.tools)
        tool: RunnableTool | None = self._functions.get(name) or next(found, None)
        return None if tool is None or tool.info.state is ToolState.OFF else tool


def _may_run(name: str, caller: Caller, allowed: Collection[str] | None) -> bool:
    return caller.may_use_tool(name) and (allowed is None or name in allowed)


def _select(entries: Mapping[str, ToolEntry], prefix: str) -> dict[str, ToolEntry]:
    return {name: entry for name, entry in entries.items() if name.startswith(prefix)}


def _list_named_tools(
    entries: Mapping[str, ToolEntry], tools_of_callers: Mapping[str, Collection[str]]
) -> dict[str, str]:
    """Returns the public names of tools that the configuration mentions, by the places where it does."""
    places = {f"tools.{name}": name for name in entries}
    for caller, names in tools_of_callers.items():
        places |= {f"callers.{caller}.allowed_tools: {name!r}": name for name in sorted(names)}
    return places


def _create_mcp_servers(
    entries: Mapping[str, ToolEntry], servers: Collection[McpServerEntry], named_tools: Mapping[str, str]
) -> "tuple[McpServer, ...]":
    if not servers:
        return ()
    from reasoning_grpc.tools.mcp_server import McpServer

    return tuple(McpServer(entry, entries, named_tools) for entry in servers)
