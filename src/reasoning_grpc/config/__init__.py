"""The settings: typed, checked as a whole, read once at start."""

from reasoning_grpc.config.entries import MODEL_NAME, PROXY_PREFIX, CallerEntry, ModelEntry, ProxyEntry
from reasoning_grpc.config.reading import ConfigError, read_config
from reasoning_grpc.config.routing import ClassifierEntry, PartKind, RouteEntry, RuleCondition, RuleEntry
from reasoning_grpc.config.settings import Config, LogFormat, Option, Settings, options, token_hash
from reasoning_grpc.config.tools import MCP_SEPARATOR, TOOL_NAME, McpServerEntry, ToolEntry, ToolLimits

__all__ = [
    "MCP_SEPARATOR",
    "MODEL_NAME",
    "PROXY_PREFIX",
    "TOOL_NAME",
    "CallerEntry",
    "ClassifierEntry",
    "Config",
    "ConfigError",
    "LogFormat",
    "McpServerEntry",
    "ModelEntry",
    "Option",
    "PartKind",
    "ProxyEntry",
    "RouteEntry",
    "RuleCondition",
    "RuleEntry",
    "Settings",
    "ToolEntry",
    "ToolLimits",
    "options",
    "read_config",
    "token_hash",
]
