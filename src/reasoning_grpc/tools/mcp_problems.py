"""Says why the connection to an MCP server failed or was lost, without any text of the server."""

from typing import Final

import httpx2
from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, UNSUPPORTED_PROTOCOL_VERSION
from pydantic import ValidationError

from reasoning_grpc.config import McpServerEntry

NO_ANSWER: Final = "it does not answer in time"
FIRST_FAILED_STATUS: Final = 400
"""The first HTTP status that says that a request failed."""


def describe_failure(failure: BaseException, entry: McpServerEntry, http_status: int) -> str:
    """Says why the connection failed; `http_status` is that of the last answer, and 0 where there was none."""
    match failure:
        case BaseExceptionGroup(exceptions=(first, *_)):
            return describe_failure(first, entry, http_status)
        case TimeoutError():
            return NO_ANSWER
        case httpx2.TransportError():
            return "it cannot be reached"
        case MCPError(code=code) if code == UNSUPPORTED_PROTOCOL_VERSION:
            return "it speaks no version of the protocol that is spoken here"
        case MCPError() if http_status >= FIRST_FAILED_STATUS:
            return f"it answers HTTP {http_status}"
        case MCPError(code=code):
            return describe_loss(entry) if code == CONNECTION_CLOSED else f"it refuses, code {code}"
        case ValidationError():
            return "it does not keep to the protocol"
        case OSError(strerror=reason):
            return f"its command {entry.command!r} cannot be started: {reason}"
        case _:
            return f"the connection failed: {type(failure).__name__}"


def describe_loss(entry: McpServerEntry) -> str:
    """Says that the connection has ended, and where the log may have the reason."""
    if entry.command:
        return 'its process closed the connection; with log_level = "debug" the log has what it wrote'
    return "the connection was lost"
