"""What `make clients` says of clients whose toolchain is not here; it builds and tests the others itself."""

from pathlib import Path

import pytest

from clients.conformance.__main__ import main as conformance
from scripts.check_clients import main


@pytest.fixture(autouse=True)
def _nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command is found."""
    monkeypatch.setenv("PATH", str(tmp_path))


LEFT_OUT = """\
left out: go, for want of go
left out: typescript, for want of node and npm
left out: java, for want of java and mvn
"""


def test_ci_wants_all_clients(capsys: pytest.CaptureFixture[str]) -> None:
    """It fails before anything is built, and says which ones are missing, and what they need."""
    assert main(["--all"]) == 1

    assert capsys.readouterr().out == LEFT_OUT


def test_a_client_that_is_asked_for_and_missing_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """The matrix without it would look as if all was well."""
    assert conformance(["--client", "go", "--scenario", "fold-redacted"]) == 1

    assert capsys.readouterr().out.endswith("left out: go, for want of go\n")


@pytest.mark.process
def test_clients_that_are_missing_are_said_last(capsys: pytest.CaptureFixture[str]) -> None:
    """After the matrix of the others, and no failure unless all are wanted."""
    assert conformance(["--scenario", "fold-redacted"]) == 0
    assert capsys.readouterr().out.endswith(LEFT_OUT)

    assert conformance(["--scenario", "fold-redacted", "--all"]) == 1
