"""Probes of a server's health, as an orchestrator sends them."""

import asyncio
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.upstream import PATIENCE_SECONDS

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def check_health(channel: grpc.aio.Channel, name: str = "") -> int:
    """Returns the health status that a check of this name answers; the empty name is the server."""
    response = await _stub(channel).Check(health_pb2.HealthCheckRequest(service=name), wait_for_ready=True)
    return int(response.status)


async def list_health(channel: grpc.aio.Channel) -> dict[str, int]:
    """Returns the health status of every name that the server lists."""
    messages: Any = health_pb2  # the published types lack this method
    response = await _stub(channel).List(messages.HealthListRequest(), wait_for_ready=True)
    return {name: int(answer.status) for name, answer in response.statuses.items()}


def watch_health(channel: grpc.aio.Channel, name: str = "") -> Any:
    """Starts a watch of this name; the empty name is the server."""
    return _stub(channel).Watch(health_pb2.HealthCheckRequest(service=name), wait_for_ready=True)


async def next_status(watch: Any) -> int:
    """Returns the next health status that a watch reports."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return int((await watch.read()).status)


async def wait_for_status(watch: Any, status: int) -> None:
    """Waits until a watch reports this health status."""
    while await next_status(watch) != status:
        pass


def _stub(channel: grpc.aio.Channel) -> Any:
    """Returns a stub of the health service, untyped: the published types know only the synchronous one."""
    return health_pb2_grpc.HealthStub(channel)
