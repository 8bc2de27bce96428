"""`make mcp-servers`: installs the official MCP servers and two of ours, and runs the tests that call their tools.

Where a command is missing that they need, it reports that they are left out; with `--all` that is a failure. Further
arguments go to pytest.
"""

import shutil
import sys
from collections.abc import Sequence
from typing import Final

from scripts.optional_check import build_make_step, build_test_step, leave_out, read_arguments, run_steps

_NEEDS: Final = ("git", "go", "node", "npm", "npx")
_INSTALLED: Final = (".tools/mcp_servers/.ready", ".tools/mcp_servers/go-server")
"""The files that make creates when it has installed the servers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the tests; returns 1 when `--all` is given and they are left out."""
    options, others = read_arguments(arguments, "Try the official MCP servers.", "a command is missing")
    if missing := [command for command in _NEEDS if shutil.which(command) is None]:
        return leave_out("the official MCP servers", f"{' and '.join(missing)} cannot be found", options)
    return run_steps(build_make_step(*_INSTALLED), build_test_step("mcp_servers", "tests/mcp_servers", others))


if __name__ == "__main__":
    sys.exit(main())
