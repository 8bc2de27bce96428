"""The tests that pytest finds, for pages that say what is tested."""

import subprocess
import sys

from scripts.pages import ROOT


def collect_tests(*files: str) -> set[str]:
    """Returns the ids of the tests in these files, as pytest lists them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *files]
    listed = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    return {line for line in listed.stdout.splitlines() if "::" in line}
