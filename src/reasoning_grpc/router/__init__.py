"""Which path and model serve a request, and why."""

from reasoning_grpc.router.router import Router

__all__ = ["Router"]
