"""`make prometheus`: checks the alert rules with promtool, and every query of the dashboard against a real Prometheus.

Where Prometheus is not installed, it reports that this is left out; with `--all` that is a failure. Debian and Ubuntu
have it as the package `prometheus`. Further arguments go to pytest.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_FOLDER: Final = ROOT / "deploy" / "prometheus"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns 1 when `--all` is given and they are left out."""
    parser = argparse.ArgumentParser(description="Check the alerts and the dashboard.", allow_abbrev=False)
    parser.add_argument("--all", action="store_true", help="fail where Prometheus is not installed")
    options, others = parser.parse_known_args(arguments)
    missing = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]
    if missing:
        print(f"left out: the alerts and the dashboard, because there is no {' and no '.join(missing)}", flush=True)
        return int(options.all)
    steps = (
        ["promtool", "check", "config", str(_FOLDER / "prometheus.yaml")],
        ["promtool", "test", "rules", str(_FOLDER / "alerts_test.yaml")],
        [sys.executable, "-m", "pytest", "-m", "prometheus", "tests/prometheus", *others],
    )
    for step in steps:
        if code := subprocess.run(step, cwd=ROOT, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
