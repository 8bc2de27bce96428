"""`python -m bench.overload`: offers the server more and more calls, up to five times what it can serve.

The calls are streams of 100 tokens, one every 20 ms, as of a model that types. A stream counts when it ends well
within its deadline; the others cost the server time for nothing. The server runs on one core, the callers and the mock
upstream on another.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.figures import find_percentile
from bench.process import Process
from bench.services import TOKEN, Client, Environment, Service, start_ours
from bench.setup import install_peers
from bench.upstream import build_mock, start_mock

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "build" / "overload"
MODEL: Final = "mock-100-20"
DEADLINE_SECONDS: Final = 5.0
"""The deadline of each call, which takes two seconds where nothing delays it."""
_LOADS: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
"""What is offered, to the capacity."""
_SERVED: Final = 0.97
"""The share of the offered calls that end well at the capacity."""
_FIRST_RATE: Final = 10.0


def main() -> None:
    """Finds the capacity, offers multiples of it, and writes the figures and their plot."""
    arguments = _parse_arguments()
    folder = FOLDER / "run"
    folder.mkdir(parents=True, exist_ok=True)
    peers = install_peers(ROOT / "build" / "bench")
    mock, port = start_mock(build_mock(FOLDER), folder)
    environment = Environment(folder, port, Path(sys.executable), Path(sys.executable), peers)
    service = start_ours(environment)
    load = Load(service, folder)
    try:
        _separate(service.process, load, mock)
        rows = _measure(load, arguments.seconds, arguments.rounds)
    finally:
        load.stop()
        service.stop()
        mock.stop()
    print_rows(rows)
    file = FOLDER / "figures.json"
    file.write_text(json.dumps({**_describe(), "rows": rows}, indent=1) + "\n")
    subprocess.run([peers, "-m", "bench.plot_overload", file, file.with_suffix(".png")], cwd=ROOT, check=True)
    print(f"\n{file}\n{file.with_suffix('.png')}")


class Load:
    """The callers: a process that offers calls to a service."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._service = service
        command = [sys.executable, "-m", "bench.load.open_loop", f"127.0.0.1:{service.port}", TOKEN]
        self.client = Client(command, folder / "load.log")
        self._seed = 0

    def offer(self, rate: float, seconds: float) -> dict[str, Any]:
        """Offers calls at this rate, and returns the figures of a row."""
        self._seed += 1
        cpu = self._service.process.read_cpu_seconds()
        report = self.client.run(
            model=MODEL, rate=rate, seconds=seconds, deadline_seconds=DEADLINE_SECONDS, seed=self._seed
        )
        refusals = sorted(time for times in report["refusals"].values() for time in times)
        return {
            "rate": rate,
            "offered": report["offered"],
            "goodput": len(report["latencies"]) / seconds,
            "served_share": len(report["latencies"]) / report["offered"],
            "p50_ms": _find(report["latencies"], 0.5),
            "p99_ms": _find(report["latencies"], 0.99),
            "first_token_p99_ms": _find(report["first_tokens"], 0.99),
            "refusals": {reason: len(times) for reason, times in report["refusals"].items()},
            "refusal_p50_ms": _find(refusals, 0.5),
            "refusal_p99_ms": _find(refusals, 0.99),
            "failures": report["failures"],
            "cpu_seconds": self._service.process.read_cpu_seconds() - cpu,
            "memory_mb": self._service.process.read_memory_bytes() / 1e6,
        }

    def stop(self) -> None:
        """Ends the callers."""
        self.client.stop()


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Prints a line for each load."""
    print(f"{'load':>6}{'offered/s':>11}{'goodput/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'1st p99':>9}", end="")
    print(f"{'refused':>9}{'in p99 ms':>11}{'MB':>7}  failures")
    for row in rows:
        print(
            f"{row['load']:6.2f}{row['rate']:11.1f}{row['goodput']:11.1f}{row['p50_ms']:9.0f}{row['p99_ms']:9.0f}"
            f"{row['first_token_p99_ms']:9.0f}{sum(row['refusals'].values()):9}{row['refusal_p99_ms']:11.0f}"
            f"{row['memory_mb']:7.0f}  {row['failures'] or ''}"
        )


def _measure(load: Load, seconds: float, rounds: int) -> list[dict[str, Any]]:
    capacity = _find_capacity(load, seconds)
    rows = []
    for number in range(rounds):
        for multiple in _LOADS:
            row = {"load": multiple, "round": number, **load.offer(multiple * capacity, seconds)}
            print(f"load {multiple}: goodput {row['goodput']:.1f}/s", file=sys.stderr)
            rows.append(row)
    return rows


def _find_capacity(load: Load, seconds: float) -> float:
    """Returns the highest rate, to a twentieth, at which nearly all calls end well."""
    low, high = _FIRST_RATE, 0.0
    while not high:
        if _serves(load, low * 1.5, seconds):
            low *= 1.5
        else:
            high = low * 1.5
    while high > low * 1.05:
        middle = (low + high) / 2
        if _serves(load, middle, seconds):
            low = middle
        else:
            high = middle
    return low


def _serves(load: Load, rate: float, seconds: float) -> bool:
    share: float = load.offer(rate, seconds)["served_share"]
    print(f"{rate:.1f} calls a second: {share:.1%} end well", file=sys.stderr)
    return share >= _SERVED


def _find(values: list[float], share: float) -> float:
    return find_percentile(values, share) if values else 0.0


def _separate(server: Process, load: Load, mock: Process) -> None:
    """Gives the server a core of its own, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    server.pin(cores[:1])
    mock.pin(cores[1:])
    load.client.pin(cores[1:])


def _describe() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "model": MODEL,
        "deadline_seconds": DEADLINE_SECONDS,
    }


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.overload", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="rounds, each of which offers every load once")
    parser.add_argument("--seconds", type=float, default=15.0, help="seconds for which each load is offered")
    return parser.parse_args()


if __name__ == "__main__":
    main()
