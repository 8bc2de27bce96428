"""`make envoy`: installs Envoy, lets it validate `deploy/envoy/envoy.yaml`, and runs the tests that call through it.

Where PyPI has no Envoy for the system, it reports that this is left out; with `--all` that is a failure. Further
arguments go to pytest.
"""

import argparse
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
ENVOY: Final = ROOT / ".tools" / "envoy" / "bin" / "envoy"
CONFIG: Final = ROOT / "deploy" / "envoy" / "envoy.yaml"
_SYSTEMS: Final = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
"""The systems for which the package has a program and the tests run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns 1 when `--all` is given and they are left out."""
    parser = argparse.ArgumentParser(description="Check the configuration of Envoy.", allow_abbrev=False)
    parser.add_argument("--all", action="store_true", help="fail where there is no Envoy for the system")
    options, others = parser.parse_known_args(arguments)
    system = platform.system(), platform.machine()
    if system not in _SYSTEMS:
        print(f"left out: Envoy, because its package has no program for {' '.join(system)}", flush=True)
        return int(options.all)
    steps = (
        ["make", "--silent", "--no-print-directory", str(ENVOY.relative_to(ROOT))],
        [str(ENVOY), "--mode", "validate", "--log-level", "error", "-c", str(CONFIG)],
        [sys.executable, "-m", "pytest", "-m", "envoy", "tests/envoy", *others],
    )
    for step in steps:
        if code := subprocess.run(step, cwd=ROOT, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
