"""`McpServer`: the connection to one MCP server, which is renewed whenever it is lost, and the server's tools."""

import asyncio
import logging
import random
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from mcp import Client
from mcp.client.session import IncomingMessage
from mcp_types import ToolListChangedNotification
from msgspec.structs import replace

from reasoning_grpc.config import McpServerEntry, ToolEntry
from reasoning_grpc.domain import CallContext, Caller, McpServerInfo, McpServerState, ToolInfo, ToolState
from reasoning_grpc.tools.errors import ToolUnavailable
from reasoning_grpc.tools.mcp_asked import AskedInput
from reasoning_grpc.tools.mcp_call import McpCalls
from reasoning_grpc.tools.mcp_listing import McpListing
from reasoning_grpc.tools.mcp_negotiation import Negotiation
from reasoning_grpc.tools.mcp_problems import describe_failure, describe_loss
from reasoning_grpc.tools.mcp_tool import McpTool
from reasoning_grpc.tools.mcp_transport import open_transport
from reasoning_grpc.tools.results import ToolOutput
from reasoning_grpc.tools.tool import ProgressCallback

_FIRST_DELAY_SECONDS: Final = 0.1
_MAX_DELAY_SECONDS: Final = 30.0
_GOOD_RUN_SECONDS: Final = 30.0
"""After a connection that lasted this long, the delay starts from its first value again."""
_CHECK_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.1
"""The pause between two readings of the list, however often the server says that it has changed."""
_CLOSE_SECONDS: Final = 10.0
"""The time that closing may take: the SDK needs up to 7 s for a process that does not end by itself."""

_logger = logging.getLogger("reasoning_grpc.tools")


class McpServer:
    """One MCP server. When it fails, only the calls of its tools fail."""

    def __init__(
        self,
        entry: McpServerEntry,
        tool_entries: Mapping[str, ToolEntry],
        named_tools: Mapping[str, str] | None = None,
        *,
        check_seconds: float = _CHECK_SECONDS,
    ) -> None:
        """`tool_entries` are the entries of the configuration, by the public names of tools.

        `named_tools` has the public names that the configuration mentions, by the places where it does.
        `check_seconds` is the interval after which the list is read again even if nobody reported a change.
        """
        self.entry: Final = entry
        self._listing = McpListing(entry, tool_entries, named_tools or {}, self._call)
        self._check_due = asyncio.Event()
        """Set when the list may have changed, or the connection may be lost."""
        self._asked = AskedInput()
        self._calls = McpCalls(entry.name, self._asked, on_refusal=self._check_due.set)
        self._negotiation = Negotiation(entry)
        self._check_seconds = check_seconds
        self._client: Client | None = None
        self._state = McpServerState.CONNECTING
        self._problem = ""
        self._http_status = 0
        self._ended = False
        self._closing = False
        self._attempted = asyncio.Event()
        self._connected_once = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts to connect, and keeps connected until `aclose`."""
        self._keeper = asyncio.create_task(self._keep_connected(), name=f"mcp server {self.entry.name}")

    async def wait_for_first_attempt(self) -> None:
        """Waits until the first attempt to connect has succeeded or failed, or the server was closed."""
        await self._attempted.wait()

    async def wait_for_first_connection(self) -> None:
        """Waits until the server has connected once, or was closed."""
        await self._connected_once.wait()

    @property
    def name(self) -> str:
        """The name of the server in the configuration."""
        return self.entry.name

    def name_tools(self, named_tools: Mapping[str, str]) -> None:
        """Replaces the names of tools that the configuration mentions; the list is read again to check them."""
        self._listing.named_tools = named_tools
        self._check_due.set()

    @property
    def is_required(self) -> bool:
        """Whether our server is ready only when this server has connected once."""
        return self.entry.required

    @property
    def has_connected(self) -> bool:
        """Whether this server has connected at least once, or is closed."""
        return self._connected_once.is_set()

    def may_offer(self, caller: Caller, allowed: Collection[str] | None) -> bool:
        """Returns whether the server may list a tool that a request may use; `allowed` is as in `list_usable`."""
        names = [names for names in (caller.allowed_tools, allowed) if names is not None]
        return all(any(name.startswith(self.entry.prefix) for name in each) for each in names)

    @property
    def tools(self) -> Mapping[str, McpTool]:
        """The tools by their public names; while the server is down, the tools that it had before."""
        return self._listing.tools

    def tool_info(self, tool: McpTool) -> ToolInfo:
        """Returns the description of one of the tools, with its state now."""
        if tool.info.state is ToolState.OFF or self._client is not None:
            return tool.info
        return replace(tool.info, state=ToolState.UNAVAILABLE)

    def info(self) -> McpServerInfo:
        """Returns the state of the server now."""
        count = sum(tool.info.state is not ToolState.OFF for tool in self.tools.values())
        return McpServerInfo(
            name=self.entry.name,
            state=self._state,
            tools=count,
            problem=self._problem,
            setting_problems=self._listing.setting_problems,
            left_out=self._listing.left_out,
            unchecked=self._listing.unchecked,
            protocol=self._negotiation.version if self._client is not None else "",
        )

    async def aclose(self) -> None:
        """Closes the connection, and ends the process if there is one."""
        self._closing = True
        self._attempted.set()
        self._connected_once.set()
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.wait({self._keeper}, timeout=_CLOSE_SECONDS)
        if not self._keeper.done():
            _logger.warning("mcp server does not end", extra={"mcp_server": self.entry.name})
            self._keeper.cancel()
            await asyncio.wait({self._keeper}, timeout=_CLOSE_SECONDS)

    async def _keep_connected(self) -> None:
        """Connects again and again, in one task: the SDK wants its contexts left by the task that entered them."""
        loop, delay_seconds = asyncio.get_running_loop(), _FIRST_DELAY_SECONDS
        while True:
            began = loop.time()
            problem = await self._connect()
            if not self._should_end() and self._negotiation.should_begin_with_handshake(problem):
                problem = await self._connect(begins_with_handshake=True)
            if self._should_end():
                return
            if loop.time() - began >= _GOOD_RUN_SECONDS:
                delay_seconds = _FIRST_DELAY_SECONDS
            self._record_down(problem, delay_seconds)
            await asyncio.sleep(delay_seconds * random.uniform(0.5, 1.0))
            delay_seconds = min(2 * delay_seconds, _MAX_DELAY_SECONDS)

    async def _connect(self, *, begins_with_handshake: bool = False) -> str:
        """Connects, stays connected, and returns why the connection ended."""
        self._http_status, self._ended = 0, False
        self._check_due.clear()
        streams = open_transport(
            self.entry,
            asked=self._asked,
            negotiation=self._negotiation,
            on_end=self._on_end,
            on_status=self._on_status,
            on_left_out=self._listing.record_uncallable,
        )
        try:
            client = self._negotiation.create_client(
                streams, self._on_message, begins_with_handshake=begins_with_handshake
            )
            await self._stay_connected(client)
        except asyncio.CancelledError:
            if self._should_end():
                raise
        except (Exception, BaseExceptionGroup) as exc:
            return describe_failure(exc, self.entry, self._http_status)
        return describe_loss(self.entry)

    async def _stay_connected(self, client: Client) -> None:
        """Returns when the server ends the connection. The SDK may also report that by a cancellation of this task."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self.entry.connect_timeout_seconds):
                await stack.enter_async_context(client)
                self._negotiation.record_version(client.protocol_version)
                await self._listing.read(client)
            self._record_up(client)
            try:
                await self._follow_changes(client)
            finally:
                self._client = None

    async def _follow_changes(self, client: Client) -> None:
        """Reads the list again whenever it may have changed."""
        receiver = asyncio.create_task(self._receive_changes(client), name=f"mcp changes {self.entry.name}")
        try:
            while not self._ended:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_vary(max(self._check_seconds, self._listing.fresh_seconds))):
                        await self._check_due.wait()
                self._check_due.clear()
                if not self._ended:
                    async with asyncio.timeout(self.entry.connect_timeout_seconds):
                        await self._listing.read(client)
                    await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            receiver.cancel()
            await asyncio.wait({receiver})

    async def _receive_changes(self, client: Client) -> None:
        """Receives changes of the list where the protocol wants a request for them; elsewhere `_on_message` does.

        The request is sent again when its answer ends, because anything between here and the server may end it.
        """
        tools = client.server_capabilities.tools
        if not self._negotiation.is_modern or tools is None or not tools.list_changed:
            return
        has_been_open = False
        while True:
            with suppress(Exception):  # then the list is still read every `check_seconds`
                async with client.listen(tools_list_changed=True) as changes:
                    if has_been_open:  # a change may have been missed meanwhile
                        self._check_due.set()
                    has_been_open = True
                    async for _ in changes:
                        self._check_due.set()
            await asyncio.sleep(_vary(self._check_seconds))

    async def _call(
        self, name: str, arguments: Mapping[str, Any], context: CallContext, on_progress: ProgressCallback
    ) -> ToolOutput:
        """Calls a tool. Raises ToolUnavailable, ToolError, InputRequired and NoResult."""
        if self._client is None:
            raise ToolUnavailable
        return await self._calls.call(self._client, name, arguments, context, on_progress)

    def _record_up(self, client: Client) -> None:
        self._client = client
        self._state, self._problem = McpServerState.CONNECTED, ""
        self._attempted.set()
        self._connected_once.set()
        facts = {"mcp_server": self.entry.name, "tools": len(self.tools), "protocol": self._negotiation.version}
        _logger.info("mcp server connected", extra=facts)

    def _record_down(self, problem: str, next_try_seconds: float) -> None:
        self._state, self._problem = McpServerState.DOWN, problem
        self._attempted.set()
        facts = {"mcp_server": self.entry.name, "problem": problem, "next_try_seconds": next_try_seconds}
        _logger.warning("mcp server is down", extra=facts)

    def _on_end(self) -> None:
        self._ended = True
        self._check_due.set()

    def _on_status(self, status: int) -> None:
        self._http_status = status

    async def _on_message(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._check_due.set()

    def _should_end(self) -> bool:
        """Returns whether this task was cancelled, and not only a scope of the SDK within it.

        A cancel scope of the SDK can swallow a cancellation that arrives together with one of its own.
        """
        task = asyncio.current_task()
        return self._closing or (task is not None and task.cancelling() > 0)


def _vary(seconds: float) -> float:
    """Returns a time near the given one, so that not all servers that were started together ask at the same moment."""
    return seconds * random.uniform(0.8, 1.2)
