"""The settings: typed, checked as a whole, read once at start."""

from reasoning_grpc.config.entries import CallerEntry, ModelEntry
from reasoning_grpc.config.reading import ConfigError, read_config
from reasoning_grpc.config.settings import Config, LogFormat, Option, Settings, options, token_hash

__all__ = [
    "CallerEntry",
    "Config",
    "ConfigError",
    "LogFormat",
    "ModelEntry",
    "Option",
    "Settings",
    "options",
    "read_config",
    "token_hash",
]
