"""`Negotiation`: agrees on a version of the protocol with an MCP server.

From 2026-07-28 on, a server answers `server/discover`, and every request says its version. Before, a connection begins
with `initialize`. The SDK tries the first and then the second. Some older servers do not survive an unknown first
message, so they are connected again, and then `initialize` is the first message.
"""

from typing import Any, Final

from mcp import Client
from mcp.client.client import ConnectMode
from mcp.client.session import DISCOVER_TIMEOUT_SECONDS, MessageHandlerFnT
from mcp_types import DiscoverResult, Implementation, ServerCapabilities, ToolsCapability
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from reasoning_grpc.config import McpServerEntry
from reasoning_grpc.tools.mcp_problems import NO_ANSWER, describe_loss

_HANDSHAKE: Final = "legacy"
"""The SDK's word for a connection that begins with `initialize`."""


class Negotiation:
    """The versions to try with one server, and the version of its connection."""

    def __init__(self, entry: McpServerEntry) -> None:
        self._entry = entry
        self.version = ""
        """The version of the connection, or of the last one; empty from a new client on until it agrees on one."""

    @property
    def is_modern(self) -> bool:
        """Whether each request of the connection says its version."""
        return self.version in MODERN_PROTOCOL_VERSIONS

    def create_client(self, streams: Any, on_message: MessageHandlerFnT, *, begins_with_handshake: bool) -> Client:
        """Creates a client that agrees on a version when it is entered. Call `record_version` after that."""
        self.version = ""
        is_older = begins_with_handshake or self._entry.protocol == "2025-11-25"
        mode: ConnectMode = _HANDSHAKE if is_older else self._entry.protocol
        return Client(
            streams,
            client_info=Implementation(name="reasoning-grpc", version="1"),
            message_handler=on_message,
            cache=None,
            mode=mode,
            prior_discover=_assume_tools(mode) if mode in MODERN_PROTOCOL_VERSIONS else None,
        )

    def record_version(self, version: str) -> None:
        """Records the version that was agreed."""
        self.version = version

    def should_begin_with_handshake(self, problem: str) -> bool:
        """Returns whether the connection failed as that of an older server does, at a first message unknown to it."""
        if self.version or self._entry.protocol != "auto":
            return False
        did_not_answer = problem == NO_ANSWER and self._entry.connect_timeout_seconds <= DISCOVER_TIMEOUT_SECONDS
        return did_not_answer or problem == describe_loss(self._entry)


def _assume_tools(version: str) -> DiscoverResult:
    """Returns what a server of this version would say of itself, so that the SDK asks nothing."""
    capabilities = ServerCapabilities(tools=ToolsCapability(list_changed=True))
    return DiscoverResult(supported_versions=[version], capabilities=capabilities, ttl_ms=0, cache_scope="private")
