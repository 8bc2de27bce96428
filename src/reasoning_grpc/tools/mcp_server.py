"""`McpServer`: the connection to one MCP server, made again whenever it is lost, and the tools it has."""

import asyncio
import logging
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, Final

import httpx2
from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp_types import CONNECTION_CLOSED, Implementation, ToolListChangedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from reasoning_grpc.config import McpServerEntry, ToolEntry
from reasoning_grpc.domain import CallContext, McpServerInfo, McpServerState, ToolInfo, ToolState
from reasoning_grpc.tools.errors import ToolUnavailable
from reasoning_grpc.tools.mcp_call import failure_of_call, output_of_call
from reasoning_grpc.tools.mcp_listing import McpListing
from reasoning_grpc.tools.mcp_tool import McpTool
from reasoning_grpc.tools.mcp_transport import transport
from reasoning_grpc.tools.results import ToolOutput

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 30.0
_GOOD_RUN_SECONDS: Final = 30.0
"""After a connection of this length the next one is made without delay."""
_CHECK_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.1
"""Between two readings of the list, however often the server says that it has changed."""
_CLOSE_SECONDS: Final = 10.0
"""The SDK takes up to 7 s for a process that does not want to end."""

_logger = logging.getLogger("reasoning_grpc.tools")


class McpServer:
    """One MCP server. Its trouble is its own: nothing here fails but calls of its tools."""

    def __init__(
        self, entry: McpServerEntry, tool_entries: Mapping[str, ToolEntry], *, check_seconds: float = _CHECK_SECONDS
    ) -> None:
        """`tool_entries` are the configuration's, by the names under which tools are offered.

        `check_seconds` is how often the list is read although nothing says that it has changed.
        """
        self._entry = entry
        self._listing = McpListing(entry, tool_entries, self._call)
        self._check_seconds = check_seconds
        self._client: Client | None = None
        self._state = McpServerState.CONNECTING
        self._problem = ""
        self._http_status = 0
        self._ended = False
        self._closing = False
        self._look = asyncio.Event()
        """Set when the list may have changed, or the connection may be lost."""
        self._attempted = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to connect, and goes on for ever."""
        self._keeper = asyncio.create_task(self._keep_connected(), name=f"mcp server {self._entry.name}")

    async def first_attempt(self) -> None:
        """Returns when it was connected for the first time, or could not be, or was closed."""
        await self._attempted.wait()

    @property
    def tools(self) -> Mapping[str, McpTool]:
        """Its tools, by the names under which they are offered; while it is down, those that it had."""
        return self._listing.tools

    def tool_info(self, tool: McpTool) -> ToolInfo:
        """What is known of one of them now."""
        if tool.info.state is ToolState.OFF or self._client is not None:
            return tool.info
        return replace(tool.info, state=ToolState.UNAVAILABLE)

    def info(self) -> McpServerInfo:
        """What is known of it now."""
        offered = sum(tool.info.state is not ToolState.OFF for tool in self.tools.values())
        return McpServerInfo(name=self._entry.name, state=self._state, tools=offered, problem=self._problem)

    async def aclose(self) -> None:
        """Ends the connection, and the process if there is one."""
        self._closing = True
        self._attempted.set()
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.wait({self._keeper}, timeout=_CLOSE_SECONDS)
        if not self._keeper.done():
            _logger.warning("mcp server does not end", extra={"mcp_server": self._entry.name})
            self._keeper.cancel()
            await asyncio.wait({self._keeper}, timeout=_CLOSE_SECONDS)

    async def _keep_connected(self) -> None:
        """The task that enters the SDK's contexts, and so the one that leaves them."""
        loop, delay_seconds = asyncio.get_running_loop(), _FIRST_DELAY_SECONDS
        while True:
            began = loop.time()
            problem = await self._problem_of_connection()
            if self._is_to_end():
                return
            if loop.time() - began >= _GOOD_RUN_SECONDS:
                delay_seconds = _FIRST_DELAY_SECONDS
            self._down(problem, delay_seconds)
            await asyncio.sleep(delay_seconds * random.uniform(0.5, 1.0))
            delay_seconds = min(2 * delay_seconds, _LONGEST_DELAY_SECONDS)

    async def _problem_of_connection(self) -> str:
        """Connects, and stays connected; why that has ended."""
        self._http_status, self._ended = 0, False
        self._look.clear()
        streams = transport(self._entry, on_end=self._on_end, on_status=self._on_status)
        client = Client(
            streams,
            client_info=Implementation(name="reasoning-grpc", version="1"),
            message_handler=self._on_message,
            cache=None,
        )
        try:
            await self._connected(client)
        except asyncio.CancelledError:
            if self._is_to_end():
                raise
        except (Exception, BaseExceptionGroup) as exc:
            return self._words_for(exc)
        return "the connection was lost"

    async def _connected(self, client: Client) -> None:
        """Returns when the server has ended the connection. Its end may also arrive as the SDK's cancellation."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._entry.connect_timeout_seconds):
                await stack.enter_async_context(client)
                await self._listing.read(client)
            self._up(client)
            try:
                await self._follow(client)
            finally:
                self._client = None

    async def _follow(self, client: Client) -> None:
        """Reads the list again whenever there is reason to."""
        listening = asyncio.create_task(self._listen(client), name=f"mcp changes {self._entry.name}")
        try:
            while not self._ended:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._check_seconds):
                        await self._look.wait()
                self._look.clear()
                if not self._ended:
                    async with asyncio.timeout(self._entry.connect_timeout_seconds):
                        await self._listing.read(client)
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _listen(self, client: Client) -> None:
        """Hears of changes where the protocol wants a request for that; elsewhere `_on_message` does."""
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            return
        with suppress(Exception):  # then the list is read every minute
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._look.set()

    async def _call(self, name: str, arguments: Mapping[str, Any], context: CallContext) -> ToolOutput:
        """Calls a tool. Raises ToolUnavailable, ToolError and NoResult."""
        client = self._client
        if client is None:
            raise ToolUnavailable
        try:
            return await output_of_call(client, name, arguments, context)
        except MCPError as exc:
            self._look.set()
            facts = {"mcp_server": self._entry.name, "code": exc.code, "request_id": context.request_id}
            _logger.warning("mcp server refused a call", extra=facts)
            raise failure_of_call(exc) from None

    def _up(self, client: Client) -> None:
        self._client = client
        self._state, self._problem = McpServerState.CONNECTED, ""
        self._attempted.set()
        _logger.info("mcp server connected", extra={"mcp_server": self._entry.name, "tools": len(self.tools)})

    def _down(self, problem: str, next_try_seconds: float) -> None:
        self._state, self._problem = McpServerState.DOWN, problem
        self._attempted.set()
        facts = {"mcp_server": self._entry.name, "problem": problem, "next_try_seconds": next_try_seconds}
        _logger.warning("mcp server is down", extra=facts)

    def _on_end(self) -> None:
        self._ended = True
        self._look.set()

    def _on_status(self, status: int) -> None:
        self._http_status = status

    async def _on_message(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._look.set()

    def _words_for(self, failure: BaseException) -> str:
        """Why the connection could not be made, or was lost; nothing of what the server says."""
        match failure:
            case BaseExceptionGroup(exceptions=(first, *_)):
                return self._words_for(first)
            case TimeoutError():
                return "it does not answer in time"
            case httpx2.TransportError():
                return "it cannot be reached"
            case MCPError() if self._http_status >= 400:
                return f"it answers HTTP {self._http_status}"
            case MCPError(code=code):
                return "the connection was lost" if code == CONNECTION_CLOSED else f"it refuses, code {code}"
            case ValidationError():
                return "it does not keep to the protocol"
            case OSError(strerror=reason):
                return f"its command cannot be started: {reason}"
            case _:
                return f"the connection failed: {type(failure).__name__}"

    def _is_to_end(self) -> bool:
        """Whether this task is to end, and not only what the SDK does in it.

        The SDK's cancel scopes can swallow a cancellation that comes together with one of theirs, and its count.
        """
        task = asyncio.current_task()
        return self._closing or (task is not None and task.cancelling() > 0)
