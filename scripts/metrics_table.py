"""Writes the table of metrics in docs/telemetry.md from their declarations; a test fails when it is out of date."""

import re
import sys
from typing import Final

from reasoning_grpc.telemetry import FAMILIES, Family
from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "telemetry.md"
_BLOCK: Final = re.compile(r"(<!-- metrics:[^\n]*-->\n).*?(<!-- end of metrics -->)", re.DOTALL)


def build_table() -> str:
    """Returns the table, one line a metric."""
    rows = [
        f"| `{family.name}` | {family.kind}, {_show_unit(family)} | {family.help}{_show_labels(family)} |"
        for family in FAMILIES
    ]
    return "\n".join(["| metric | kind, unit | what it is, and its labels |", "|---|---|---|", *rows, ""])


def replace_table(page: str) -> str:
    """Returns the page with the table as it must be."""
    return _BLOCK.sub(lambda found: found[1] + build_table() + found[2], page)


def main() -> int:
    """Writes the table into the page."""
    PAGE.write_text(replace_table(PAGE.read_text("utf-8")), "utf-8")
    return 0


def _show_unit(family: Family) -> str:
    return family.unit.strip("{}").replace("_", " ")


def _show_labels(family: Family) -> str:
    labels = [f"`{label.name}` ({label.bounded_by})" for label in family.labels]
    return f" Labels: {', '.join(labels)}." if labels else ""


if __name__ == "__main__":
    sys.exit(main())
