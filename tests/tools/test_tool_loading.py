"""Functions and entry points as tools: when they are loaded, and the problems that are reported at start."""

from pathlib import Path
from typing import Any

import pytest

from reasoning_grpc.config import Config, ConfigError, ToolEntry
from reasoning_grpc.domain import ANONYMOUS, ToolSource, ToolState, ToolStatus
from reasoning_grpc.tools import Toolbox, find_tool_problems
from tests.support.factories import a_context
from tests.support.toolbox import a_tool_call, open_toolbox


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"function": "no.such.module:f"}, "the function cannot be loaded: No module named 'no'"),
        ({"function": "tests.support.tools:nothing"}, "has no attribute 'nothing'"),
        ({"function": "tests.support.tools:NOT_CALLABLE"}, "it cannot be called"),
        ({"function": "tests.support.tools:omit_annotation"}, "its parameter city has no annotation"),
        ({}, "is neither built in nor an entry point; it needs a function"),
    ],
)
async def test_an_unusable_function_is_a_problem_at_start(settings: dict[str, Any], problem: str) -> None:
    """A configured function that cannot be a tool is reported as a configuration problem at start."""
    entries = {"wrong": ToolEntry(name="wrong", **settings)}

    with pytest.raises(ConfigError, match=r"tools\.wrong: ") as failed:
        Toolbox(entries, {})

    assert problem in str(failed.value)
    assert find_tool_problems(Config(tools=entries)) == failed.value.problems


class InstalledPackage:
    """A package that offers tools by entry points."""

    def __init__(self, folder: Path) -> None:
        (folder / "offering.py").write_text(
            'def shout(text: str) -> str:\n    """Say it loudly."""\n    return text.upper()\n'
        )
        (folder / "exploding.py").write_text("raise RuntimeError('imported')\n")
        facts = folder / "offering-1.0.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(
            "[reasoning_grpc.tools]\nshout = offering:shout\nexploding = exploding:run\ncalculator = offering:shout\n"
        )


@pytest.fixture
def _install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    InstalledPackage(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_install_package")
async def test_entry_points_are_off_until_configured() -> None:
    """A tool of an installed package is listed but not imported until an entry of the configuration has its name."""
    async with open_toolbox() as box:
        off = {info.name: info for info in box.list_all()}
        before = await box.run(a_tool_call("shout", text="hi"), a_context())
    async with open_toolbox(ToolEntry(name="shout")) as box:
        after = await box.run(a_tool_call("shout", text="hi"), a_context())
        sources = {info.name: info.source for info in box.list_usable(ANONYMOUS)}

    assert (off["shout"].state, off["shout"].source) == (ToolState.OFF, ToolSource.ENTRY_POINT)
    assert off["exploding"].state is ToolState.OFF
    assert before.status is ToolStatus.NOT_AVAILABLE
    assert (after.status, after.result) == (ToolStatus.OK, "HI")
    assert sources == {
        "calculator": ToolSource.BUILT_IN,
        "current_time": ToolSource.BUILT_IN,
        "shout": ToolSource.ENTRY_POINT,
    }


@pytest.mark.usefixtures("_install_package")
async def test_an_entry_point_that_fails_to_import_is_a_problem_at_start() -> None:
    """An enabled entry point that fails to import is a problem at start, which does not repeat the exception's text."""
    with pytest.raises(ConfigError) as failed:
        Toolbox({"exploding": ToolEntry(name="exploding")}, {})

    assert failed.value.problems == ["tools.exploding: the function cannot be loaded: RuntimeError"]
