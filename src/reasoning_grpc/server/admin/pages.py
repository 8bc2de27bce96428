"""The pages of `admin_listen`: /healthz, /readyz, /version and /metrics."""

import json
import platform
from importlib.metadata import version
from typing import Any, Final

from aiohttp import web

from reasoning_grpc.server.admin.workers import KnownWorkers
from reasoning_grpc.server.process_identity import ProcessIdentity
from reasoning_grpc.telemetry import render_prometheus

_DISTRIBUTION: Final = "reasoning-grpc"


def build_pages(workers: KnownWorkers, server: ProcessIdentity) -> web.Application:
    """Builds the application that serves the pages; `server` is the process that a signal reloads or ends."""

    def describe() -> dict[str, Any]:
        return {"process": server.describe(), **workers.describe()}

    async def show_liveness(_request: web.Request) -> web.Response:
        return _answer(workers.is_alive, "alive", "hung", describe())

    async def show_readiness(_request: web.Request) -> web.Response:
        return _answer(workers.is_ready, "ready", "not ready", describe())

    async def show_version(_request: web.Request) -> web.Response:
        return _write({"version": version(_DISTRIBUTION), "python": platform.python_version()})

    async def show_metrics(request: web.Request) -> web.Response:
        page, content_type = render_prometheus([workers.merge_metrics()], request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/healthz", show_liveness)
    application.router.add_get("/readyz", show_readiness)
    application.router.add_get("/version", show_version)
    application.router.add_get("/metrics", show_metrics)
    return application


def _answer(is_well: bool, well: str, unwell: str, facts: dict[str, Any]) -> web.Response:
    return _write({"status": well if is_well else unwell, **facts}, 200 if is_well else 503)


def _write(body: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(body) + "\n", status=status, content_type="application/json")
