"""`make test`: runs most tests on all cores, then the serial ones alone, and sums both parts up in one line.

Arguments go to pytest: `make test ARGS="-k cancel -x"`. The markers that pytest leaves out by its options in
pyproject.toml are left out here as well: each of them has a target of its own, such as `make envoy`.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent

# With `worksteal` each worker takes a contiguous share of the files, so a fixture of a module, such as a LiteLLM proxy,
# rarely starts twice; a worker that has finished takes over what another has not begun, so no core waits for the end.
PARALLEL: Final = ("-n", "auto", "--dist", "worksteal")
NOT_RUN: Final = (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR)
"""The codes after which the rest is not run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs both parts; returns 0 when all tests pass."""
    parser = argparse.ArgumentParser(description="Run the tests.", allow_abbrev=False)
    parser.add_argument("-m", dest="markers", default="", help="run the tests that have these markers only")
    options, others = parser.parse_known_args(arguments)
    chosen = f"{read_default_markers()} and " + (f"({options.markers}) and " if options.markers else "")
    # Ctrl-C reaches pytest as well, which stops what it has started. A handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGINT, lambda *_: None)

    began, codes, counts = time.monotonic(), [], Counter[str]()
    for part in ([*PARALLEL, "-m", f"{chosen}not serial"], ["-m", f"{chosen}serial"]):
        code, outcomes = _run_pytest([*part, *others])
        codes.append(code)
        counts += outcomes
        if code in NOT_RUN:
            break
    code = combine_codes(codes)
    print(f"{'FAIL' if code else 'ok'}: {summarize(counts)}, {time.monotonic() - began:.0f} s in all", flush=True)
    return code


def read_default_markers() -> str:
    """Returns the expression by which pytest chooses tests where none is given, from pyproject.toml."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]["addopts"]
    expression: str = options[options.index("-m") + 1]
    return expression


def combine_codes(codes: Iterable[int]) -> int:
    """Returns the first exit code of a failure; a part without tests is none, unless every part is."""
    codes = set(codes)
    failures = codes - {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
    return max(failures, default=min(codes))


def summarize(counts: Counter[str]) -> str:
    """Returns the outcomes in words: "12 passed, 1 failed"."""
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count) or "no tests"


def _run_pytest(arguments: Sequence[str]) -> tuple[int, Counter[str]]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *arguments]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        return code, count_outcomes(report.read_text()) if report.exists() else Counter()


def count_outcomes(report: str) -> Counter[str]:
    """Counts the outcomes in a JUnit report."""
    (suite,) = ElementTree.fromstring(report)
    failed, broken, skipped = (int(suite.get(name, 0)) for name in ("failures", "errors", "skipped"))
    passed = int(suite.get("tests", 0)) - failed - broken - skipped
    return Counter(passed=passed, failed=failed, errors=broken, skipped=skipped)


if __name__ == "__main__":
    sys.exit(main())
