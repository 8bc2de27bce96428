"""`python -m bench.workers`: measures a server with two workers beside one without.

Both serve the same unary calls over 64 connections, in turns, so that what else runs on the machine disturbs both
alike. It prints the CPU time of a call, the share of the calls that the busier worker got, and the memory that a
worker adds. Then it kills one of the two workers under load, and prints what the callers noticed.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import grpc

from bench.load.grpc_client import GrpcClient
from bench.process import Process
from bench.services import TOKEN, Environment, Service, start_ours
from bench.upstream import build_mock, start_mock

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "build" / "workers"
MODEL: Final = "mock-10"
SLOW_MODEL: Final = "mock-100-20"
"""Its answers take two seconds, so that calls are in progress at the killed worker."""
CONNECTIONS: Final = 64
_KILL_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 0.5


class Callers:
    """As many clients as there are connections, each of which makes one call after another."""

    def __init__(self, port: int) -> None:
        own = [("grpc.use_local_subchannel_pool", 1)]
        self._clients = [GrpcClient(f"127.0.0.1:{port}", TOKEN, own) for _ in range(CONNECTIONS)]
        self.failures: list[tuple[float, str]] = []
        """The time and the code of each call that failed."""

    async def run(self, seconds: float, model: str = MODEL) -> int:
        """Makes calls for some seconds, and returns the number of those that were answered."""
        end = time.monotonic() + seconds
        return sum(await asyncio.gather(*(self._call_until(client, end, model) for client in self._clients)))

    async def aclose(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*(client.aclose() for client in self._clients))

    async def _call_until(self, client: GrpcClient, end: float, model: str) -> int:
        answered = 0
        while time.monotonic() < end:
            try:
                await client.complete(model, "hello")
                answered += 1
            except grpc.aio.AioRpcError as error:
                self.failures.append((time.monotonic(), f"{error.code().name}: {error.details()}"))
        return answered


async def main() -> None:
    """Measures both servers, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5)
    arguments = parser.parse_args()
    folder = FOLDER / "run"
    folder.mkdir(parents=True, exist_ok=True)
    mock, port = start_mock(build_mock(FOLDER), folder)
    environment = Environment(folder, port, Path(sys.executable), Path(sys.executable), Path(sys.executable))
    unrefused = {"REASONING_MAX_LOOP_LAG_SECONDS": "10"}  # a refused call would cost less than an answered one
    one = start_ours(environment, "one", variables=unrefused)
    two = start_ours(environment, "two", variables={"REASONING_WORKERS": "2", **unrefused})
    try:
        print(json.dumps(await _measure(one, two, arguments.rounds, arguments.seconds), indent=1))
        print(json.dumps(await _kill_one(two), indent=1))
    finally:
        for each in (one, two):
            each.stop()
        mock.stop()


async def _measure(one: Service, two: Service, rounds: int, seconds: float) -> dict[str, Any]:
    """Returns the figures of both servers."""
    costs: dict[str, list[float]] = {"one": [], "two": []}
    pairs = [(service, Callers(service.port)) for service in (one, two)]
    for _, callers in pairs:
        await callers.run(seconds)  # connects, and warms up
    before = len(_read_log(two, "call"))
    for _ in range(rounds):
        for service, callers in pairs:
            started = service.process.read_cpu_seconds()
            answered = await callers.run(seconds)
            costs[service.name].append((service.process.read_cpu_seconds() - started) / answered * 1e6)
    failures = [failure for _, callers in pairs for failure in callers.failures]
    for _, callers in pairs:
        await callers.aclose()
    await asyncio.sleep(_SETTLE_SECONDS)
    calls = Counter(line["worker"] for line in _read_log(two, "call")[before:])
    medians = {name: statistics.median(values) for name, values in costs.items()}
    workers = _find_workers(two)
    return {
        "cpu_us_per_call": {name: round(value) for name, value in medians.items()},
        "cpu_ratio": round(medians["two"] / medians["one"], 3),
        "largest_share": round(max(calls.values()) / calls.total(), 3),
        "worker_private_mb": [round(_read_private_bytes(pid) / 2**20, 1) for pid in workers],
        "supervisor_private_mb": round(_read_private_bytes(two.process.pid) / 2**20, 1),
        "one_process_mb": round(one.process.read_memory_bytes() / 2**20, 1),
        "two_workers_and_supervisor_mb": round(two.process.read_memory_bytes() / 2**20, 1),
        "failures": dict(Counter(what for _, what in failures)),
    }


async def _kill_one(two: Service) -> dict[str, Any]:
    """Kills one of two workers under load, and returns what the callers noticed."""
    callers = Callers(two.port)
    await callers.run(1.0)
    load = asyncio.create_task(callers.run(_KILL_SECONDS, SLOW_MODEL))
    await asyncio.sleep(_KILL_SECONDS / 5)
    served = len(_read_log(two, "serving"))
    killed = time.monotonic()
    os.kill(_find_workers(two)[0], signal.SIGKILL)
    while len(_read_log(two, "serving")) == served:  # noqa: ASYNC110 - another process writes
        await asyncio.sleep(0.01)
    replaced = time.monotonic()
    answered = await load
    await callers.aclose()
    last = max((at for at, _ in callers.failures), default=killed)
    return {
        "answered": answered,
        "failed": dict(Counter(what for _, what in callers.failures)),
        "last_failure_seconds": round(last - killed, 3),
        "two_served_again_seconds": round(replaced - killed, 3),
    }


def _read_log(service: Service, message: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.process.log.read_text().splitlines() if f'"{message}"' in line]
    return [line for line in lines if line["message"] == message and "worker" in line]


def _find_workers(service: Service) -> Sequence[int]:
    """Returns the ids of the workers that run, the oldest first."""
    started = [line["process_id"] for line in _read_started(service.process)]
    return [pid for pid in started if Path(f"/proc/{pid}").exists()]


def _read_started(process: Process) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.read_text().splitlines() if '"worker started"' in line]


def _read_private_bytes(pid: int) -> int:
    """Returns the memory that a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    asyncio.run(main())
