"""`make soak`: mixed calls under random faults for an hour; every history is checked, and the server's size watched.

It exits with 1 when there was a violation, or when memory grows by more than a megabyte an hour. The report is printed
at the end, and written after each round to build/soak/report.json and report.txt, so that a soak which is stopped has
one, too. A violation names its seed: `make soak ARGS="--seed N --rounds 1"` repeats it.

The load is constant and moderate: the server takes about a tenth of a core, and the rest of the soak as much again.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final

from tests.history.checker import find_violations
from tests.history.pace import Pace
from tests.history.report import Report
from tests.history.sampling import ROOT, serving_sampled_rounds

_LIMIT_SECONDS: Final = 6.0
"""How long the server waits for a token. A machine with much other work must not be late by as much."""
REPORT: Final = ROOT / "build" / "soak" / "report.json"


def main() -> int:
    """Runs the soak, and returns 0 when it is passed."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of measuring, after the warm-up")
    parser.add_argument("--warm-up", type=float, default=10.0, help="minutes before it")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round; each further one has the next")
    parser.add_argument("--rounds", type=int, help="rounds to run, in place of minutes")
    parser.add_argument("--calls", type=int, default=1200, help="calls of a round")
    parser.add_argument("--report", type=Path, default=REPORT, help="file for the report")
    parser.add_argument("--concurrency", type=int, default=64, help="calls at once, at most")
    parser.add_argument("--calls-per-second", type=float, default=40.0, help="calls that begin in a second")
    arguments = parser.parse_args()
    report = asyncio.run(_soak(arguments))
    failures = [] if arguments.rounds and not report.violations else list(report.list_failures())
    print("\n".join([*report.lines(), str(arguments.report), *(f"FAIL: {failure}" for failure in failures)]))
    return 1 if failures else 0


async def _soak(arguments: argparse.Namespace) -> Report:
    report = Report(0.0 if arguments.rounds else arguments.warm_up / 60)
    ends = time.monotonic() + (arguments.warm_up + arguments.minutes) * 60
    pace = Pace(arguments.calls_per_second, time.monotonic)
    facts = {name: value for name, value in vars(arguments).items() if name != "report"}
    with tempfile.TemporaryDirectory() as folder:
        async with serving_sampled_rounds(Path(folder), limit_seconds=_LIMIT_SECONDS) as (rounds, sampler):
            for number in count() if arguments.rounds is None else range(arguments.rounds):
                if arguments.rounds is None and time.monotonic() >= ends:
                    break
                seed, numbers = arguments.seed + number, range(arguments.calls)
                history = await rounds.run(seed, numbers, arguments.concurrency, pace=pace)
                violations = find_violations(history)
                report.add(history, violations, await sampler.sample())
                report.write(arguments.report, **facts)
                for violation in violations:
                    print(violation, flush=True)
                if number % 50 == 0:
                    print(report.samples[-1], file=sys.stderr, flush=True)
            await rounds.stop()
    return report


if __name__ == "__main__":
    sys.exit(main())
