"""`HealthService`: grpc's health service with the method `List`, which grpcio-health-checking does not serve."""

import asyncio
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from reasoning_grpc.domain import CallReport
from reasoning_grpc.domain.errors import ServerShuttingDown
from reasoning_grpc.rpc import CallTracker

_MESSAGES: Final[Any] = health_pb2
"""The messages; the published types lack those of `List`."""


class HealthService(health_aio.HealthServicer):
    """Serves Check, List and Watch."""

    def __init__(self) -> None:
        super().__init__()
        self._statuses: dict[str, Any] = {}
        self._watches = CallTracker()

    async def set(self, service: str, status: Any) -> None:
        """Sets the status of a service, and reports it to those who watch it."""
        self._statuses[service] = status
        await super().set(service, status)

    async def Watch(self, request: Any, context: Any) -> None:
        """Reports the status of a service and each change, until the client leaves or `end_watches` is called."""
        try:
            self._watches.begin()
            try:
                await super().Watch(request, context)
            finally:
                self._watches.end()
        except ServerShuttingDown as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except asyncio.CancelledError:
            if (cut := self._watches.take_back_cut(CallReport())) is None:
                raise
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(cut))

    async def end_watches(self) -> None:
        """Ends every watch, which would otherwise keep its connection open."""
        self._watches.cut()
        await self._watches.wait_until_written()

    async def List(self, _request: Any, _context: Any) -> Any:
        """Returns the status of every service."""
        statuses = {
            service: health_pb2.HealthCheckResponse(status=status) for service, status in self._statuses.items()
        }
        return _MESSAGES.HealthListResponse(statuses=statuses)
