"""Writes the table of model families in docs/models.md; a test fails when it is out of date.

Every statement of the table comes from family.toml of a family in tests/support/families, with the tests that show it.
A test compares these tests with those that pytest collects.
"""

import re
import sys
from typing import Any, Final

from scripts.pages import ROOT
from tests.support.model_families import ModelFamily, read_families

PAGE: Final = ROOT / "docs" / "models.md"
TESTS: Final = "tests/litellm_model/test_conversations.py"
"""The tests that play the recordings."""
_BLOCK: Final = re.compile(r"(<!-- families:[^\n]*-->\n).*?(<!-- end of families -->)", re.DOTALL)
_COLUMNS: Final = ("kept", "lost", "refused")
"""The members of a family's `table` that hold statements."""
_NONE: Final = "nothing"


def build_table() -> str:
    """Returns the table with one line a family."""
    rows = map(_build_row, read_families().values())
    head = [_join_cells("family", "recorded as", *_COLUMNS), "|---" * (len(_COLUMNS) + 2) + "|"]
    return "\n".join(["", *head, *rows, "", ""])


def replace_table(page: str) -> str:
    """Returns the page with the table as it must be."""
    return _BLOCK.sub(lambda found: found[1] + build_table() + found[2], page)


def name_tests(family: ModelFamily) -> set[str]:
    """Returns the ids of the tests that a row of the table rests on."""
    statements: list[dict[str, Any]] = [each for column in _COLUMNS for each in family.facts["table"][column]]
    assert all(each["tests"] for each in statements), f"a statement about {family.name} has no test"
    return {_complete_id(test, family.name) for each in statements for test in each["tests"]}


def main() -> int:
    """Writes the table into the page."""
    PAGE.write_text(replace_table(PAGE.read_text("utf-8")), "utf-8")
    return 0


def _complete_id(test: str, family: str) -> str:
    """Returns the whole id of a test. Tests of the recordings have the family as their parameter, if none is given."""
    if "::" in test:
        return test
    return f"{TESTS}::{test}" if "[" in test else f"{TESTS}::{test}[{family}]"


def _build_row(family: ModelFamily) -> str:
    table = family.facts["table"]
    cells = ["; ".join(each["says"] for each in table[column]) or _NONE for column in _COLUMNS]
    return _join_cells(table["title"], f"`{family.facts['entry']['litellm_model']}`", *cells)


def _join_cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
