"""`python -m bench.restart`: restarts and kills servers under load, and reports what callers noticed."""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.process import Process
from bench.restart.envoy import list_arguments, write_config
from bench.restart.load import Load, ask_for_health_checks
from bench.restart.phases import Phase, run_kills, run_restarts
from bench.restart.servers import Server, create_servers
from bench.services import find_free_port
from bench.setup import install_peers
from bench.upstream import build_mock, start_mock

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "bench"
ENVOY: Final = ROOT / ".tools" / "envoy" / "bin" / "envoy"
_NAMES: Final = {
    "round_robin": "round robin in the client",
    "health_checks": "round robin with health checks",
    "envoy": "Envoy",
}


def main() -> int:
    """Runs all phases; returns 1 when a call failed that may not fail."""
    arguments = _parse_arguments()
    folder = FOLDER / "restart"
    folder.mkdir(parents=True, exist_ok=True)
    peers = install_peers(FOLDER)
    mock, port = start_mock(build_mock(FOLDER), folder)
    try:
        phases = asyncio.run(_run(arguments, folder, port))
    finally:
        mock.stop()
    report = {"load": vars(arguments), "phases": {phase.name: phase.summarize() for phase in phases}}
    file = FOLDER / "restart.json"
    file.write_text(json.dumps(report, indent=1) + "\n")
    for phase in phases:
        _print(phase)
    subprocess.run([peers, "-m", "bench.restart.plot", file, file.with_suffix(".png")], cwd=ROOT, check=True)
    print(f"\n{file}\n{file.with_suffix('.png')}")
    return int(any(phase.problems for phase in phases))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.restart", description=__doc__)
    parser.add_argument("--unary-per-second", type=float, default=40.0, help="unary calls that are started each second")
    parser.add_argument("--short-streams", type=int, default=8, help="streams of two seconds at once")
    parser.add_argument("--long-streams", type=int, default=6, help="streams of twenty seconds at once")
    parser.add_argument("--balancers", nargs="*", default=list(_NAMES), choices=list(_NAMES))
    return parser.parse_args()


async def _run(arguments: argparse.Namespace, folder: Path, mock_port: int) -> list[Phase]:
    servers = create_servers(folder, mock_port)
    phases: list[Phase] = []
    try:
        await asyncio.gather(*(server.start() for server in servers))
        for balancer in arguments.balancers:
            phases += await _run_balancer(arguments, folder, servers, balancer)
    finally:
        for server in servers:
            if server.process is not None and server.process.is_running:
                await server.kill()
    return phases


async def _run_balancer(
    arguments: argparse.Namespace, folder: Path, servers: Sequence[Server], balancer: str
) -> list[Phase]:
    envoy = None
    target = "ipv4:" + ",".join(server.target for server in servers)
    if balancer == "envoy":
        envoy, target = _start_envoy(folder, servers)

    def create_load() -> Load:
        return Load(
            target,
            unary_model="mock-1",
            unary_per_second=arguments.unary_per_second,
            stream_models=["mock-100-20"] * arguments.short_streams + ["mock-1000-20"] * arguments.long_streams,
            options=[("grpc.service_config", ask_for_health_checks())] if balancer == "health_checks" else [],
        )

    name = _NAMES[balancer]
    try:
        return [
            await run_restarts(f"SIGTERM behind {name}", create_load(), servers),
            await run_kills(f"kill -9 behind {name}", create_load(), servers),
        ]
    finally:
        if envoy is not None:
            envoy.stop()


def _start_envoy(folder: Path, servers: Sequence[Server]) -> tuple[Process, str]:
    config, listener = folder / "envoy.yaml", find_free_port()
    write_config(config, listener=listener, admin=find_free_port(), servers=[server.port for server in servers])
    process = Process([str(ENVOY), *list_arguments(config)], folder / "envoy.log")
    return process, f"127.0.0.1:{listener}"


def _print(phase: Phase) -> None:
    summary: dict[str, Any] = phase.summarize()
    print(f"\n{phase.name}")
    for kind, outcomes in summary["calls"].items():
        print(f"  {kind:8}" + ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items()))
    print(
        f"  unary   p50 {summary['unary_ms']['p50']} ms, p99 {summary['unary_ms']['p99']} ms, "
        f"longest {summary['unary_ms']['max']} ms"
    )
    for fact in summary["servers"]:
        print("  " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fact.items()))
    for problem in summary["problems"]:
        print(f"  PROBLEM: {problem}")


if __name__ == "__main__":
    sys.exit(main())
