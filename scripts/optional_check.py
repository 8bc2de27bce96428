"""The checks of `make` that need a program which may be missing: their arguments, and the steps that they run."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
IMAGE_TOOLS: Final = ROOT / ".tools" / "image"
"""The environment with what lints the image and lists what is in it; make creates it with its file `.ready`."""

Step = Sequence[str]
"""A command and its arguments."""


def read_arguments(
    arguments: Sequence[str] | None, description: str, needs: str
) -> tuple[argparse.Namespace, list[str]]:
    """Returns the options of a check, of which `all` is one, and the further arguments, which are pytest's.

    `needs` says what `--all` does not do without.
    """
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--all", action="store_true", help=f"fail where {needs}")
    return parser.parse_known_args(arguments)


def leave_out(what: str, reason: str, options: argparse.Namespace) -> int:
    """Reports that a check is left out, and returns its exit code: with `--all` that is a failure."""
    print(f"left out: {what}, because {reason}", flush=True)
    return int(options.all)


def build_make_step(*files: str | Path) -> Step:
    """Returns the command by which make creates these files of the repository."""
    names = [str(Path(file).relative_to(ROOT)) if Path(file).is_absolute() else str(file) for file in files]
    return ["make", "--silent", "--no-print-directory", *names]


def build_test_step(marker: str, folder: str, arguments: Sequence[str]) -> Step:
    """Returns the command that runs the tests of a folder which have this marker."""
    return [sys.executable, "-m", "pytest", "-m", marker, folder, *arguments]


def run_steps(*steps: Step) -> int:
    """Runs commands one after another until one fails; returns its exit code, or 0."""
    for step in steps:
        if code := subprocess.run(step, cwd=ROOT, check=False).returncode:
            return code
    return 0
