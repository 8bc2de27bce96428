"""Each floor knows only those below it; within a floor, only what is listed earlier."""

import ast
from pathlib import Path
from typing import Final

import pytest

import reasoning_grpc

ROOT: Final = Path(reasoning_grpc.__file__).parent
FLOORS: Final = (
    ("v1",),
    ("types", "events", "errors", "config", "streams"),
    (
        "tracing",
        "connections",
        "model",
        "prompt_tokens",
        "genai",
        "litellm_model",
        "timers",
        "think_tags",
        "traced_model",
        "resilience",
    ),
    ("model_calls", "context_window", "structured", "models", "tools"),
    ("router", "passthrough", "agent"),
    ("ledger", "engine"),
    ("convert", "status", "callers", "call_tracker", "call_end", "interceptors", "server_spans", "service"),
    ("telemetry", "metrics", "trial", "reflection_pool", "server"),
    ("cli",),
)
"""The rooms of each floor, lowest first, in the order in which they may know each other."""
BESIDE: Final = {"client": {"v1"}, "evaluation": {"v1", "client"}}
"""Rooms of no floor, and all that they may know."""
ORDER: Final = {room: (height, place) for height, floor in enumerate(FLOORS) for place, room in enumerate(floor)}
STUBS: Final = 0
OUR_TYPES: Final = 1
CONVERSION: Final = 6
"""The floor where stubs and our own types meet."""


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _known_rooms(path: Path) -> set[str]:
    """The rooms of our package that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "reasoning_grpc" and len(part) > 1}


def _imports_litellm(path: Path) -> bool:
    text = path.read_text()
    return "import litellm" in text or "from litellm" in text or 'import_module("litellm' in text


FILES: Final = sorted(
    path for path in ROOT.rglob("*.py") if _room(path) not in {"__init__", "v1"} and "__pycache__" not in path.parts
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    """A file imports only its own room, lower floors, and earlier rooms of its floor."""
    room = _room(path)
    known = _known_rooms(path) - {room}

    if room in BESIDE:
        assert known <= BESIDE[room]
        return
    allowed = {other for other, order in ORDER.items() if order < ORDER[room]}
    if room == "cli":
        allowed |= BESIDE.keys()
    if ORDER[room][0] < CONVERSION:
        allowed -= {"v1"}

    assert known <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_adapter_imports_litellm(path: Path) -> None:
    """Nothing but `litellm_model` imports litellm."""
    assert _room(path) == "litellm_model" or not _imports_litellm(path)
