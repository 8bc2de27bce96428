"""One request: the route it takes, the path that serves it, and the ledger of what it uses."""

from reasoning_grpc.engine.engine import Engine

__all__ = [
    "Engine",
]
