"""`python -m bench.dashboard`: runs a load in which an upstream fails, and draws the dashboard over a real Prometheus.

Grafana is not needed: the panels are those of its file, `deploy/grafana/reasoning-grpc.json`, Prometheus scrapes the
admin port of a server with two workers and answers their queries, and only the drawing is ours.
"""

import argparse
import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.dashboard.load import Load, serve, serve_upstreams
from bench.setup import install_peers
from scripts.dashboard import Panel, read_panels
from tests.support.prometheus import JOB, Prometheus, running_prometheus

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "bench"
PICTURE: Final = ROOT / "docs" / "images" / "dashboard.png"
_RATE_INTERVAL: Final = "10s"
_STEP_SECONDS: Final = 1.0


def main() -> int:
    """Runs the load, and draws what Prometheus has of it."""
    parser = argparse.ArgumentParser(prog="bench.dashboard", description=__doc__)
    parser.add_argument("--seconds", type=float, default=150.0, help="length of the load; an upstream fails in a third")
    arguments = parser.parse_args()
    logging.disable()  # the faults are meant, and their lines would hide what this prints
    FOLDER.mkdir(parents=True, exist_ok=True)
    report = asyncio.run(_run(arguments.seconds))
    file = FOLDER / "dashboard.json"
    file.write_text(json.dumps(report) + "\n")
    peers = install_peers(FOLDER)
    subprocess.run([peers, "-m", "bench.dashboard.plot", file, PICTURE], cwd=ROOT, check=True)
    print(f"{file}\n{PICTURE}\n{json.dumps(report['outcomes'])}")
    return 0


async def _run(seconds: float) -> dict[str, Any]:
    """Returns the lines of every panel, and when the upstream failed, in seconds from the start of the load."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            serve_upstreams() as upstreams,
            serve(Path(folder), upstreams) as running,
            running_prometheus(Path(folder), int(running.admin_address().rpartition(":")[2]), "1s") as prometheus,
        ):
            load = Load(running, upstreams)
            started = time.time()
            await load.run(seconds)
            await prometheus.wait_for_scrapes(await prometheus.count_scrapes() + 2)
            ended = time.time()
            panels = [await _read_panel(prometheus, panel, started, ended) for panel in read_panels()]
    return {"panels": panels, "fault": load.fault, "seconds": ended - started, "outcomes": load.outcomes}


async def _read_panel(prometheus: Prometheus, panel: Panel, started: float, ended: float) -> dict[str, Any]:
    lines = []
    for query in panel.queries:
        bound = query.bind(job=JOB, rate_interval=_RATE_INTERVAL)
        for series in await prometheus.query_range(bound, started, ended, _STEP_SECONDS):
            points = [(float(at) - started, float(value)) for at, value in series["values"]]
            lines.append({"name": query.name_line(series["metric"]), "points": points})
    return {"row": panel.row, "title": panel.title, "unit": panel.unit, "lines": lines}


if __name__ == "__main__":
    sys.exit(main())
