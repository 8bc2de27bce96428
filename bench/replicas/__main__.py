"""`python -m bench.replicas`: lets replicas meet faults under load, and reports what callers noticed."""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.replicas.faults import FAULTS, run_fault
from bench.replicas.fleet import ENVOY, LONG_STREAM, SHORT_STREAM, UNARY_MODEL, Fleet, run_fleet
from bench.replicas.network import Loopback, Namespaces, Network, NoNamespaces, build_namespace_command
from bench.replicas.observation import DEADLINE_SECONDS, Observation
from bench.replicas.table import BALANCINGS, build_report
from bench.report import describe_machine
from bench.restart.load import Load, ask_for_health_checks
from bench.upstream import build_mock

FOLDER: Final = Path(__file__).parents[2] / "build" / "replicas"
REPORT: Final = FOLDER / "replicas.json"
_LIMIT_SECONDS: Final = 480.0
"""The time after which a run is given up."""
_OWN_CONNECTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


def main() -> int:
    """Runs all faults, in namespaces where they can be had; returns 1 when a promise was broken."""
    arguments = _parse_arguments()
    if arguments.in_namespaces:
        return _run(arguments, Namespaces(), "one for each replica, in a network namespace of its own")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if not arguments.loopback:
        try:
            return _run_in(build_namespace_command())
        except NoNamespaces as exc:
            print(f"no network namespaces, so the replicas are on loopback, and none is cut off: {exc}", flush=True)
    return _run(arguments, Loopback(), "one of 127.0.1.0/24 for each replica, so none was cut off")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.replicas", description=__doc__)
    parser.add_argument("--unary-per-second", type=float, default=15.0, help="unary calls of each load in a second")
    parser.add_argument("--short-streams", type=int, default=6, help="streams of two seconds of each load at once")
    parser.add_argument("--long-streams", type=int, default=4, help="streams of fifteen seconds of each load at once")
    parser.add_argument("--faults", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--balancings", nargs="*", default=list(BALANCINGS), choices=list(BALANCINGS))
    parser.add_argument("--loopback", action="store_true", help="use no namespaces, even where they can be had")
    parser.add_argument("--in-namespaces", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_in(command: Sequence[str]) -> int:
    """Runs this program again by a command that gives it namespaces, and returns its exit code.

    However this ends, the kernel then ends all processes of the namespaces, and the namespaces with them.
    """
    own = [sys.executable, "-m", "bench.replicas", *sys.argv[1:], "--in-namespaces"]
    with subprocess.Popen([*command, *own]) as process:
        try:
            return process.wait()
        finally:
            process.kill()


def _run(arguments: argparse.Namespace, network: Network, addresses: str) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    observations = [each.summarize() for each in asyncio.run(_observe(arguments, network))]
    run = {
        "command": "make bench-replicas",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe_machine(),
        "versions": {"Envoy": _read_envoy_version(), "grpcio": version("grpcio")},
        "addresses": addresses,
        "load": _describe_load(arguments),
        "observations": observations,
    }
    REPORT.write_text(json.dumps(run, indent=1) + "\n")
    print("\n".join(["", *build_report(run), ""]))
    for each in observations:
        for problem in each["problems"]:
            print(f"PROBLEM: {each['fault']}, {each['balancing']}: {problem}")
    print(REPORT)
    return int(any(each["problems"] for each in observations))


async def _observe(arguments: argparse.Namespace, network: Network) -> list[Observation]:
    found: list[Observation] = []
    mock = build_mock(FOLDER)
    async with asyncio.timeout(_LIMIT_SECONDS), run_fleet(network, mock, FOLDER) as fleet:
        for fault in arguments.faults:
            if fault == "partition" and not network.can_cut:
                continue
            print(f"{datetime.now():%H:%M:%S} {fault}", flush=True)
            found += await run_fault(fault, fleet, _create_loads(arguments, fleet))
    return found


def _create_loads(arguments: argparse.Namespace, fleet: Fleet) -> dict[str, Load]:
    """Returns a load for each kind of balancing."""
    ways: Mapping[str, tuple[str, Sequence[tuple[str, Any]]]] = {
        "round_robin": (fleet.target, ()),
        "health_checks": (fleet.target, [("grpc.service_config", ask_for_health_checks())]),
        "envoy": (fleet.envoy_target, ()),
    }
    streams = [SHORT_STREAM] * arguments.short_streams + [LONG_STREAM] * arguments.long_streams
    return {
        balancing: Load(
            ways[balancing][0],
            unary_model=UNARY_MODEL,
            unary_per_second=arguments.unary_per_second,
            stream_models=streams,
            unary_timeout_seconds=DEADLINE_SECONDS,
            stream_timeout_seconds=DEADLINE_SECONDS,
            options=[*_OWN_CONNECTIONS, *ways[balancing][1]],
        )
        for balancing in arguments.balancings
    }


def _describe_load(arguments: argparse.Namespace) -> str:
    return (
        f"{arguments.unary_per_second:g} unary calls a second, which take half a second, {arguments.short_streams} "
        f"streams of 2 s and {arguments.long_streams} of 15 s at once, each with a deadline of {DEADLINE_SECONDS:g} s"
    )


def _read_envoy_version() -> str:
    output = subprocess.run([ENVOY, "--version"], check=True, capture_output=True, text=True).stdout
    number = re.search(r"/(\d+\.\d+\.\d+)/", output)
    if number is None:
        raise ValueError(f"Envoy names no version: {output}")
    return number[1]


if __name__ == "__main__":
    sys.exit(main())
