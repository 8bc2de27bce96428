"""Converts the errors with which an MCP server refuses a call."""

import re
from typing import Final

from mcp import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    URL_ELICITATION_REQUIRED,
)

from reasoning_grpc.tools.errors import InputRequired, NoResult, ToolError
from reasoning_grpc.tools.mcp_incoming import SDK_CLOSED
from reasoning_grpc.tools.mcp_input import describe_capabilities, describe_input_requests, list_members

_LOST: Final = (SDK_CLOSED, "SSE stream ")
"""How the texts of the SDK's own errors for a lost connection begin. Servers use the code of these errors as well."""

_UNSENT: Final = re.compile(r"Cannot send '(elicitation/create|sampling/createMessage|roots/list)':")
"""How the Python SDK begins its error for a tool that asks during a call of the newer protocol, which cannot carry it.
The question itself is not in the error."""


def convert_refusal(error: MCPError) -> Exception:
    """Converts a refusal to one of our errors. The model reads its text only where it is about the arguments."""
    data = error.data if isinstance(error.data, dict) else {}
    if error.code == MISSING_REQUIRED_CLIENT_CAPABILITY:
        return InputRequired(describe_capabilities(data.get("requiredCapabilities")))
    if error.code == URL_ELICITATION_REQUIRED:
        asked = [{"method": "elicitation/create", "params": each} for each in list_members(data.get("elicitations"))]
        return InputRequired(describe_input_requests(asked or [{"method": "elicitation/create"}]))
    if error.code == INVALID_REQUEST and (unsent := _UNSENT.match(error.message)):
        return InputRequired(describe_input_requests([{"method": unsent[1]}]))
    if error.code == INVALID_PARAMS:
        return ToolError(error.message)
    if error.code == CONNECTION_CLOSED and error.message.startswith(_LOST):
        return NoResult("The connection to the tool's server was lost.")
    return NoResult("The tool's server refused the call.")
