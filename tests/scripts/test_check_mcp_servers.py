"""`make mcp-servers` reports the official MCP servers as left out where a command is missing that they need."""

import json
import re
from pathlib import Path

import pytest

from scripts.check_mcp_servers import main

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "mcp_servers"


def test_missing_commands_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The servers are left out where Node.js is missing, which is a failure with --all only."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert [main([]), main(["--all"])] == [0, 1]

    notice = "left out: the official MCP servers, because git and go and node and npm and npx cannot be found\n"
    assert capsys.readouterr().out == 2 * notice


def test_the_locks_have_hashes_and_no_hosts() -> None:
    """The locks name each package with its hash, and no address from which it came."""
    python, node = (LOCK / "python.txt").read_text(), (LOCK / "package-lock.json").read_text()

    assert python.count("--hash=") >= python.count("==") > 30
    assert node.count('"integrity"') == node.count('"node_modules/') > 100
    assert "://" not in python
    assert '"resolved"' not in node


def test_the_documentation_names_the_versions() -> None:
    """The table of the servers that were tried has the servers and the versions that are installed."""
    installed = json.loads((LOCK / "package.json").read_text())["dependencies"]
    installed |= dict(re.findall(r"^([\w-]+)==(\S+)$", (LOCK / "python.in").read_text(), re.MULTILINE))
    page = (ROOT / "docs" / "tools.md").read_text()

    assert dict(re.findall(r"^\| `(\S*mcp\S*|@\S+)` \| ([\d.]+) \|", page, re.MULTILINE)) == installed
