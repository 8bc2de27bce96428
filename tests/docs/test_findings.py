"""The index of the findings. The findings themselves need a package index, and run by `make findings`."""

import os
import re
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "findings"
INDEX: Final = (FOLDER / "README.md").read_text()
SCRIPTS: Final = sorted(script.name for script in FOLDER.glob("*.sh"))


def test_the_index_lists_every_finding() -> None:
    """Each script has one row in the index, and each row has a script."""
    assert re.findall(r"^\| \[([\w-]+\.sh)\]\(\1\)", INDEX, re.MULTILINE) == SCRIPTS


def test_the_index_names_files_that_exist() -> None:
    """The code and the tests that the index links to are in the repository."""
    linked = [link for link in re.findall(r"\]\(([^)]+)\)", INDEX) if not (FOLDER / link).is_file()]

    assert linked == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_finding_can_be_run_and_judged(script: str) -> None:
    """A script is executable, names its versions in the index as in its commands, and says what it expected and saw."""
    text = (FOLDER / script).read_text()
    [row] = [line for line in INDEX.splitlines() if line.startswith(f"| [{script}]")]
    versions = re.findall(r"([\w-]+) (\d[\w.]+\d)\b", row.split("|")[2])

    assert os.access(FOLDER / script, os.X_OK)
    assert versions
    missing = [pair for pair in versions if not {"==".join(pair), "@".join(pair)} & set(re.findall(r"[\w=@.-]+", text))]
    assert missing == []
    assert re.findall(r"^# (Versions|Expected|Seen|Why it matters here):", text, re.MULTILINE) == [
        "Versions",
        "Expected",
        "Seen",
        "Why it matters here",
    ]
