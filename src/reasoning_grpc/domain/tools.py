"""The server's own tools: what the agent may call, and what came of a call."""

from dataclasses import dataclass
from enum import StrEnum


class ToolSource(StrEnum):
    """Where a tool comes from."""

    BUILT_IN = "BUILT_IN"
    FUNCTION = "FUNCTION"
    """A Python function that the configuration names."""
    ENTRY_POINT = "ENTRY_POINT"
    """A Python function that an installed package offers."""
    MCP = "MCP"
    """A tool of an MCP server."""


class ToolState(StrEnum):
    """Whether a tool can be called now."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"
    """Its MCP server does not answer now, or it could not be loaded."""
    OFF = "OFF"
    """The configuration does not switch it on."""


class ToolStatus(StrEnum):
    """How a tool call ended."""

    OK = "OK"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    INVALID_ARGUMENTS = "INVALID_ARGUMENTS"
    """It was not run."""
    NOT_AVAILABLE = "NOT_AVAILABLE"
    """There is no such tool, the caller may not use it, or it cannot be reached; it was not run."""
    CANCELLED = "CANCELLED"
    """Whoever had called it did not wait for its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolInfo:
    """What is known of a tool."""

    name: str
    description: str
    parameters_schema: str
    """JSON Schema of the arguments, an object, as JSON text; empty while it is not known."""
    source: ToolSource
    mcp_server: str = ""
    """Name of the MCP server whose tool it is; empty for others."""
    state: ToolState = ToolState.AVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolExecution:
    """One call of a tool, and how it ended."""

    call_id: str
    name: str
    arguments: str
    """JSON text as the model wrote it."""
    status: ToolStatus
    result: str = ""
    """What the tool gave: JSON text, or any text; of a failed call what the tool itself said of it, if anything."""
    result_truncated: bool = False
    error: str = ""
    """What went wrong, in a sentence of ours, with nothing of the tool's in it; empty when nothing did."""
    duration_seconds: float = 0.0
    """Waiting for its turn included."""

    @property
    def text_for_model(self) -> str:
        """What the model is told of it."""
        return "\n".join(filter(None, (self.error, self.result))) if self.error else self.result


class McpServerState(StrEnum):
    """Whether there is a connection to an MCP server."""

    CONNECTING = "CONNECTING"
    """For the first time."""
    CONNECTED = "CONNECTED"
    DOWN = "DOWN"
    """It is tried again, after longer and longer pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServerInfo:
    """What is known of an MCP server."""

    name: str
    state: McpServerState
    tools: int
    """Those that it has and that are offered; while it is down, those it had."""
    problem: str = ""
    """Why it is down, in a few words of ours."""
