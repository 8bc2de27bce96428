"""`make envoy`: installs Envoy, lets it validate the files of `deploy/envoy`, and runs the tests that call through it.

Where PyPI has no Envoy for the system, it reports that this is left out; with `--all` that is a failure. Further
arguments go to pytest.
"""

import platform
import sys
from collections.abc import Sequence
from typing import Final

from scripts.optional_check import ROOT, build_make_step, build_test_step, leave_out, read_arguments, run_steps

ENVOY: Final = ROOT / ".tools" / "envoy" / "bin" / "envoy"
CONFIG: Final = ROOT / "deploy" / "envoy" / "envoy.yaml"
HTTP_CONFIG: Final = CONFIG.with_name("http.yaml")
_SYSTEMS: Final = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
"""The systems for which the package has a program and the tests run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns 1 when `--all` is given and they are left out."""
    options, others = read_arguments(arguments, "Check Envoy's configurations.", "there is no Envoy for the system")
    system = platform.system(), platform.machine()
    if system not in _SYSTEMS:
        return leave_out("Envoy", f"its package has no program for {' '.join(system)}", options)
    return run_steps(
        build_make_step(ENVOY),
        *(
            [str(ENVOY), "--mode", "validate", "--log-level", "error", "-c", str(file)]
            for file in (CONFIG, HTTP_CONFIG)
        ),
        build_test_step("envoy", "tests/envoy", others),
    )


if __name__ == "__main__":
    sys.exit(main())
