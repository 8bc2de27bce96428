"""`make bench-workers`: measures a server with two workers beside one without.

Both serve the same unary calls, in turns, so that what else runs on the machine disturbs both alike:

- The servers share a core, and the client has another. Only the callers of one of the two workers make calls at a time,
  as many as call the other server. So a worker does not take the core's caches from the other, which it never does on a
  machine with enough cores; this is the CPU time that workers cost.
- Everything runs on all cores, and 64 callers call both workers. This also gives the share of the calls that the busier
  worker got, and the memory that a worker adds.
- One of the two workers is killed under load, and this program prints what the callers noticed.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

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
_POLL_SECONDS: Final = 0.005


class Callers:
    """Clients with a connection each, which make one call after another."""

    def __init__(self, clients: Sequence[GrpcClient]) -> None:
        self.clients = clients
        self.failures: list[tuple[float, str]] = []
        """The time and the code of each call that failed."""

    @classmethod
    def connect(cls, service: Service, count: int = CONNECTIONS) -> Self:
        """Returns so many callers of a server."""
        own = [("grpc.use_local_subchannel_pool", 1)]
        return cls([GrpcClient(f"127.0.0.1:{service.port}", TOKEN, own) for _ in range(count)])

    async def run(self, seconds: float, model: str = MODEL) -> int:
        """Makes calls for some seconds, and returns the number of those that were answered."""
        end = time.monotonic() + seconds
        return sum(await asyncio.gather(*(self._call_until(client, end, model) for client in self.clients)))

    async def aclose(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*(client.aclose() for client in self.clients))

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
    all_cores = os.sched_getaffinity(0)
    client, *servers = sorted(all_cores)
    with _pinned({client}):
        mock, port = start_mock(build_mock(FOLDER), folder)
        try:
            with _serving(folder, port, set(servers[-1:])) as pair:
                print(json.dumps({"in_turns": await _measure_turns(*pair, arguments)}, indent=1), flush=True)
            with _pinned(all_cores), _serving(folder, port, all_cores) as pair:
                print(json.dumps({"together": await _measure(*pair, arguments)}, indent=1), flush=True)
                print(json.dumps({"kill": await _kill_one(pair[1])}, indent=1))
        finally:
            mock.stop()


@contextmanager
def _pinned(cores: set[int]) -> Iterator[None]:
    """Lets this process, and those that it starts meanwhile, run on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _serving(folder: Path, mock_port: int, cores: set[int]) -> Iterator[tuple[Service, Service]]:
    """Starts a server without workers, and one with two, on these cores."""
    environment = Environment(folder, mock_port, Path(sys.executable), Path(sys.executable), Path(sys.executable))
    unrefused = {"REASONING_MAX_LOOP_LAG_SECONDS": "10"}  # a refused call would cost less than an answered one
    with _pinned(cores):
        one = start_ours(environment, "one", variables=unrefused)
        two = start_ours(environment, "two", variables={"REASONING_WORKERS": "2", **unrefused})
    try:
        yield one, two
    finally:
        for each in (one, two):
            each.stop()


async def _measure_turns(one: Service, two: Service, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the CPU time of a call when a worker has the core for itself, as it has with a core for each."""
    everybody = Callers.connect(two)
    by_worker = await _sort_by_worker(two, everybody.clients)
    count = min(map(len, by_worker.values()))
    alone = Callers.connect(one, count)
    turns = [Callers(clients[:count]) for _, clients in sorted(by_worker.items())]
    costs: dict[str, list[float]] = {"one": [], "two": []}
    for number in range(arguments.rounds + 2):
        for name, service, callers in (("one", one, alone), ("two", two, turns[number % 2])):
            cost = await _measure_cost(service, callers, arguments.seconds)
            if number >= len(turns):  # before that they warm up
                costs[name].append(cost)
    for callers in (everybody, alone):
        await callers.aclose()
    return {"callers": count, **_compare(costs)}


async def _sort_by_worker(service: Service, clients: Sequence[GrpcClient]) -> dict[int, list[GrpcClient]]:
    """Returns the clients by the number of the worker that has their connection."""
    sorted_clients = defaultdict[int, list[GrpcClient]](list)
    for client in clients:
        before = len(_read_log(service, "call"))
        await client.complete(MODEL, "hello")
        while len(lines := _read_log(service, "call")) == before:  # noqa: ASYNC110 - another process writes
            await asyncio.sleep(_POLL_SECONDS)
        sorted_clients[lines[-1]["worker"]].append(client)
    return sorted_clients


async def _measure(one: Service, two: Service, arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of both servers when each has the same callers."""
    costs: dict[str, list[float]] = {"one": [], "two": []}
    pairs = [(service, Callers.connect(service)) for service in (one, two)]
    for _, callers in pairs:
        await callers.run(arguments.seconds)  # connects, and warms up
    before = len(_read_log(two, "call"))
    for _ in range(arguments.rounds):
        for service, callers in pairs:
            costs[service.name].append(await _measure_cost(service, callers, arguments.seconds))
    failures = [failure for _, callers in pairs for failure in callers.failures]
    for _, callers in pairs:
        await callers.aclose()
    await asyncio.sleep(_SETTLE_SECONDS)
    calls = Counter(line["worker"] for line in _read_log(two, "call")[before:])
    return {
        **_compare(costs),
        "largest_share": round(max(calls.values()) / calls.total(), 3),
        "worker_private_mb": [round(_read_private_bytes(pid) / 2**20, 1) for pid in _find_workers(two)],
        "supervisor_private_mb": round(_read_private_bytes(two.process.pid) / 2**20, 1),
        "one_process_mb": round(one.process.read_memory_bytes() / 2**20, 1),
        "two_workers_and_supervisor_mb": round(two.process.read_memory_bytes() / 2**20, 1),
        "failures": dict(Counter(what for _, what in failures)),
    }


async def _measure_cost(service: Service, callers: Callers, seconds: float) -> float:
    """Returns the CPU time of a call, in microseconds."""
    started = service.process.read_cpu_seconds()
    answered = await callers.run(seconds)
    return (service.process.read_cpu_seconds() - started) / answered * 1e6


def _compare(costs: dict[str, list[float]]) -> dict[str, Any]:
    """Returns the median costs, and how much more a call costs with two workers."""
    medians = {name: statistics.median(values) for name, values in costs.items()}
    ratio = round(medians["two"] / medians["one"], 3)
    return {"cpu_us_per_call": {name: round(value) for name, value in medians.items()}, "cpu_ratio": ratio}


async def _kill_one(two: Service) -> dict[str, Any]:
    """Kills one of two workers under load, and returns what the callers noticed."""
    callers = Callers.connect(two)
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
