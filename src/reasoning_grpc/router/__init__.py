"""Which path and model serve a request, and why."""

from reasoning_grpc.router.router import Router
from reasoning_grpc.router.routes import Routes
from reasoning_grpc.router.rules import configured_rule

__all__ = ["Router", "Routes", "configured_rule"]
