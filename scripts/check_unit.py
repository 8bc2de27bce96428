"""`make check-unit`: lets systemd verify `deploy/systemd/reasoning-grpc.service`, and judge how exposed the service is.

Where systemd's tools are not installed, or are older than 250, it reports that this is left out; with `--all` that is a
failure. Nothing is started.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from scripts.optional_check import ROOT, leave_out, read_arguments
from scripts.server_process import COMMAND

UNIT: Final = ROOT / "deploy" / "systemd" / "reasoning-grpc.service"
INSTALLED: Final = "/opt/reasoning-grpc/bin/reasoning-grpc"
"""The command as the unit names it; systemd refuses a unit whose command is not there."""
_LEAST_VERSION: Final = 250
_MOST_EXPOSURE: Final = 25
"""Ten times the exposure, from 0 to 10, above which systemd's judgement is a failure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns 1 when the unit has a problem, or when `--all` is given and they are left out."""
    options, _ = read_arguments(arguments, "Check the unit of systemd.", "systemd's tools are not installed")
    program = shutil.which("systemd-analyze")
    if program is None:
        return leave_out("the unit of systemd", "there is no systemd-analyze", options)
    if (version := read_version(_run(program, "--version")[1])) < _LEAST_VERSION:
        return leave_out("the unit of systemd", f"systemd-analyze is of version {version}", options)
    with TemporaryDirectory() as folder:
        unit = Path(folder) / UNIT.name
        unit.write_text(replace_command(UNIT.read_text("utf-8"), str(COMMAND)), "utf-8")
        code, output = _run(program, "verify", "--man=no", str(unit))
        problems = find_problems(output, str(unit))
        if code and not problems:
            problems = output.splitlines()
        exposed, judgement = _run(
            program, "security", "--no-pager", "--offline=true", f"--threshold={_MOST_EXPOSURE}", str(unit)
        )
    if exposed:
        problems.append(judgement)
    for problem in problems:
        print(f"{UNIT.relative_to(ROOT)}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{UNIT.relative_to(ROOT)} is sound. {judgement.splitlines()[-1].lstrip('→ ')}")
    return int(bool(problems))


def read_version(output: str) -> int:
    """Returns the version in the first line of `systemd-analyze --version`; 0 where there is none."""
    found = re.match(r"systemd (\d+)", output)
    return int(found[1]) if found else 0


def replace_command(unit: str, command: str) -> str:
    """Returns the unit with the command of this checkout. Raises ValueError where it names no installed one."""
    if INSTALLED not in unit:
        raise ValueError(f"the unit does not start {INSTALLED}")
    return unit.replace(INSTALLED, command)


def find_problems(output: str, path: str) -> list[str]:
    """Returns the lines of `systemd-analyze verify` about this unit, and not about others of the machine."""
    name = Path(path).name
    return [line for line in output.splitlines() if line.startswith((f"{path}:", f"{name}:"))]


def _run(*command: str) -> tuple[int, str]:
    """Returns the exit code and the whole output of a command."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
