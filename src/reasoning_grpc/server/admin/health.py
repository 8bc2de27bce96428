"""`HealthPort`: gRPC health without TLS, for probes that cannot show a certificate."""

from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from reasoning_grpc.server.admin.workers import KnownWorkers

LIVENESS: Final = "liveness"
READINESS: Final = "readiness"


class HealthPort:
    """Serves the names of the main port's health by what is known of all workers."""

    def __init__(self, workers: KnownWorkers, service: str) -> None:
        """`service` is the full name of the service, which is ready whenever the server is."""
        self._workers = workers
        self._names = {"": False, service: False, READINESS: False, LIVENESS: True}
        """For each name, whether it is about liveness."""
        self._health = health_aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    async def start(self, listen: str) -> str:
        """Listens, and returns the address as HOST:PORT. Raises RuntimeError when that is not possible."""
        await self.refresh()
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        port = server.add_insecure_port(listen)
        await server.start()
        self._server = server
        return f"{listen.rpartition(':')[0]}:{port}"

    async def refresh(self) -> None:
        """Sets every status to what is known now; those who watch one get a message when it has changed."""
        statuses: Any = health_pb2.HealthCheckResponse
        for name, is_liveness in self._names.items():
            is_well = self._workers.is_alive if is_liveness else self._workers.is_ready
            await self._health.set(name, statuses.SERVING if is_well else statuses.NOT_SERVING)
