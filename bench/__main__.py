"""`python -m bench`: measures all services in interleaved rounds, and prints the figures and the targets."""

import argparse
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.figures import Figure
from bench.measures import MEASURES
from bench.orders import Metered, warm_up
from bench.process import Process
from bench.profiler import Profile, profile_service
from bench.report import print_report, write_json
from bench.services import STARTERS, Environment, Service, start_direct
from bench.setup import compile_modules, install_baseline, install_peers, install_profiler
from bench.upstream import build_mock, start_mock

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "build" / "bench"


def main() -> None:
    """Runs the measures that the command line names."""
    arguments = _parse_arguments()
    folder = FOLDER / "run"
    folder.mkdir(parents=True, exist_ok=True)
    program = build_mock(FOLDER)
    baseline, peers = install_baseline(ROOT, FOLDER), install_peers(FOLDER)
    mock, port = start_mock(program, folder)
    for build in (Path(sys.executable), baseline):
        compile_modules(build)
    environment = Environment(folder, port, Path(sys.executable), baseline, peers)
    try:
        figures, profiles = _run(arguments, environment, mock)
    finally:
        mock.stop()
    print_report(figures, profiles)
    file = FOLDER / "figures.json"
    command = f"python -m bench {shlex.join(sys.argv[1:])}" if sys.argv[1:] else "make bench"
    write_json(figures, profiles, file, command=command)
    subprocess.run([peers, "-m", "bench.plot", file, file.with_suffix(".png")], cwd=ROOT, check=True)
    print(f"\n{file}\n{file.with_suffix('.png')}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="rounds, each of which measures every service once")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of one measure of one service")
    parser.add_argument("--services", nargs="*", default=list(STARTERS), choices=list(STARTERS))
    parser.add_argument("--measures", nargs="*", default=list(MEASURES), choices=list(MEASURES))
    parser.add_argument("--without-growth", action="store_true", help="leave out how costs grow with sizes")
    parser.add_argument("--without-profile", action="store_true", help="leave out where the CPU time of a call goes")
    arguments = parser.parse_args()
    if arguments.without_growth:
        arguments.measures = [name for name in arguments.measures if not name.startswith("growth_")]
    return arguments


def _run(
    arguments: argparse.Namespace, environment: Environment, mock: Process
) -> tuple[Mapping[tuple[str, str, str], Figure], Mapping[str, Profile]]:
    """Returns the figures, and where the CPU time of a unary call goes in this build and in the older one."""
    services: dict[str, Service] = {}
    profiles: dict[str, Profile] = {}
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    try:
        for name in arguments.services:
            print(f"starts {name}", file=sys.stderr)
            services[name] = STARTERS[name](environment)
            values["start", name, "seconds"].append(services[name].start_seconds)
        for service in services.values():
            warm_up(service)
        if not arguments.without_profile:  # first, because a system that forbids it then fails before the long part
            profiler = install_profiler(FOLDER)
            for name in [name for name in ("baseline", "ours") if name in services]:
                profiles[name] = profile_service(services[name], profiler, arguments.seconds * 2)
        services["direct"] = start_direct(environment, mock)
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for measure in map(MEASURES.__getitem__, arguments.measures):
                for name in _rotate([name for name in measure.services if name in services], number):
                    started, meter = time.monotonic(), Metered(mock)
                    for figure, value in measure.run(services[name], arguments.seconds).items():
                        values[measure.name, name, figure].append(value)
                    values["mock", name, "busy_share"].append(meter.read() / (time.monotonic() - started))
        for name in arguments.services:
            values["memory", name, "megabytes"].append(services[name].process.read_memory_bytes() / 1e6)
    finally:
        for service in services.values():
            if service.name != "direct":
                service.stop()
            else:
                service.client.stop()
    return {key: Figure(tuple(each)) for key, each in values.items()}, profiles


def _rotate(names: list[str], by: int) -> list[str]:
    """Returns the names in another order each round, so that no service is always the first."""
    by %= max(1, len(names))
    return names[by:] + names[:by]


if __name__ == "__main__":
    main()
