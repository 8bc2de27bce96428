"""`make mcp-servers`: installs the official MCP servers and two of ours, and runs the tests that call their tools.

Where a command is missing that they need, it reports that they are left out; with `--all` that is a failure. Further
arguments go to pytest.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_NEEDS: Final = ("git", "go", "node", "npm", "npx")
_INSTALLED: Final = (".tools/mcp_servers/.ready", ".tools/mcp_servers/go-server")
"""The files that make creates when it has installed the servers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tests; returns 1 when `--all` is given and they are left out."""
    parser = argparse.ArgumentParser(description="Try the official MCP servers.", allow_abbrev=False)
    parser.add_argument("--all", action="store_true", help="fail when a command is missing")
    options, others = parser.parse_known_args(arguments)
    if missing := [command for command in _NEEDS if shutil.which(command) is None]:
        print(f"left out: the official MCP servers, because {' and '.join(missing)} cannot be found", flush=True)
        return int(options.all)
    installation = subprocess.run(["make", "--silent", "--no-print-directory", *_INSTALLED], cwd=ROOT, check=False)
    tests = [sys.executable, "-m", "pytest", "-m", "mcp_servers", "tests/mcp_servers", *others]
    return installation.returncode or subprocess.run(tests, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
