"""The configuration: typed, read once at start, and checked as a whole."""

from reasoning_grpc.config.caller_entry import CallerEntry, hash_token
from reasoning_grpc.config.fingerprint import compute_fingerprint
from reasoning_grpc.config.model_entry import MODEL_NAME, ModelEntry, read_model_entry
from reasoning_grpc.config.pause_keys import decode_pause_key
from reasoning_grpc.config.problems import is_unset_variable, suggest
from reasoning_grpc.config.proxy_entry import PROXY_PREFIX, ProxyEntry
from reasoning_grpc.config.reading import ConfigError, inspect_config, read_config
from reasoning_grpc.config.routing import (
    ClassifierEntry,
    ClassifierStrategy,
    PartKind,
    RouteEntry,
    RuleCondition,
    RuleEntry,
)
from reasoning_grpc.config.settings import (
    AUTO_WORKERS,
    Config,
    LogFormat,
    Option,
    OrchestrationUse,
    Settings,
    options,
)
from reasoning_grpc.config.succession import find_kept_options, keep_unchanged_entries
from reasoning_grpc.config.tools import MCP_SEPARATOR, TOOL_NAME, McpServerEntry, ToolEntry, ToolLimits
from reasoning_grpc.config.upstream_proxy import UpstreamProxyEntry

__all__ = [
    "AUTO_WORKERS",
    "MCP_SEPARATOR",
    "MODEL_NAME",
    "PROXY_PREFIX",
    "TOOL_NAME",
    "CallerEntry",
    "ClassifierEntry",
    "ClassifierStrategy",
    "Config",
    "ConfigError",
    "LogFormat",
    "McpServerEntry",
    "ModelEntry",
    "Option",
    "OrchestrationUse",
    "PartKind",
    "ProxyEntry",
    "RouteEntry",
    "RuleCondition",
    "RuleEntry",
    "Settings",
    "ToolEntry",
    "ToolLimits",
    "UpstreamProxyEntry",
    "compute_fingerprint",
    "decode_pause_key",
    "find_kept_options",
    "hash_token",
    "inspect_config",
    "is_unset_variable",
    "keep_unchanged_entries",
    "options",
    "read_config",
    "read_model_entry",
    "suggest",
]
