"""`make prometheus`: checks the alert rules with promtool, and every query of the dashboard against a real Prometheus.

Where Prometheus is not installed, it reports that this is left out; with `--all` that is a failure. Debian and Ubuntu
have it as the package `prometheus`. Further arguments go to pytest.
"""

import shutil
import sys
from collections.abc import Sequence
from typing import Final

from scripts.optional_check import ROOT, build_test_step, leave_out, read_arguments, run_steps

_FOLDER: Final = ROOT / "deploy" / "prometheus"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the checks; returns 1 when `--all` is given and they are left out."""
    options, others = read_arguments(arguments, "Check the alerts and the dashboard.", "Prometheus is not installed")
    missing = [program for program in ("prometheus", "promtool") if shutil.which(program) is None]
    if missing:
        return leave_out("the alerts and the dashboard", f"there is no {' and no '.join(missing)}", options)
    return run_steps(
        ["promtool", "check", "config", str(_FOLDER / "prometheus.yaml")],
        ["promtool", "test", "rules", str(_FOLDER / "alerts_test.yaml")],
        build_test_step("prometheus", "tests/prometheus", others),
    )


if __name__ == "__main__":
    sys.exit(main())
