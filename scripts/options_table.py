"""Writes the table of options in docs/configuration.md from the settings; a test fails when it is out of date."""

import re
import sys
from typing import Final

from reasoning_grpc.config import Option, options
from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "configuration.md"
_BLOCK: Final = re.compile(r"(<!-- options:[^\n]*-->\n).*?(<!-- end of options -->)", re.DOTALL)


def build_table() -> str:
    """Returns the table, one line an option."""
    rows = [f"| `{option.name}` | {_show_default(option)} | {option.help} |" for option in options()]
    return "\n".join(["| key | default | what it is |", "|---|---|---|", *rows, ""])


def replace_table(page: str) -> str:
    """Returns the page with the table as it must be."""
    return _BLOCK.sub(lambda found: found[1] + build_table() + found[2], page)


def main() -> int:
    """Writes the table into the page."""
    PAGE.write_text(replace_table(PAGE.read_text("utf-8")), "utf-8")
    return 0


def _show_default(option: Option) -> str:
    if option.default is None or option.default == "":
        return ""
    if isinstance(option.default, bool):
        return f"`{str(option.default).lower()}`"
    if isinstance(option.default, float):
        return f"`{option.default:g}`"
    return f"`{str(option.default).lower()}`"


if __name__ == "__main__":
    sys.exit(main())
