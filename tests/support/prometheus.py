"""A real Prometheus that scrapes the admin port of a server, and answers queries."""

import asyncio
import math
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.support.ports import find_port

JOB: Final = "reasoning-grpc"
_START_SECONDS: Final = 60.0
_CONFIG: Final = """\
global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}
scrape_configs:
  - job_name: reasoning-grpc
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


class Prometheus:
    """A Prometheus in operation."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the series of this moment. Fails with Prometheus' own words."""
        return await self._get("/api/v1/query", {"query": expression})

    async def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Returns the series of a span of time, in seconds since 1970."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return await self._get("/api/v1/query_range", {"query": expression, **times})

    async def count_scrapes(self) -> int:
        """Returns how often the page was scraped."""
        series = await self.query("count_over_time(up[1h])")
        return int(float(series[0]["value"][1])) if series else 0

    async def wait_for_scrapes(self, count: int) -> None:
        """Waits until the page was scraped so often."""
        async with asyncio.timeout(_START_SECONDS):
            while await self.count_scrapes() < count:  # noqa: ASYNC110 - another process scrapes
                await asyncio.sleep(0.1)

    async def wait_until_ready(self) -> None:
        """Waits until Prometheus answers."""
        async with asyncio.timeout(_START_SECONDS):
            while True:
                with suppress(aiohttp.ClientError):
                    async with self._session.get(f"{self.url}/-/ready") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def _get(self, path: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        async with self._session.get(self.url + path, params=parameters) as answer:
            body = await answer.json()
        assert body["status"] == "success", (parameters["query"], body.get("error"))
        result: list[dict[str, Any]] = body["data"]["result"]
        return result


@asynccontextmanager
async def running_prometheus(folder: Path, port: int, scrape_interval: str = "500ms") -> AsyncIterator[Prometheus]:
    """Runs a Prometheus that scrapes this port of loopback; kills it at the end."""
    program = shutil.which("prometheus")
    assert program is not None, "Prometheus is not installed"
    config = folder / "prometheus.yaml"
    config.write_text(_CONFIG.format(interval=scrape_interval, port=port))
    own_port = find_port()  # Prometheus does not say which one it took if it may choose
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{own_port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            prometheus = Prometheus(session, f"http://127.0.0.1:{own_port}")
            await prometheus.wait_until_ready()
            yield prometheus
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def has_numbers(series: list[dict[str, Any]]) -> bool:
    """Returns whether at least one of the series has a value that is a number, and not the quantile of nothing."""
    return any(math.isfinite(float(each["value"][1])) for each in series)
