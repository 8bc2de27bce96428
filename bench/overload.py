"""`python -m bench.overload`: offers the server more and more calls, up to five times what it can serve.

Two kinds of calls are offered to the server as it is shipped, and to one without admission. Streams are what the server
is for: an answer of 100 tokens, one every 20 ms. Their deadline is a second more than the two that they take. Unary
calls of one token, with a deadline of one second, are the hardest case: one that is served takes hardly four times the
work of one that is refused.

An answer within the deadline is goodput. The callers and the mock upstream share one core, and leave another to the
server.
Ends with 1 when the server does not keep its promises under five times the streams that it can serve.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.figures import find_percentile
from bench.process import Process
from bench.services import TOKEN, Client, Environment, Service, start_ours
from bench.setup import install_peers
from bench.upstream import build_mock, start_mock

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "build" / "overload"
_MULTIPLES: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
"""What is offered, to the capacity."""
_SERVED: Final = 0.97
"""The share of the offered calls that end well at the capacity."""
_PAUSE_SECONDS: Final = 1.0
"""The time in which a server recovers from one load before the next."""
_LEAST_GOODPUT, _MOST_LATENCY, _MOST_MEMORY = 0.9, 2.0, 1.1
"""Under the most load: goodput to its peak, latency to that at the capacity, and memory to the most under less load."""
_REFUSAL_MS: Final = 50.0
"""How soon a refusal must reach the client, all but one in a hundred."""


@dataclass(frozen=True)
class Workload:
    """One kind of calls."""

    method: str
    model: str
    description: str
    deadline_seconds: float
    row_seconds: float
    """For how long each load is offered."""
    first_rate: float
    """Calls a second that can surely be served."""


WORKLOADS: Final[Mapping[str, Workload]] = {
    "streams": Workload("StreamComplete", "mock-100-20", "streams of 100 tokens in two seconds", 3.0, 15.0, 50.0),
    "unary": Workload("Complete", "mock-1", "unary calls of one token", 1.0, 4.0, 800.0),
}
SERVERS: Final[Mapping[str, Mapping[str, str]]] = {
    "with admission": {},
    "without admission": {
        "REASONING_MAX_CALLS_IN_FLIGHT": "1000000",
        "REASONING_MAX_LOOP_LAG_SECONDS": "3600",
        "REASONING_MAX_CALLS_PER_UPSTREAM": "1000000",
    },
}


class Load:
    """The callers: a process that offers calls to a service."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        command = [sys.executable, "-m", "bench.load.open_loop", f"127.0.0.1:{service.port}", TOKEN]
        self.client = Client(command, folder / f"{service.name}-load.log")
        self._seed = 0

    def offer(self, workload: Workload, rate: float, seconds: float) -> dict[str, Any]:
        """Offers calls at this rate, and returns the figures of a row."""
        self._seed += 1
        process = self.service.process
        memory, cpu, started = process.read_memory_bytes(), process.read_cpu_seconds(), time.monotonic()
        report = self.client.run(
            method=workload.method,
            model=workload.model,
            rate=rate,
            seconds=seconds,
            deadline_seconds=workload.deadline_seconds,
            seed=self._seed,
        )
        elapsed = time.monotonic() - started
        cpu = process.read_cpu_seconds() - cpu
        refusals = [time for times in report["refusals"].values() for time in times]
        admitted = report["latencies"] + report["late"] * [workload.deadline_seconds * 1e3]
        time.sleep(_PAUSE_SECONDS)
        return {
            "rate": rate,
            "offered": report["offered"],
            "goodput": len(report["latencies"]) / seconds,
            "served_share": len(report["latencies"]) / report["offered"],
            "p50_ms": _find(admitted, 0.5),
            "p99_ms": _find(admitted, 0.99),
            "first_token_p99_ms": _find(report["first_tokens"], 0.99),
            "late": report["late"],
            "refusals": {message: len(times) for message, times in report["refusals"].items()},
            "refusal_p50_ms": _find(refusals, 0.5),
            "refusal_p99_ms": _find(refusals, 0.99),
            "failures": report["failures"],
            "server_cpu_share": cpu / elapsed,
            "client_cpu_share": report["cpu_seconds"] / elapsed,
            "client_lag_p99_ms": _find(report["lags"], 0.99),
            "memory_before_mb": memory / 1e6,
            "memory_mb": process.read_memory_bytes() / 1e6,
        }

    def stop(self) -> None:
        """Ends the callers and the service."""
        self.client.stop()
        self.service.stop()


def main() -> int:
    """Finds the capacity for each workload, offers multiples of it, and writes the figures and their plot."""
    arguments = _parse_arguments()
    folder = FOLDER / "run"
    folder.mkdir(parents=True, exist_ok=True)
    peers = install_peers(ROOT / "build" / "bench")
    mock, port = start_mock(build_mock(FOLDER), folder)
    environment = Environment(folder, port, Path(sys.executable), Path(sys.executable), peers)
    loads: dict[str, Load] = {}
    try:
        for name in arguments.servers:
            service = start_ours(environment, name.replace(" ", "-"), variables=SERVERS[name])
            loads[name] = Load(service, folder)
        _separate(loads.values(), mock)
        rows = list(_measure(loads, arguments))
    finally:
        for load in loads.values():
            load.stop()
        mock.stop()
    print_rows(rows)
    file = FOLDER / "figures.json"
    file.write_text(json.dumps({**_describe(), "rows": rows}, indent=1) + "\n")
    subprocess.run([peers, "-m", "bench.plot_overload", file, file.with_suffix(".png")], cwd=ROOT, check=True)
    print(f"\n{file}\n{file.with_suffix('.png')}")
    problems = find_problems(rows)
    for problem in problems:
        print(f"PROBLEM: {problem}")
    return int(bool(problems))


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a line for each load."""
    print(f"{'workload':9}{'server':18}{'load':>5}{'offered/s':>10}{'goodput/s':>10}{'p50 ms':>7}{'p99 ms':>7}", end="")
    print(f"{'late':>6}{'refused':>8}{'p50':>6}{'p99':>6}{'CPU':>6}{'MB':>5}{'client':>7}{'lag ms':>7}  failures")
    for row in rows:
        print(
            f"{row['workload']:9}{row['server']:18}{row['load']:5.1f}{row['rate']:10.0f}{row['goodput']:10.0f}"
            f"{row['p50_ms']:7.0f}{row['p99_ms']:7.0f}{row['late']:6}{sum(row['refusals'].values()):8}"
            f"{row['refusal_p50_ms']:6.1f}{row['refusal_p99_ms']:6.1f}{row['server_cpu_share']:6.0%}"
            f"{row['memory_mb']:5.0f}{row['client_cpu_share']:7.0%}{row['client_lag_p99_ms']:7.1f}"
            f"  {row['failures'] or ''}"
        )


def find_problems(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns what the server with admission does not keep under the most streams that were offered."""
    mine = [row for row in rows if row["workload"] == "streams" and row["server"] == "with admission"]
    if not mine:
        return []
    loads = sorted({row["load"] for row in mine})
    figures = {
        name: {load: median(row[name] for row in mine if row["load"] == load) for load in loads}
        for name in ("goodput", "p99_ms", "memory_mb", "refusal_p99_ms")
    }
    most, peak, memory = loads[-1], max(figures["goodput"].values()), figures["memory_mb"]
    ratios = (
        ("goodput to its peak", figures["goodput"][most] / peak, _LEAST_GOODPUT, float("inf")),
        ("p99 to that at the capacity", figures["p99_ms"][most] / figures["p99_ms"][1.0], 0.0, _MOST_LATENCY),
        (
            "memory to the most under less load",
            memory[most] / max(memory[load] for load in loads[:-1]),
            0.0,
            _MOST_MEMORY,
        ),
        ("p99 of refusals in ms", figures["refusal_p99_ms"][most], 0.0, _REFUSAL_MS),
    )
    for name, value, _, _ in ratios:
        print(f"streams at {most:g} times the capacity: {name}: {value:.2f}")
    return [f"{name}: {value:.2f}" for name, value, least, most in ratios if not least <= value <= most]


def _measure(loads: Mapping[str, Load], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    shipped = next(iter(loads.values()))
    capacities = {name: _find_capacity(shipped, WORKLOADS[name]) for name in arguments.workloads}
    for number in range(arguments.rounds):
        for name, capacity in capacities.items():
            for multiple in _MULTIPLES:
                for server, load in loads.items():
                    workload = WORKLOADS[name]
                    figures = load.offer(workload, multiple * capacity, workload.row_seconds)
                    row = {"workload": name, "server": server, "load": multiple, "round": number, **figures}
                    print_rows([row])
                    yield row


def _find_capacity(load: Load, workload: Workload) -> float:
    """Returns the highest rate, to a twentieth, at which nearly all calls end well."""
    low, high = workload.first_rate, 0.0
    while not high:
        if _serves(load, workload, low * 1.5):
            low *= 1.5
        else:
            high = low * 1.5
    while high > low * 1.05:
        middle = (low + high) / 2
        if _serves(load, workload, middle):
            low = middle
        else:
            high = middle
    return low


def _serves(load: Load, workload: Workload, rate: float) -> bool:
    share: float = load.offer(workload, rate, workload.row_seconds)["served_share"]
    print(f"{rate:.0f} {workload.description} a second: {share:.1%} end well", file=sys.stderr)
    return share >= _SERVED


def _find(values: list[float], share: float) -> float:
    return find_percentile(values, share) if values else 0.0


def _separate(loads: Iterable[Load], mock: Process) -> None:
    """Leaves the servers a core of their own, where there are two. Only one of them gets calls at a time.

    They may use the other cores too: gRPC has threads of its own. Where these share one core with the event loop, calls
    wait for the threads, in the buffers of the system, and no lag of the loop shows it.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    mock.pin(cores[1:])
    for load in loads:
        load.client.pin(cores[1:])


def _describe() -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "workloads": {name: asdict(workload) for name, workload in WORKLOADS.items()},
    }


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.overload", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each of which offers every load once")
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--servers", nargs="*", default=list(SERVERS), choices=list(SERVERS))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
