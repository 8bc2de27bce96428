"""`RunnableTool`: the interface of a tool, whatever its source."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from reasoning_grpc.config import ToolLimits
from reasoning_grpc.domain import CallContext, ToolInfo
from reasoning_grpc.tools.results import ToolOutput

ProgressCallback = Callable[[], None]
"""Is called whenever a running tool reports that it makes progress."""


class RunnableTool(Protocol):
    """A tool. The toolbox limits it, and converts what it raises to a status."""

    @property
    def info(self) -> ToolInfo:
        """The description of the tool, with its state now."""
        ...

    @property
    def limits(self) -> ToolLimits:
        """The limits of its calls."""
        ...

    def parse_arguments(self, text: str) -> Mapping[str, Any]:
        """Parses and checks the JSON text of arguments.

        Raises ArgumentsProblem, and ToolError where the tool itself words the problem.
        """
        ...

    async def call(
        self, arguments: Mapping[str, Any], context: CallContext, on_progress: ProgressCallback
    ) -> ToolOutput:
        """Runs the tool once. A cancellation stops it. A tool that can report progress calls `on_progress` each time.

        Raises ToolError, ToolUnavailable, InputRequired, ResultProblem, NoResult, and whatever the tool raises.
        """
        ...
