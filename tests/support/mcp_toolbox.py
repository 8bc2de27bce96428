"""Toolboxes that are connected to the MCP server of the tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.config import McpServerEntry, ToolEntry
from reasoning_grpc.domain import ANONYMOUS, McpServerState, ToolCall, ToolExecution
from reasoning_grpc.tools import Toolbox
from tests.support.factories import a_context
from tests.support.mcp_server import Reports, build_command

NEW: Final[tuple[str, ...]] = ()
OLD: Final = ("--old",)
PATIENCE_SECONDS: Final = 60.0


async def wait_until(condition: Callable[[], bool]) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class ConnectedToolbox:
    """A toolbox with one MCP server named "test"."""

    box: Toolbox
    reports: Reports

    async def call(self, tool: str, *, context: Any = None, **arguments: Any) -> ToolExecution:
        """Calls one of the server's tools."""
        return await self.box.run(ToolCall("call_1", f"test__{tool}", json.dumps(arguments)), context or a_context())

    def is_usable(self, name: str) -> bool:
        """Returns whether a tool can be called now."""
        return f"test__{name}" in [info.name for info in self.box.list_usable(ANONYMOUS)]

    def is_in_state(self, state: McpServerState) -> bool:
        """Returns whether the server is in this state."""
        return self.box.list_servers()[0].state is state


def stdio_entry(reports: Reports, *options: str, **settings: Any) -> McpServerEntry:
    """Builds the entry of a server that is a process."""
    program, *arguments = build_command("stdio", reports, *options)
    return McpServerEntry(name="test", command=program, args=tuple(arguments), **settings)


def http_entry(url: str, **settings: Any) -> McpServerEntry:
    """Builds the entry of a server that is reached at an address."""
    return McpServerEntry(name="test", url=url, **settings)


@asynccontextmanager
async def open_toolbox(
    reports: Reports, entry: McpServerEntry, entries: dict[str, ToolEntry] | None = None
) -> AsyncIterator[ConnectedToolbox]:
    """Opens a toolbox with this server, and waits for the first attempt to connect."""
    box = Toolbox(entries or {}, {entry.name: entry})
    await box.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await box.wait_for_first_attempts()
        yield ConnectedToolbox(box, reports)
    finally:
        await box.aclose()
