"""Writes the tables of docs/licenses.md from the locks and the installed packages; a test fails when they are old."""

import re
import sys
from collections.abc import Iterable
from typing import Final

from scripts.licenses import LOCKS, Package, read_packages, read_pins
from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "licenses.md"
_BLOCK: Final = re.compile(r"(<!-- licenses: (\w+),[^\n]*-->\n).*?(<!-- end of licenses -->)", re.DOTALL)


def build_tables() -> dict[str, str]:
    """Returns the tables by their names in the page."""
    server, embedded = read_packages(LOCKS / "server.txt"), read_packages(LOCKS / "embedded.txt")
    development = read_packages(LOCKS / "dev.txt")
    in_server = {package.name for package in server}
    in_images = in_server | {package.name for package in embedded}
    return {
        "conditions": _write_conditions(development, in_server, in_images),
        "server": _write_table(server),
        "embedded": _write_table(package for package in embedded if package.name not in in_server),
        "development": _write_table(package for package in development if package.name not in in_images),
        "elsewhere": _write_elsewhere(),
    }


def replace_tables(page: str) -> str:
    """Returns the page with the tables as they must be. Raises ValueError where it lacks one."""
    tables = build_tables()
    if missing := tables.keys() - {found[2] for found in _BLOCK.finditer(page)}:
        raise ValueError(f"the page has no place for {sorted(missing)}")
    return _BLOCK.sub(lambda found: found[1] + tables[found[2]] + found[3], page)


def main() -> int:
    """Writes the tables into the page."""
    PAGE.write_text(replace_tables(PAGE.read_text("utf-8")), "utf-8")
    return 0


def _write_table(packages: Iterable[Package]) -> str:
    rows = [f"| {package.name} | {package.version} | {package.license} |" for package in packages]
    return "\n".join(["| package | version | licence |", "|---|---|---|", *rows, ""])


def _write_conditions(packages: Iterable[Package], in_server: set[str], in_images: set[str]) -> str:
    def find_place(name: str) -> str:
        if name in in_server:
            return "both images"
        return "the image with the embedded model" if name in in_images else "development alone"

    rows = [
        f"| {package.name} | {package.license} | {find_place(package.name)} |"
        for package in packages
        if package.has_conditions
    ]
    return "\n".join(["| package | licence | where it is |", "|---|---|---|", *rows, ""])


def _write_elsewhere() -> str:
    """Returns the sentence about packages that the locks name for other systems, and that are not installed here."""
    lock = (LOCKS / "dev.txt").read_text("utf-8")
    others = sorted(set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)) - read_pins(lock).keys())
    return f"{', '.join(f'`{name}`' for name in others)}\n"


if __name__ == "__main__":
    sys.exit(main())
