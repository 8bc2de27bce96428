"""`make helm`: lints and renders the Helm chart with Helm's own engine, and runs the tests of what it makes.

The tests also run a real Envoy on what the chart configures for it. Where PyPI has no engine for the system, it reports
that this is left out; with `--all` that is a failure. Further arguments go to pytest.
"""

import platform
import sys
from collections.abc import Sequence
from typing import Final

from scripts.chart import PACKAGES
from scripts.check_envoy import ENVOY
from scripts.optional_check import build_make_step, build_test_step, leave_out, read_arguments, run_steps

_SYSTEMS: Final = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
"""The systems for which its package has a library, and that of Envoy a program."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns 1 when `--all` is given and they are left out."""
    options, others = read_arguments(arguments, "Check the Helm chart.", "there is no engine of Helm for the system")
    system = platform.system(), platform.machine()
    if system not in _SYSTEMS:
        return leave_out("the Helm chart", f"the engine's package has no library for {' '.join(system)}", options)
    return run_steps(
        build_make_step(PACKAGES / ".ready", ENVOY),
        [sys.executable, "-m", "scripts.chart_rendered", "--check"],
        build_test_step("helm", "tests/helm", others),
    )


if __name__ == "__main__":
    sys.exit(main())
