"""The tools that the agent may call: Python functions and the tools of MCP servers, listed and run alike."""

from reasoning_grpc.tools.errors import InputRequired, ToolError
from reasoning_grpc.tools.results import cut
from reasoning_grpc.tools.threads import ThreadsNotStarted
from reasoning_grpc.tools.toolbox import Toolbox, find_tool_problems, list_tools_of_callers

__all__ = [
    "InputRequired",
    "ThreadsNotStarted",
    "ToolError",
    "Toolbox",
    "cut",
    "find_tool_problems",
    "list_tools_of_callers",
]
