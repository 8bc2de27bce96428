"""Reads the floors of the package: their order and descriptions from its docstring, their imports from the files."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import reasoning_grpc
from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "architecture.md"
"""The page that begins with the list of floors."""
PACKAGE: Final = Path(reasoning_grpc.__file__).parent
DESCRIPTIONS: Final[Mapping[str, str]] = dict(
    re.findall(r"^    (\w+)/? {2,}(\S.*)$", reasoning_grpc.__doc__ or "", re.MULTILINE)
)
"""What each folder is for, as the package's docstring says, the highest floor first."""
_LIST: Final = re.compile(r"(<!-- floors:[^\n]*-->\n).*?(<!-- end of floors -->)", re.DOTALL)


def find_floor(file: Path) -> str:
    """Returns the folder of the package in which a file stands; for a loose module, the name of the module."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def find_imported_names(file: Path) -> Iterator[str]:
    """Yields the full names of everything that a file imports, at its top or within a function."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.level:
                raise ValueError(f"{file}: a relative import")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def read_imports() -> dict[str, set[str]]:
    """Returns, for each floor in the order of the docstring, the other floors that its files import.

    The generated stubs import one another alone, so they are not read.
    """
    imports = {floor: set[str]() for floor in DESCRIPTIONS}
    for file in PACKAGE.rglob("*.py"):
        floor = find_floor(file)
        if floor in {"v1", "__init__"}:
            continue
        parts = (name.split(".") for name in find_imported_names(file))
        imported = {part[1] for part in parts if part[0] == "reasoning_grpc" and len(part) > 1}
        imports.setdefault(floor, set()).update(imported - {floor})
    return imports


def replace_list(page: str) -> str:
    """Returns the page with the list of floors as the package's docstring has it."""
    width = max(map(len, DESCRIPTIONS)) + 4
    lines = [f"{floor + '/':<{width}}{description}" for floor, description in DESCRIPTIONS.items()]
    block = "\n".join(["", "```", "src/reasoning_grpc/", *(f"  {line}" for line in lines), "```", "", ""])
    return _LIST.sub(lambda found: found[1] + block + found[2], page)
