"""What the agent may call: Python functions and the tools of MCP servers, listed and run as one."""

from reasoning_grpc.tools.errors import ToolError
from reasoning_grpc.tools.toolbox import Toolbox, tool_problems

__all__ = ["ToolError", "Toolbox", "tool_problems"]
