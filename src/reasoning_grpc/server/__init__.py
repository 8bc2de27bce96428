"""Builds, starts and stops the server; the only floor that wires objects.

Each name is imported when it is first used: a supervisor of workers uses some of them, and must never import grpc.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reasoning_grpc.server.alone import serve_alone
    from reasoning_grpc.server.config_check import find_config_problems, find_unknown_providers
    from reasoning_grpc.server.lifetime import Stop
    from reasoning_grpc.server.listener import SERVICE
    from reasoning_grpc.server.model_trial import Trial, Trials
    from reasoning_grpc.server.process_end import end_process
    from reasoning_grpc.server.process_identity import ProcessIdentity
    from reasoning_grpc.server.reload import Reloader
    from reasoning_grpc.server.reload_status import ReloadStatus
    from reasoning_grpc.server.server import Server
    from reasoning_grpc.server.start_error import StartError
    from reasoning_grpc.server.workers.cores import count_workers
    from reasoning_grpc.server.workers.run import supervise
    from reasoning_grpc.server.workers.supervisor import Supervisor

_MODULES: Final = {
    "ProcessIdentity": "process_identity",
    "ReloadStatus": "reload_status",
    "Reloader": "reload",
    "SERVICE": "listener",
    "Server": "server",
    "StartError": "start_error",
    "Stop": "lifetime",
    "Supervisor": "workers.supervisor",
    "Trial": "model_trial",
    "Trials": "model_trial",
    "count_workers": "workers.cores",
    "end_process": "process_end",
    "find_config_problems": "config_check",
    "find_unknown_providers": "config_check",
    "serve_alone": "alone",
    "supervise": "workers.run",
}
"""The modules of the names that other floors may import."""

__all__ = [
    "SERVICE",
    "ProcessIdentity",
    "ReloadStatus",
    "Reloader",
    "Server",
    "StartError",
    "Stop",
    "Supervisor",
    "Trial",
    "Trials",
    "count_workers",
    "end_process",
    "find_config_problems",
    "find_unknown_providers",
    "serve_alone",
    "supervise",
]


def __getattr__(name: str) -> Any:
    """Imports the module of a name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
