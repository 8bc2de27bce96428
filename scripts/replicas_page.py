"""`make replicas-page`: writes the report of the last run of `make bench-replicas` into docs/operations.md.

The part of the page between two comments comes from build/replicas/replicas.json. What explains it is written by hand.
"""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from bench.replicas.table import build_report
from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "operations.md"
RUN: Final = ROOT / "build" / "replicas" / "replicas.json"
_PART: Final = re.compile(r"(<!-- replicas:[^\n]*-->\n).*?(<!-- end of replicas -->)", re.DOTALL)


def replace_part(page: str, run: Mapping[str, Any]) -> str:
    """Returns the page with the report of a run. Raises ValueError when the page has no place for it, or several."""
    text = "\n".join(["", *build_report(run), "", ""])
    page, places = _PART.subn(lambda found: found[1] + text + found[2], page)
    if places != 1:
        raise ValueError(f"the page has {places} places for the report")
    return page


def main() -> int:
    """Writes the report into the page."""
    PAGE.write_text(replace_part(PAGE.read_text("utf-8"), json.loads(RUN.read_text("utf-8"))), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
