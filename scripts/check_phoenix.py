"""`make check-phoenix`: installs Phoenix, a viewer of traces, and runs the tests that ask what it shows of our calls.

It takes 700 MB of disk, so it is no part of `make check`. Further arguments go to pytest.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PHOENIX: Final = ROOT / ".tools" / "phoenix" / "bin" / "phoenix"


def main(arguments: Sequence[str]) -> int:
    """Runs the tests; returns the exit code of what failed."""
    steps = (
        ["make", "--silent", "--no-print-directory", str(PHOENIX.relative_to(ROOT))],
        [sys.executable, "-m", "pytest", "-m", "phoenix", "tests/phoenix", *arguments],
    )
    for step in steps:
        if code := subprocess.run(step, cwd=ROOT, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
