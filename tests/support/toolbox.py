"""Toolboxes with the functions in `tests.support.tools`, and calls of these functions."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from reasoning_grpc.config import ToolEntry
from reasoning_grpc.domain import ToolCall, ToolExecution
from reasoning_grpc.tools import Toolbox
from tests.support import tools
from tests.support.factories import a_context

SECRET: Final = tools.SECRET


def tool_entry(function: str, **settings: Any) -> ToolEntry:
    """Builds the entry of one of the functions in `tests.support.tools`."""
    return ToolEntry(name=function, function=f"tests.support.tools:{function}", **settings)


@asynccontextmanager
async def open_toolbox(*entries: ToolEntry) -> AsyncIterator[Toolbox]:
    """Opens a toolbox with these functions."""
    box = Toolbox({each.name: each for each in entries}, {})
    await box.start()
    try:
        yield box
    finally:
        await box.aclose()


def a_tool_call(name: str, **arguments: Any) -> ToolCall:
    """Builds a tool call as a model writes it."""
    return ToolCall("call_1", name, json.dumps(arguments))


async def run_tool(function: str, *, settings: dict[str, Any] | None = None, **arguments: Any) -> ToolExecution:
    """Calls one of the functions in `tests.support.tools`, and returns the outcome."""
    async with open_toolbox(tool_entry(function, **(settings or {}))) as box:
        return await box.run(a_tool_call(function, **arguments), a_context())
