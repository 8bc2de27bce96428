"""`make profile`: samples a server under load, and draws where its time goes as flame graphs in build/profile.

py-spy reads the stacks of the server from outside and does not stop it: a stop takes milliseconds, which a call then
seems to take. So some stacks change while they are read, and stand as fragments beside the large tower. A flame graph
holds the samples in which a thread held Python's lock: what threads do without it, such as gRPC's, is not in it, and
neither is waiting.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from bench.orders import run_order, warm_up
from bench.services import Environment, Service, start_ours
from bench.setup import install_profiler
from bench.upstream import build_mock, start_mock

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "build" / "profile"
LOADS: Final[dict[str, dict[str, Any]]] = {
    "unary": {"kind": "unary", "model": "mock-1", "concurrency": 8},
    "stream": {"kind": "stream", "model": "mock-200", "concurrency": 8},
    "agent": {"kind": "agent", "model": "mock-plan", "concurrency": 4, "steps": 4},
}
"""The orders of the clients: short answers, streams of 200 deltas, and runs of the agent with four steps."""

_SAMPLES_PER_SECOND: Final = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws the flame graphs; returns 1 when the system lets no process read the stacks of another."""
    parser = argparse.ArgumentParser(prog="bench.flame_graph", description="Draw where a server's time goes.")
    parser.add_argument("--loads", nargs="*", default=list(LOADS), choices=list(LOADS))
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each load")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    mock, port = start_mock(build_mock(FOLDER), FOLDER)
    service = None
    try:
        own = Path(sys.executable)
        service = start_ours(Environment(FOLDER, port, own, baseline=own, peers=own))
        warm_up(service)
        profiler = install_profiler(FOLDER)
        for load in options.loads:
            print(draw(service, load, profiler, options.seconds), flush=True)
    except subprocess.CalledProcessError as exc:
        print(f"the server cannot be sampled: {exc.stderr.decode().strip()}", file=sys.stderr)
        return 1
    finally:
        if service is not None:
            service.stop()
        mock.stop()
    return 0


def draw(service: Service, load: str, profiler: Path, seconds: float) -> str:
    """Draws the flame graph of one load, and returns its file with what was sampled.

    Raises CalledProcessError when py-spy cannot read the stacks, and RuntimeError when a call failed.
    """
    output = FOLDER / f"{load}.svg"
    command = [str(profiler), "record", "--pid", str(service.process.pid), "--output", str(output)]
    command += ["--format", "flamegraph", "--function", "--gil", "--nonblocking"]
    command += ["--rate", str(_SAMPLES_PER_SECOND), "--duration", str(max(1, round(seconds)))]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_order, service, **LOADS[load], seconds=seconds + 1)
        subprocess.run(command, check=True, capture_output=True)
        report, cpu_seconds = running.result()
    milliseconds = cpu_seconds / report["calls"] * 1000
    return f"{output.relative_to(ROOT)}: {report['calls']} calls, {milliseconds:.3g} ms of CPU each"


if __name__ == "__main__":
    sys.exit(main())
