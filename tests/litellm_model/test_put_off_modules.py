"""A module that is put off runs when it is first used, and what was imported from it before does for the member."""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from inspect import isclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

import pytest

from reasoning_grpc.litellm_model.loading.finder import put_modules_off
from reasoning_grpc.litellm_model.loading.re_exports import find_re_exports

LATE: Final = """
RUNS = []
RUNS.append(1)

class Handler:
    def __init__(self, name="none"):
        self.name = name

def double(number):
    return 2 * number

def __getattr__(name):
    if name == "found_late":
        return "late"
    raise AttributeError(name)
"""
RE_EXPORTS: Final = '''"""Doc."""
from __future__ import annotations
from .one import One as One
from .two import (Two as Second)
'''
TWO: Final = {"re_exporting/two.py": "class Two: ..."}
PART: Final = "NAME = 'part'"
USER: Final = """
from putoff.late import Handler, double, found_late
import putoff.late as late
handler = Handler("made at import")
union = int | Handler | None
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """Writes files of the package `putoff`, which is forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write_files(sources: dict[str, str]) -> None:
        for name, source in sources.items():
            file = tmp_path / "putoff" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(source)
        importlib.invalidate_caches()

    write_files({"__init__.py": "", "late.py": LATE, "user.py": USER})
    yield write_files
    for name in [name for name in sys.modules if name.partition(".")[0] == "putoff"]:
        del sys.modules[name]


def import_user(put_off: set[str] | None = None) -> Any:
    """Imports the user while the other module is put off."""
    with put_modules_off(put_off or {"putoff.late"}, "putoff.re_exporting"):
        return importlib.import_module("putoff.user")


def has_run() -> bool:
    """Whether the module that was put off has run."""
    return "Handler" in sys.modules["putoff.late"].__dict__


@pytest.mark.usefixtures("write")
def test_importing_from_a_module_does_not_run_it() -> None:
    """Neither the import of its members, nor the call of a class at import, nor a union of types runs the module."""
    import_user()

    assert not has_run()


USES: Final[dict[str, tuple[Callable[[Any], Any], Any]]] = {
    "call": (lambda user: user.double(4), 8),
    "object that was made at import": (lambda user: user.handler.name, "made at import"),
    "new object": (lambda user: user.Handler(name="new").name, "new"),
    "class": (lambda user: isclass(user.Handler.resolve()), True),
    "instance": (lambda user: isinstance(user.late.Handler(), user.Handler), True),
    "no instance": (lambda user: isinstance(3, user.Handler), False),
    "subclass": (lambda user: issubclass(bool, user.Handler), False),
    "derived class": (lambda user: derive(user.Handler).__name__, "Derived"),
    "union": (lambda user: int in get_args(user.union.resolve()), True),
    "name that the module's own function finds": (lambda user: user.found_late.upper(), "LATE"),
    "module": (lambda user: user.late.double(1), 2),
}


def derive(base: Any) -> type:
    """Returns a class that is derived from a promise."""

    class Derived(base):  # type: ignore[misc]
        """Is derived."""

    assert issubclass(Derived, sys.modules["putoff.late"].Handler)
    return Derived


@pytest.mark.usefixtures("write")
@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
def test_the_first_use_runs_the_module_once(use: tuple[Callable[[Any], Any], Any]) -> None:
    """Each use of a member does what it does with the member itself. The module runs once, and is ordinary then."""
    user = import_user()
    act, expected = use

    assert act(user) == expected
    assert act(user) == expected
    module = sys.modules["putoff.late"]
    assert module.RUNS == [1]
    assert type(module) is ModuleType
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"  # type: ignore[union-attr]


@pytest.mark.usefixtures("write")
def test_a_member_that_is_not_there_is_an_attribute_error() -> None:
    """A module that was put off has no more members than its code gives it."""
    user = import_user()

    with pytest.raises(AttributeError, match="no_such_member"):
        _ = user.late.no_such_member
    with pytest.raises(AttributeError):
        _ = user.late.no_such_member


def test_an_error_in_the_module_is_raised_by_each_use(write: Callable[[dict[str, str]], None]) -> None:
    """Code that fails leaves the module put off: each use runs it again, and raises what it raises."""
    write({"late.py": "raise OSError('not today')"})
    user = import_user()

    for _ in range(2):
        with pytest.raises(OSError, match="not today"):
            user.double(4)


def test_a_module_of_a_package_that_is_put_off(write: Callable[[dict[str, str]], None]) -> None:
    """A module is imported from a package that is put off without the package's own code."""
    write({"package/__init__.py": "raise OSError('too early')", "package/part.py": PART})

    with put_modules_off({"putoff.package"}, "putoff.re_exporting"):
        part = importlib.import_module("putoff.package.part")

    assert part.NAME == "part"


def test_a_package_runs_before_its_modules(write: Callable[[dict[str, str]], None]) -> None:
    """Where a package and a module of it are put off, they run in the order of a plain import, as a circle needs."""
    sources = {
        "__init__": "from .first import First as First",
        "first": "from . import names\nclass First:\n    NAME = names.NAME",
        "names": PART,
        "second": "from .first import First\nclass Second(First): ...",
    }
    write({f"package/{name}.py": source for name, source in sources.items()})
    write({"user.py": "from putoff.package.second import Second"})
    user = import_user({"putoff.package", "putoff.package.second"})

    assert user.Second.NAME == "part"


def test_a_name_that_is_a_module_of_a_package(write: Callable[[dict[str, str]], None]) -> None:
    """`from package import module` gives a promise of the module, which is imported when it is used."""
    write({"package/__init__.py": "", "package/part.py": PART, "user.py": "from putoff.package import part"})
    user = import_user({"putoff.package"})

    assert "putoff.package.part" not in sys.modules
    assert user.part.NAME == "part"


@pytest.mark.usefixtures("write")
def test_another_thread_puts_nothing_off() -> None:
    """While one thread imports litellm, the imports of another thread are as usual."""
    found: list[Any] = []
    with put_modules_off({"putoff.late"}, "putoff.re_exporting"):
        thread = threading.Thread(target=lambda: found.append(importlib.import_module("putoff.late")))
        thread.start()
        thread.join()

    assert type(found[0]) is ModuleType
    assert has_run()


def test_threads_that_use_a_module_at_once_wait_until_it_has_run(write: Callable[[dict[str, str]], None]) -> None:
    """The module runs once, and no thread sees a part of it."""
    write({"late.py": f"import threading\nthreading.Event().wait(0.01)\n{LATE}"})
    user = import_user()
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(user.late.double(3))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [6] * 8
    assert sys.modules["putoff.late"].RUNS == [1]


def test_a_package_of_re_exports_imports_a_name_when_it_is_used(write: Callable[[dict[str, str]], None]) -> None:
    """Only the module of the name that is used is imported; the names are listed, and an unknown one is an error."""
    write({"re_exporting/__init__.py": RE_EXPORTS, "re_exporting/one.py": "class One: ...", **TWO})

    with put_modules_off(set(), "putoff.re_exporting"):
        package = importlib.import_module("putoff.re_exporting")
        assert package.One.__name__ == "One"

    assert "putoff.re_exporting.two" not in sys.modules
    assert package.Second.__name__ == "Two"
    assert {"One", "Second"} <= set(dir(package))
    with pytest.raises(AttributeError, match="Two"):
        _ = package.Two


def test_a_package_that_does_more_runs_at_once(write: Callable[[dict[str, str]], None]) -> None:
    """A package with any other statement is imported as usual."""
    write({"re_exporting/__init__.py": f"{RE_EXPORTS}DONE = [One]\n", "re_exporting/one.py": "class One: ...", **TWO})

    with put_modules_off(set(), "putoff.re_exporting"):
        package = importlib.import_module("putoff.re_exporting")

    assert package.__dict__["DONE"] == [package.__dict__["One"]]


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "from os import path",
        "from . import one",
        "from ..one import One",
        "if True:\n    from .one import One",
    ],
)
def test_what_is_no_re_export(source: str) -> None:
    """Only `from .module import name` is a re-export."""
    assert find_re_exports(source.encode()) is None
