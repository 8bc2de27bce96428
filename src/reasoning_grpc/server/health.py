"""`HealthService`: grpc's health service with the method `List`, which grpcio-health-checking does not serve."""

from typing import Any, Final

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

_MESSAGES: Final[Any] = health_pb2
"""The messages; the published types lack those of `List`."""


class HealthService(health_aio.HealthServicer):
    """Serves Check, List and Watch."""

    def __init__(self) -> None:
        super().__init__()
        self._statuses: dict[str, Any] = {}

    async def set(self, service: str, status: Any) -> None:
        """Sets the status of a service, and reports it to those who watch it."""
        self._statuses[service] = status
        await super().set(service, status)

    async def List(self, _request: Any, _context: Any) -> Any:
        """Returns the status of every service."""
        statuses = {
            service: health_pb2.HealthCheckResponse(status=status) for service, status in self._statuses.items()
        }
        return _MESSAGES.HealthListResponse(statuses=statuses)
