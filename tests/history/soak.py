"""`make soak`: mixed calls under random faults for an hour; every history is checked, and the server's size watched.

It exits with 1 when there was a violation, or when memory grows by more than a megabyte an hour. The report is printed
and written to build/soak/report.json. A violation names its seed: `make soak ARGS="--seed N --rounds 1"` repeats it.
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
from tests.history.host import TASKS_FILE
from tests.history.report import Report
from tests.history.rounds import serving_rounds
from tests.history.sampling import Sampler

ROOT: Final = Path(__file__).parent.parent.parent
REPORT: Final = ROOT / "build" / "soak" / "report.json"


def main() -> int:
    """Runs the soak, and returns 0 when it is passed."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60.0, help="minutes of measuring, after the warm-up")
    parser.add_argument("--warm-up", type=float, default=10.0, help="minutes before it")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round; each further one has the next")
    parser.add_argument("--rounds", type=int, help="rounds to run, in place of minutes")
    parser.add_argument("--calls", type=int, default=400, help="calls of a round")
    parser.add_argument("--report", type=Path, default=REPORT, help="file for the report")
    parser.add_argument("--concurrency", type=int, default=32, help="calls at once")
    arguments = parser.parse_args()
    report = asyncio.run(_soak(arguments))
    failures = [] if arguments.rounds and not report.violations else list(report.list_failures())
    facts = {name: value for name, value in vars(arguments).items() if name != "report"}
    report.write(arguments.report, **facts)
    print("\n".join([*report.lines(), str(arguments.report), *(f"FAIL: {failure}" for failure in failures)]))
    return 1 if failures else 0


async def _soak(arguments: argparse.Namespace) -> Report:
    report = Report(0.0 if arguments.rounds else arguments.warm_up / 60)
    ends = time.monotonic() + (arguments.warm_up + arguments.minutes) * 60
    program = (sys.executable, "-m", "tests.history.host")
    with tempfile.TemporaryDirectory() as folder:
        tasks_file = Path(folder) / "tasks"
        variables = {"PYTHONPATH": str(ROOT), TASKS_FILE: str(tasks_file)}
        async with serving_rounds(Path(folder), variables, program=program) as rounds:
            sampler = Sampler(rounds.server.process.pid, tasks_file)
            for number in count() if arguments.rounds is None else range(arguments.rounds):
                if arguments.rounds is None and time.monotonic() >= ends:
                    break
                history = await rounds.run(arguments.seed + number, range(arguments.calls), arguments.concurrency)
                violations = find_violations(history)
                report.add(history, violations, await sampler.sample())
                for violation in violations:
                    print(violation, flush=True)
                if number % 50 == 0:
                    print(report.samples[-1], file=sys.stderr, flush=True)
            await rounds.stop()
    return report


if __name__ == "__main__":
    sys.exit(main())
