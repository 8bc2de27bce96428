"""`McpListing`: the tools of an MCP server, as it lists them and as they are offered."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from mcp import Client
from mcp_types import Tool

from reasoning_grpc.config import McpServerEntry, ToolEntry
from reasoning_grpc.domain import ToolInfo, ToolSource, ToolState
from reasoning_grpc.tools.foreign_schema import ForeignSchema, UnusableSchema
from reasoning_grpc.tools.mcp_tool import Definition, McpCall, McpTool, public_name

_MOST_TOOLS: Final = 1000
_MOST_PAGES: Final = 100

_logger = logging.getLogger("reasoning_grpc.tools")


class McpListing:
    """What a server lists, but for what the configuration leaves out, and what cannot be used."""

    def __init__(self, entry: McpServerEntry, tool_entries: Mapping[str, ToolEntry], call: McpCall) -> None:
        """`tool_entries` are the configuration's, by the names under which tools are offered."""
        self._entry = entry
        self._tool_entries = tool_entries
        self._call = call
        self._left_out: dict[str, str] = {}
        self.tools: dict[str, McpTool] = {}
        """By the names under which they are offered."""

    async def read(self, client: Client) -> None:
        """Reads the list. What has not changed in it stays as it is."""
        taken: dict[str, McpTool] = {}
        left_out: dict[str, str] = {}
        async with aclosing(_listed(client)) as listed:
            async for tool in listed:
                if self._entry.tools is not None and tool.name not in self._entry.tools:
                    continue
                name = public_name(self._entry.prefix, tool.name)
                try:
                    if name in taken:
                        raise UnusableSchema("another has its name")
                    taken[name] = await self._made(name, Definition.of(tool))
                except UnusableSchema as exc:
                    left_out[name] = str(exc)
        self._tell(left_out)
        self.tools = taken

    def _tell(self, left_out: dict[str, str]) -> None:
        """Logs what is left out and was not before."""
        for name, problem in left_out.items():
            if self._left_out.get(name) != problem:
                facts = {"mcp_server": self._entry.name, "tool": name, "problem": problem}
                _logger.warning("tool of an mcp server is left out", extra=facts)
        self._left_out = left_out

    async def _made(self, name: str, definition: Definition) -> McpTool:
        """One tool, checked once for as long as it stays the same. Raises UnusableSchema."""
        known = self.tools.get(name)
        if known is not None and known.definition == definition:
            return known
        entry = self._tool_entries.get(name) or ToolEntry(name=name)
        schema = await asyncio.to_thread(ForeignSchema, definition.input_schema)  # which takes time, if it is long
        info = ToolInfo(
            name=name,
            description=entry.description or definition.description,
            parameters_schema=schema.text,
            source=ToolSource.MCP,
            mcp_server=self._entry.name,
            state=ToolState.AVAILABLE if entry.enabled else ToolState.OFF,
        )
        return McpTool(definition, info, entry.limits_over(self._entry.limits), schema, self._call)


async def _listed(client: Client) -> AsyncGenerator[Tool, None]:
    """The tools of a server, page by page; a page may be long, and is not kept."""
    tools, cursor = 0, None
    if client.server_capabilities.tools is None:
        return
    for _ in range(_MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools[: _MOST_TOOLS - tools]:
            yield tool
        tools, cursor = tools + len(page.tools), page.next_cursor
        if not cursor or tools >= _MOST_TOOLS:
            return
