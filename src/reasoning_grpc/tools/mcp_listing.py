"""`McpListing`: reads the list of an MCP server's tools and prepares them for the agent."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final

from mcp import Client
from mcp_types import Tool

from reasoning_grpc.config import McpServerEntry, ToolEntry
from reasoning_grpc.domain import ToolInfo, ToolSource, ToolState
from reasoning_grpc.tools.foreign_schema import ForeignSchema, UnusableSchema
from reasoning_grpc.tools.mcp_settings import find_setting_problems
from reasoning_grpc.tools.mcp_tool import Definition, McpCall, McpTool, build_public_name
from reasoning_grpc.tools.output_schema import OutputSchema

_MAX_TOOLS: Final = 1000
_MAX_PAGES: Final = 100
_MAX_FRESH_SECONDS: Final = 600.0
"""The longest time for which a server's word is taken that its list does not change."""

_logger = logging.getLogger("reasoning_grpc.tools")


class McpListing:
    """The tools that a server lists, without those that the configuration leaves out or that cannot be used."""

    def __init__(
        self,
        entry: McpServerEntry,
        tool_entries: Mapping[str, ToolEntry],
        named_tools: Mapping[str, str],
        call: McpCall,
    ) -> None:
        """`tool_entries` are the entries of the configuration, by the public names of tools.

        `named_tools` has the public names that the configuration mentions, by the places where it does.
        """
        self._entry = entry
        self._tool_entries = tool_entries
        self.named_tools = named_tools
        self._call = call
        self.setting_problems: tuple[str, ...] = ()
        """A sentence for each setting that names a tool which the server does not list."""
        self.fresh_seconds = 0.0
        """The time for which the server says that its list does not change."""
        self.left_out: dict[str, str] = {}
        """The tools that cannot be called, by their public names, with the reasons."""
        self.unchecked: dict[str, str] = {}
        """The tools whose output schemas cannot be used, by their public names, with the reasons."""
        self._uncallable: dict[str, str] = {}
        """The tools that were taken out of the list while it was read, by their own names, with the reasons."""
        self.tools: dict[str, McpTool] = {}
        """The tools by their public names."""

    async def read(self, client: Client) -> None:
        """Reads the list. Tools that did not change keep their objects."""
        usable: dict[str, McpTool] = {}
        left_out: dict[str, str] = {}
        own_names: set[str] = set()
        self._uncallable.clear()
        fresh_seconds = _MAX_FRESH_SECONDS
        async with aclosing(_list_tools(client)) as listing:
            async for tool, tool_fresh_seconds in listing:
                own_names.add(tool.name)
                fresh_seconds = min(fresh_seconds, tool_fresh_seconds)
                if self._entry.tools is not None and tool.name not in self._entry.tools:
                    continue
                name = build_public_name(self._entry.prefix, tool.name)
                try:
                    if name in usable:
                        raise UnusableSchema("another has its name")
                    usable[name] = await self._build_tool(name, Definition.from_listed(tool))
                except UnusableSchema as exc:
                    left_out[name] = str(exc)
        for own_name, problem in self._uncallable.items():
            if self._entry.tools is None or own_name in self._entry.tools:
                left_out.setdefault(build_public_name(self._entry.prefix, own_name), problem)
        self._log("tool of an mcp server is left out", left_out, self.left_out)
        unchecked = {name: tool.output_problem for name, tool in usable.items() if tool.output_problem}
        self._log("results of a tool are not checked", unchecked, self.unchecked)
        self.left_out, self.unchecked, self.tools = left_out, unchecked, usable
        self.fresh_seconds = fresh_seconds if own_names else 0.0
        self._check_settings(own_names | self._uncallable.keys())

    def record_uncallable(self, own_name: str, problem: str) -> None:
        """Records a tool that was taken out of the list that is being read."""
        if len(self._uncallable) < _MAX_TOOLS:
            self._uncallable[own_name] = problem

    def _check_settings(self, own_names: set[str]) -> None:
        """Finds the settings that fit no listed tool, and logs those that were not found before."""
        problems = find_setting_problems(self._entry, self.named_tools, own_names)
        for problem in problems:
            if problem not in self.setting_problems:
                facts = {"mcp_server": self._entry.name, "problem": problem}
                _logger.warning("setting fits no tool of an mcp server", extra=facts)
        self.setting_problems = problems

    def _log(self, message: str, problems: Mapping[str, str], before: Mapping[str, str]) -> None:
        """Logs the problems of tools that are new."""
        for name, problem in problems.items():
            if before.get(name) != problem:
                _logger.warning(message, extra={"mcp_server": self._entry.name, "tool": name, "problem": problem})

    async def _build_tool(self, name: str, definition: Definition) -> McpTool:
        """Returns the known tool, or checks and builds it if its definition is new. Raises UnusableSchema."""
        known = self.tools.get(name)
        if known is not None and known.definition == definition:
            return known
        entry = self._tool_entries.get(name) or ToolEntry(name=name)
        schema = await asyncio.to_thread(ForeignSchema, definition.input_schema)  # this takes a while for a long schema
        output_schema, output_problem = await asyncio.to_thread(_read_output_schema, definition.output_schema)
        info = ToolInfo(
            name=name,
            description=entry.description or definition.description,
            parameters_schema=schema.text,
            source=ToolSource.MCP,
            mcp_server=self._entry.name,
            state=ToolState.AVAILABLE if entry.enabled else ToolState.OFF,
            needs_approval=self._entry.needs_approval if entry.needs_approval is None else entry.needs_approval,
        )
        limits = entry.resolve_limits(self._entry.limits)
        return McpTool(definition, info, limits, schema, self._call, output_schema, output_problem)


def _read_output_schema(schema: Any) -> tuple[OutputSchema | None, str]:
    """Returns the output schema, and why it cannot be used; a tool without one has neither."""
    try:
        return (None if schema is None else OutputSchema(schema)), ""
    except UnusableSchema as exc:
        return None, str(exc)


async def refresh_headers(client: Client, name: str) -> None:
    """Reads the list until it has this tool: the SDK learns there which arguments the server wants in headers."""
    async with aclosing(_list_tools(client)) as listing:
        async for tool, _ in listing:
            if tool.name == name:
                return


async def _list_tools(client: Client) -> AsyncGenerator[tuple[Tool, float], None]:
    """Yields the tools of a server, page by page, and for how many seconds each need not be read again."""
    tools, cursor, cursors = 0, None, set[str]()
    if client.server_capabilities.tools is None:
        return
    for _ in range(_MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools[: _MAX_TOOLS - tools]:
            yield tool, page.ttl_ms / 1000
        tools, cursor = tools + len(page.tools), page.next_cursor
        if not cursor or cursor in cursors or tools >= _MAX_TOOLS:  # a repeated cursor would lead round in a circle
            return
        cursors.add(cursor)
