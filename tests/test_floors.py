"""The imports of the package follow the order of floors that its docstring lists."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import reasoning_grpc

ROOT: Final = Path(reasoning_grpc.__file__).parent
FLOORS: Final = tuple(re.findall(r"^    (\w+)/? {2,}\S", reasoning_grpc.__doc__ or "", re.MULTILINE))
"""The folders of the package as its docstring lists them, the highest first."""
STUBS: Final = "v1"
LIGHT: Final = {"client": {STUBS}, "evaluation": {STUBS, "client"}}
"""Floors that must not need the server's dependencies, and all that they may import."""
ABOVE_THE_STUBS: Final = FLOORS[: FLOORS.index("rpc") + 1]
"""The floors that may use the generated stubs, beside the light ones: everything below speaks our own types."""


def _floor(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def _imported_names(file: Path) -> Iterator[str]:
    """Yields the full names of everything that a file imports, at its top or within a function."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _graph() -> dict[str, set[str]]:
    """Returns, for each floor, the other floors that its files import."""
    graph = dict[str, set[str]]()
    for file in ROOT.rglob("*.py"):
        floor = _floor(file)
        if floor in {STUBS, "__init__"}:
            continue
        parts = (name.split(".") for name in _imported_names(file))
        imported = {part[1] for part in parts if part[0] == "reasoning_grpc" and len(part) > 1}
        graph.setdefault(floor, set()).update(imported - {floor})
    return graph


def test_every_folder_is_a_floor() -> None:
    """The docstring of the package lists each of its folders once, and no module lies loose beside them."""
    folders = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"]
    loose = [path.name for path in ROOT.glob("*.py")]

    assert sorted(FLOORS) == sorted(folders)
    assert loose == ["__init__.py"]


def test_imports_point_down() -> None:
    """A floor imports only floors that stand below it in the list, so there is no circle either."""
    height = {floor: place for place, floor in enumerate(FLOORS)}

    upward = [(floor, other) for floor, others in _graph().items() for other in others if height[other] < height[floor]]

    assert upward == []


def test_light_floors_need_no_server() -> None:
    """The client and the evaluation, which are installed without the server, import the stubs and the client alone."""
    graph = _graph()

    assert {floor: graph[floor] - allowed for floor, allowed in LIGHT.items()} == {"client": set(), "evaluation": set()}


def test_the_stubs_stop_at_the_rpc_floor() -> None:
    """Below the floor that converts them, nothing knows the wire's types."""
    allowed = {*ABOVE_THE_STUBS, *LIGHT}

    assert {floor for floor, others in _graph().items() if STUBS in others} <= allowed


def test_only_the_adapter_imports_litellm() -> None:
    """Nothing but `litellm_model` imports litellm, whether by a statement or by name."""
    by_name = re.compile(r"""import_module\(["']litellm\b""")
    users = {
        _floor(file)
        for file in ROOT.rglob("*.py")
        if by_name.search(file.read_text()) or any(name.split(".")[0] == "litellm" for name in _imported_names(file))
    }

    assert users == {"litellm_model"}
