"""Builds, starts and stops the server; the only floor that wires objects."""

from reasoning_grpc.server.config_check import find_config_problems, find_unknown_providers
from reasoning_grpc.server.listener import SERVICE
from reasoning_grpc.server.model_trial import Trial, Trials
from reasoning_grpc.server.reload import Reloader, ReloadStatus
from reasoning_grpc.server.server import Server, StartError

__all__ = [
    "SERVICE",
    "ReloadStatus",
    "Reloader",
    "Server",
    "StartError",
    "Trial",
    "Trials",
    "find_config_problems",
    "find_unknown_providers",
]
