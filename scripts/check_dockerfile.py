"""`make lint-image`: lints the Dockerfile with hadolint.

Where PyPI has no hadolint for the system, it reports that this is left out; with `--all` that is a failure.
"""

import platform
import sys
from collections.abc import Sequence
from typing import Final

from scripts.optional_check import IMAGE_TOOLS, build_make_step, leave_out, read_arguments, run_steps

_HADOLINT: Final = IMAGE_TOOLS / "bin" / "hadolint"
_SYSTEMS: Final = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"), ("Darwin", "x86_64")}
"""The systems for which the package has a program."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the linter; returns 1 when `--all` is given and it is left out."""
    options, others = read_arguments(arguments, "Lint the Dockerfile.", "there is no hadolint for the system")
    system = platform.system(), platform.machine()
    if system not in _SYSTEMS:
        return leave_out("the Dockerfile", f"hadolint's package has no program for {' '.join(system)}", options)
    lint = [str(_HADOLINT), "--failure-threshold", "style", *others, "Dockerfile"]
    return run_steps(build_make_step(IMAGE_TOOLS / ".ready"), lint)


if __name__ == "__main__":
    sys.exit(main())
