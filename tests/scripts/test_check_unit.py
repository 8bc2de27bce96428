"""The unit of systemd starts what `make run` starts, and what `make check-unit` reports is about this unit."""

import re
from pathlib import Path

import pytest

from scripts import check_unit


def test_the_unit_starts_the_server() -> None:
    """The unit starts the command `serve`, and reloads the server by the command `reload`."""
    unit = check_unit.UNIT.read_text("utf-8")
    [start] = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    [reload] = re.findall(r"^ExecReload=(.+)$", unit, re.MULTILINE)

    assert start.split() == [check_unit.INSTALLED, "serve"]
    assert reload.split()[:2] == [check_unit.INSTALLED, "reload"]


def test_a_missing_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where systemd is not installed, the check says so, which is a failure with --all only."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert [check_unit.main([]), check_unit.main(["--all"])] == [0, 1]

    assert capsys.readouterr().out == 2 * "left out: the unit of systemd, because there is no systemd-analyze\n"


def test_problems_of_other_units_are_not_ours() -> None:
    """Of what systemd says, the lines about our unit count."""
    unit = "/tmp/x/reasoning-grpc.service"
    ours = f"{unit}:9: Unknown key name 'Typ' in section 'Service', ignoring."
    other = "/lib/systemd/system/other.service:3: Unit configured to use KillMode=none."

    assert check_unit.find_problems(f"{other}\n{ours}\n", unit) == [ours]
    assert check_unit.read_version("systemd 252 (252.38-1)\n+PAM") == 252
    assert check_unit.read_version("") == 0
    assert check_unit.replace_command(f"ExecStart={check_unit.INSTALLED} serve", "/x") == "ExecStart=/x serve"
    with pytest.raises(ValueError, match="does not start"):
        check_unit.replace_command("ExecStart=/bin/true", "/x")
