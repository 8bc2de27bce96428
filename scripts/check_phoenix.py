"""`make check-phoenix`: installs Phoenix, a viewer of traces, and runs the tests that ask what it shows of our calls.

It takes 700 MB of disk, so it is no part of `make check`. Further arguments go to pytest.
"""

import sys
from collections.abc import Sequence
from typing import Final

from scripts.optional_check import ROOT, build_make_step, build_test_step, run_steps

PHOENIX: Final = ROOT / ".tools" / "phoenix" / "bin" / "phoenix"


def main(arguments: Sequence[str]) -> int:
    """Runs the tests; returns the exit code of what failed."""
    return run_steps(build_make_step(PHOENIX), build_test_step("phoenix", "tests/phoenix", arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
