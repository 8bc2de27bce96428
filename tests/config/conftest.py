"""The fixture of all tests of the configuration: an empty working directory."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes an empty folder the working directory, so that no other `reasoning.toml` is found."""
    monkeypatch.chdir(tmp_path)
