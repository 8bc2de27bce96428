"""`McpTool`: a tool of an MCP server."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import Tool

from reasoning_grpc.config import TOOL_NAME, ToolLimits
from reasoning_grpc.domain import CallContext, ToolInfo
from reasoning_grpc.tools.foreign_schema import ForeignSchema
from reasoning_grpc.tools.results import ToolOutput

_LONGEST_NAME: Final = 64
_DIGEST_CHARACTERS: Final = 8
_LONGEST_DESCRIPTION: Final = 4000

McpCall = Callable[[str, Mapping[str, Any], CallContext], Awaitable[ToolOutput]]
"""Calls a tool by the server's own name for it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A tool as its server lists it: as much of that as is used."""

    name: str
    """The server's own."""
    description: str
    input_schema: Mapping[str, Any]

    @classmethod
    def of(cls, tool: Tool) -> "Definition":
        """What is used of an entry in the list; descriptions as far as models are told them."""
        text = tool.description or tool.title or ""
        if len(text) > _LONGEST_DESCRIPTION:
            text = f"{text[:_LONGEST_DESCRIPTION]}..."
        return cls(tool.name, text, tool.input_schema)


@dataclass(frozen=True, slots=True)
class McpTool:
    """Known from the server's list; called over the connection to it."""

    definition: Definition
    info: ToolInfo
    limits: ToolLimits
    schema: ForeignSchema
    run: McpCall

    def arguments(self, text: str) -> Mapping[str, Any]:
        """See `RunnableTool.arguments`."""
        return self.schema.arguments(text)

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolOutput:
        """See `RunnableTool.call`."""
        return await self.run(self.definition.name, arguments, context)


def public_name(prefix: str, own_name: str) -> str:
    """The name under which a tool of a server is offered: always the same, and no other server's.

    Names with other characters, and those that are too long, end in a digest of the whole.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", own_name)
    name = prefix + plain
    if plain == own_name and TOOL_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(own_name.encode(errors="replace")).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: _LONGEST_NAME - _DIGEST_CHARACTERS - 1]}_{digest}"
