"""`RunnableTool`: what the toolbox runs, wherever it comes from."""

from collections.abc import Mapping
from typing import Any, Protocol

from reasoning_grpc.config import ToolLimits
from reasoning_grpc.domain import CallContext, ToolInfo
from reasoning_grpc.tools.results import ToolOutput


class RunnableTool(Protocol):
    """A tool. The toolbox bounds it, and makes a status of what it raises."""

    @property
    def info(self) -> ToolInfo:
        """What is known of it now."""
        ...

    @property
    def limits(self) -> ToolLimits:
        """Its bounds."""
        ...

    def arguments(self, text: str) -> Mapping[str, Any]:
        """The arguments that a JSON text holds. Raises ArgumentsProblem, and ToolError for the tool's own words."""
        ...

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolOutput:
        """Runs it, once. Cancelled, it stops.

        Raises ToolError, ToolUnavailable, NoResult; and whatever the tool raises.
        """
        ...
