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
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    Tool,
    ToolListChangedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from opentelemetry.context import Context, attach, detach
from pydantic import ValidationError

from reasoning_grpc.config import McpServerEntry, ToolEntry
from reasoning_grpc.tools.errors import NoResult, ToolError, ToolUnavailable
from reasoning_grpc.tools.foreign_schema import ForeignSchema, UnusableSchema
from reasoning_grpc.tools.mcp_tool import McpTool, described, public_name
from reasoning_grpc.tools.mcp_transport import transport
from reasoning_grpc.tools.results import ToolOutput, text_of_content
from reasoning_grpc.types import CallContext, McpServerInfo, McpServerState, ToolInfo, ToolSource, ToolState

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 30.0
_GOOD_RUN_SECONDS: Final = 30.0
"""After a connection of this length the next one is made without delay."""
_CHECK_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.1
"""Between two readings of the list, however often the server says that it has changed."""
_MOST_TOOLS: Final = 1000
_MOST_PAGES: Final = 100
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
        self._tool_entries = tool_entries
        self._check_seconds = check_seconds
        self._tools: dict[str, McpTool] = {}
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
        return self._tools

    def tool_info(self, tool: McpTool) -> ToolInfo:
        """What is known of one of them now."""
        if tool.info.state is ToolState.OFF or self._client is not None:
            return tool.info
        return replace(tool.info, state=ToolState.UNAVAILABLE)

    def info(self) -> McpServerInfo:
        """What is known of it now."""
        offered = sum(tool.info.state is not ToolState.OFF for tool in self._tools.values())
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
                await self._take(await self._listed(client))
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
                        await self._take(await self._listed(client))
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

    async def _listed(self, client: Client) -> list[Tool]:
        """Its tools, all pages."""
        tools: list[Tool] = []
        cursor: str | None = None
        if client.server_capabilities.tools is None:
            return tools
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += page.tools
            cursor = page.next_cursor
            if not cursor or len(tools) >= _MOST_TOOLS:
                break
        return tools[:_MOST_TOOLS]

    async def _take(self, listed: list[Tool]) -> None:
        """Offers what was listed, but for what the configuration leaves out, and what cannot be used."""
        taken: dict[str, McpTool] = {}
        for tool in listed:
            if self._entry.tools is not None and tool.name not in self._entry.tools:
                continue
            name = public_name(self._entry.prefix, tool.name)
            try:
                if name in taken:
                    raise UnusableSchema("another has its name")
                taken[name] = self._known(name, tool)
                await asyncio.sleep(0)  # a list may be long
            except UnusableSchema as exc:
                facts = {"mcp_server": self._entry.name, "tool": name, "problem": str(exc)}
                _logger.warning("tool of an mcp server is left out", extra=facts)
        self._tools = taken

    def _known(self, name: str, tool: Tool) -> McpTool:
        """One tool, checked once for as long as it stays the same. Raises UnusableSchema."""
        known = self._tools.get(name)
        if known is not None and known.definition == tool:
            return known
        entry = self._tool_entries.get(name) or ToolEntry(name=name)
        schema = ForeignSchema(tool.input_schema)
        info = ToolInfo(
            name=name,
            description=entry.description or described(tool.description or tool.title or ""),
            parameters_schema=schema.text,
            source=ToolSource.MCP,
            mcp_server=self._entry.name,
            state=ToolState.AVAILABLE if entry.enabled else ToolState.OFF,
        )
        return McpTool(tool, info, entry.limits(self._entry.limits), schema, self._call)

    async def _call(self, name: str, arguments: Mapping[str, Any], context: CallContext) -> ToolOutput:
        """Calls a tool. Raises ToolUnavailable, ToolError and NoResult.

        Not by the SDK's `call_tool`, which checks results against the server's own schema: that checks the server by
        its own word, and could take for ever.
        """
        client = self._client
        if client is None:
            raise ToolUnavailable
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))
        # The SDK sends from a task of its own, in the context that is current here.
        token = attach(context.trace or Context())
        try:
            result = await client.session.send_request(request, CallToolResult)
        except MCPError as exc:
            self._look.set()
            raise self._failure_of(exc, context) from None
        except (ValidationError, RuntimeError) as exc:
            raise NoResult("The tool's server gave an answer that cannot be read.") from exc
        finally:
            detach(token)
        blocks = [block.model_dump(mode="json", by_alias=True) for block in result.content]
        return ToolOutput(text_of_content(blocks, result.structured_content), is_error=result.is_error)

    def _failure_of(self, error: MCPError, context: CallContext) -> Exception:
        """What a refusal means; its text is the model's to read only where it is about the arguments."""
        facts = {"mcp_server": self._entry.name, "code": error.code, "request_id": context.request_id}
        _logger.warning("mcp server refused a call", extra=facts)
        if error.code == INVALID_PARAMS:
            return ToolError(error.message)
        if error.code == CONNECTION_CLOSED:
            return NoResult("The connection to the tool's server was lost.")
        return NoResult("The tool's server refused the call.")

    def _up(self, client: Client) -> None:
        self._client = client
        self._state, self._problem = McpServerState.CONNECTED, ""
        self._attempted.set()
        _logger.info("mcp server connected", extra={"mcp_server": self._entry.name, "tools": len(self._tools)})

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
