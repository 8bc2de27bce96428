"""`serve_alone`: a server without workers, in this process, with its admin ports in a child."""

import asyncio
from collections.abc import Callable

from reasoning_grpc.config import Settings
from reasoning_grpc.server.admin.ports import AdminPorts, build_admin_ports
from reasoning_grpc.server.lifetime import Stop, serve_until
from reasoning_grpc.server.reports import Reporter
from reasoning_grpc.server.server import Server


async def serve_alone(
    stopping: "asyncio.Future[Stop]", server: Server, settings: Settings, on_serving: Callable[[str], None]
) -> None:
    """Serves until `stopping` has its times; `on_serving` gets the address. Raises StartError."""
    ports = build_admin_ports(settings)

    async def start() -> None:
        await (server.start() if ports is None else _start_both(server, ports))
        on_serving(server.address)

    if ports is None:
        await serve_until(stopping, server, start(), on_change=lambda: None)
        return
    reporter = Reporter(1, server, ports.publish, with_metrics=bool(settings.admin_listen))
    reporter.report()
    try:
        await serve_until(stopping, server, start(), on_change=reporter.report)
    finally:
        reporter.stop()
        await ports.aclose()


async def _start_both(server: Server, ports: AdminPorts) -> None:
    """Starts the server, and the child at the same time. Raises StartError."""
    opening = asyncio.create_task(ports.start())
    try:
        await server.start()
        await opening
    except BaseException:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        raise
