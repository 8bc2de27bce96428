"""`McpTool`: a tool of an MCP server."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import Tool

from reasoning_grpc.config import TOOL_NAME, ToolLimits
from reasoning_grpc.domain import CallContext, ToolInfo
from reasoning_grpc.tools.errors import ResultProblem
from reasoning_grpc.tools.foreign_schema import ForeignSchema
from reasoning_grpc.tools.mcp_listed_tools import OUTPUT_SCHEMA
from reasoning_grpc.tools.output_schema import OutputSchema
from reasoning_grpc.tools.results import ToolOutput
from reasoning_grpc.tools.tool import ProgressCallback

_MAX_NAME_CHARACTERS: Final = 64
_DIGEST_CHARACTERS: Final = 8
_MAX_DESCRIPTION_CHARACTERS: Final = 4000

McpCall = Callable[[str, Mapping[str, Any], CallContext, ProgressCallback], Awaitable[ToolOutput]]
"""Calls a tool by its name on the server."""


@dataclass(frozen=True, slots=True)
class Definition:
    """The parts of a listed tool that are used."""

    name: str
    """The name on the server."""
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Any = None
    """The schema of the structured content, as the server wrote it; None where it wrote none."""

    @classmethod
    def from_listed(cls, tool: Tool) -> "Definition":
        """Reads an entry of the list, and cuts a description that is too long for a prompt."""
        text = tool.description or tool.title or ""
        if len(text) > _MAX_DESCRIPTION_CHARACTERS:
            text = f"{text[:_MAX_DESCRIPTION_CHARACTERS]}..."
        return cls(tool.name, text, tool.input_schema, (tool.meta or {}).get(OUTPUT_SCHEMA))


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool that a server lists, and that is called over the connection to the server."""

    definition: Definition
    info: ToolInfo
    limits: ToolLimits
    schema: ForeignSchema
    run: McpCall
    output_schema: OutputSchema | None = None
    """The schema of its results; None where it has none that can be used."""
    output_problem: str = ""
    """The reason why its output schema cannot be used; empty where there is no problem."""

    def parse_arguments(self, text: str) -> Mapping[str, Any]:
        """See `RunnableTool.parse_arguments`."""
        return self.schema.parse_arguments(text)

    async def call(
        self, arguments: Mapping[str, Any], context: CallContext, on_progress: ProgressCallback
    ) -> ToolOutput:
        """See `RunnableTool.call`."""
        output = await self.run(self.definition.name, arguments, context, on_progress)
        if self.output_schema is None or output.is_error:
            return output
        if problem := self.output_schema.find_problem(output.structured):
            raise ResultProblem(problem)
        return output


def build_public_name(prefix: str, own_name: str) -> str:
    """Returns the public name of a server's tool, which is stable and unique across servers.

    A name that is too long or has characters that tool names may not have ends in a digest of the whole name.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", own_name)
    name = prefix + plain
    if plain == own_name and TOOL_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(own_name.encode(errors="replace")).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: _MAX_NAME_CHARACTERS - _DIGEST_CHARACTERS - 1]}_{digest}"
