"""The tools that the agent may call, and the outcome of a tool call."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

_EMPTY: Final = "[empty result]"


class ToolSource(StrEnum):
    """The source of a tool."""

    BUILT_IN = "BUILT_IN"
    FUNCTION = "FUNCTION"
    """A Python function that the configuration names."""
    ENTRY_POINT = "ENTRY_POINT"
    """A Python function that an installed package offers."""
    MCP = "MCP"
    """A tool of an MCP server."""
    CALLER = "CALLER"
    """A tool of the caller's own, which the server never runs."""


class ToolState(StrEnum):
    """The state of a tool: whether it can be called now."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"
    """The tool's MCP server does not answer now, or the tool could not be loaded."""
    OFF = "OFF"
    """The configuration does not switch the tool on."""


class ToolStatus(StrEnum):
    """The outcome of a tool call."""

    OK = "OK"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    INVALID_ARGUMENTS = "INVALID_ARGUMENTS"
    """The tool was not run, because the arguments do not match its schema."""
    NOT_AVAILABLE = "NOT_AVAILABLE"
    """The tool was not run: it does not exist, the caller may not use it, or its server cannot be reached."""
    CANCELLED = "CANCELLED"
    """The agent stopped before the tool returned."""
    INPUT_REQUIRED = "INPUT_REQUIRED"
    """The tool did not finish, because it needs input that nobody can give it here, such as an answer of the user."""
    NOT_APPROVED = "NOT_APPROVED"
    """The tool was not run, because the caller did not approve the call."""


class ToolInfo(Struct, frozen=True, kw_only=True):
    """A tool that the agent may call."""

    name: str
    description: str
    parameters_schema: str
    """JSON Schema of the arguments, which are an object, as JSON text. Empty while it is not known."""
    source: ToolSource
    mcp_server: str = ""
    """Name of the tool's MCP server. Empty for other tools."""
    state: ToolState = ToolState.AVAILABLE
    needs_approval: bool = False
    """Whether the caller must approve each call before the tool runs."""


class ToolExecution(Struct, frozen=True, kw_only=True):
    """One call of a tool, and how it ended."""

    call_id: str
    name: str
    arguments: str
    """JSON text as the model wrote it."""
    status: ToolStatus
    result: str = ""
    """The output of the tool: JSON text, or any text. For a failed call, the tool's own error message, if any.

    For a call that needs input, the input that the tool asks for.
    """
    result_truncated: bool = False
    error: str = ""
    """The problem, in a fixed English sentence without any text of the tool. Empty when there was none."""
    duration_seconds: float = 0.0
    """Duration of the call. It includes the time in which the call waited for others."""

    @property
    def text_for_model(self) -> str:
        """Returns the text that the model receives as the result.

        It is never blank, because some providers refuse a blank result.
        """
        text = "\n".join(filter(None, (self.error, self.result)))
        return text if text.strip() else _EMPTY


class McpServerState(StrEnum):
    """The state of the connection to an MCP server."""

    CONNECTING = "CONNECTING"
    """The server connects for the first time."""
    CONNECTED = "CONNECTED"
    DOWN = "DOWN"
    """There is no connection. The server tries again, after longer and longer pauses."""


class McpServerInfo(Struct, frozen=True, kw_only=True):
    """The state of an MCP server, and its tools."""

    name: str
    state: McpServerState
    tools: int
    """Number of its tools that the agent may use. While the server is down, the number before that."""
    problem: str = ""
    """The reason why there is no connection, in a short fixed text."""
    setting_problems: tuple[str, ...] = ()
    """A sentence for each setting that names a tool which the server does not list."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """The listed tools that cannot be called, by their public names, with the reasons."""
    unchecked: Mapping[str, str] = field(default_factory=dict)
    """The tools whose output schemas cannot be used, by their public names, with the reasons."""
    protocol: str = ""
    """The version of the protocol that was agreed with the server. Empty while there is no connection."""
