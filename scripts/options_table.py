"""Writes the README's table of options from `config/settings.py`; `tests/docs/test_readme.py` checks it."""

import re
import sys
from pathlib import Path

from reasoning_grpc.config import Option, options

README = Path(__file__).resolve().parent.parent / "README.md"
_BLOCK = re.compile(r"(<!-- options:[^\n]*-->\n).*?(<!-- end of options -->)", re.DOTALL)


def table() -> str:
    """The table, one line an option."""
    rows = [f"| `{option.name}` | {_default(option)} | {option.help} |" for option in options()]
    return "\n".join(["| key | default | what it is |", "|---|---|---|", *rows, ""])


def with_table(readme: str) -> str:
    """The README with the table as it must be."""
    return _BLOCK.sub(lambda found: found[1] + table() + found[2], readme)


def main() -> int:
    """Writes the table."""
    README.write_text(with_table(README.read_text()))
    return 0


def _default(option: Option) -> str:
    if option.default is None or option.default == "":
        return ""
    if isinstance(option.default, bool):
        return f"`{str(option.default).lower()}`"
    if isinstance(option.default, float):
        return f"`{option.default:g}`"
    return f"`{str(option.default).lower()}`"


if __name__ == "__main__":
    sys.exit(main())
