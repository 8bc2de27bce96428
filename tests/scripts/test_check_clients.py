"""`make clients` and `make conformance` report the clients whose toolchain is not installed."""

from pathlib import Path

import pytest

from clients.conformance.__main__ import main as conformance
from scripts.check_clients import main


@pytest.fixture(autouse=True)
def _hide_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes sure that no command is found."""
    monkeypatch.setenv("PATH", str(tmp_path))


LEFT_OUT = """\
left out: go, because go cannot be found
left out: typescript, because node and npm cannot be found
left out: java, because java and mvn cannot be found
"""


def test_all_clients_are_needed_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    """With --all, the check fails before it builds anything, and names the clients and the missing commands."""
    assert main(["--all"]) == 1

    assert capsys.readouterr().out == LEFT_OUT


def test_a_requested_client_that_cannot_run_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Without the failure, the matrix would look complete."""
    assert conformance(["--client", "go", "--scenario", "fold-redacted"]) == 1

    assert capsys.readouterr().out.endswith("left out: go, because go cannot be found\n")


@pytest.mark.process
def test_left_out_clients_are_reported_after_the_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    """A client that is left out is a failure only with --all."""
    assert conformance(["--scenario", "fold-redacted"]) == 0
    assert capsys.readouterr().out.endswith(LEFT_OUT)

    assert conformance(["--scenario", "fold-redacted", "--all"]) == 1
