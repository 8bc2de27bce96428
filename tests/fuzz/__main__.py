"""`python -m tests.fuzz`: fuzzes each target for a while, and reports executions, coverage and findings.

It installs atheris below .tools, and works below build/fuzz. With `--keep`, what covers more code is minimised, and
added to the corpus of the repository. It fails when anything was found; where atheris cannot be installed, it reports
that fuzzing is left out, and fails only with `--all`.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.fuzz.corpus import keep_new_inputs
from tests.fuzz.runs import Run, prepare_run
from tests.fuzz.targets import TARGETS

_ROOT: Final = Path(__file__).resolve().parents[2]
_INSTALLED: Final = ".tools/fuzz/.ready"
_HEAD: Final = f"{'target':<10}{'executions':>12}{'a second':>10}{'coverage':>16}{'inputs':>8}{'memory':>16}  findings"


def main(arguments: Sequence[str] | None = None, install: Callable[[], bool] | None = None) -> int:
    """Fuzzes; returns 1 when anything was found, or when `--all` is given and fuzzing is left out."""
    parser = argparse.ArgumentParser(description="Fuzz the wire and the readers of answers.", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=0.125, help="how long each target is fuzzed")
    parser.add_argument("--keep", action="store_true", help="add what covers more code to the corpus")
    parser.add_argument("--all", action="store_true", help="fail when atheris cannot be installed")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; none: all")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    if not (install or _install_fuzzer)():
        print("left out: fuzzing, because atheris cannot be installed here", flush=True)
        return int(options.all)

    print(_HEAD, flush=True)
    findings: list[Path] = []
    for name in options.targets or TARGETS:
        run = prepare_run(name)
        run.fuzz(seconds=round(options.minutes * 60))
        print(_describe(run), flush=True)
        findings += run.findings
        if run.findings:
            print(run.read_fault(), flush=True)
        if options.keep:
            added = keep_new_inputs(run)
            print(f"{'':<10}{added} inputs added to the corpus", flush=True)
    print("\n".join(f"found: {path.relative_to(_ROOT)}" for path in findings) or "nothing was found", flush=True)
    return int(bool(findings))


def _install_fuzzer() -> bool:
    """Installs atheris unless it is there, and returns whether that succeeded."""
    command = ["make", "--silent", "--no-print-directory", _INSTALLED]
    return subprocess.run(command, cwd=_ROOT, check=False).returncode == 0


def _describe(run: Run) -> str:
    before, after = run.begin, run.end
    return (
        f"{run.name:<10}{after.executions:>12}{after.rate:>10}{f'{before.coverage} to {after.coverage}':>16}"
        f"{after.inputs:>8}{f'{before.megabytes} to {after.megabytes} MB':>16}  {len(run.findings)}"
    )


if __name__ == "__main__":
    sys.exit(main())
