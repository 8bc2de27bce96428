"""A pytest plugin that holds the marker `process` to what tests do, so that `make test-fast` can trust it.

It fails a test that starts a process, by itself or by a fixture, without the marker; and a test with the marker that
starts none.
"""

import platform
import sys
from collections.abc import Generator
from typing import Any, Final

import pytest

STARTING_EVENTS: Final = frozenset(
    {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
)
"""The audit events of Python with which a process starts."""


class ProcessGuard:
    """Records which fixtures and tests start processes, and compares that with the markers."""

    def __init__(self) -> None:
        self._started: list[str] = []
        """The processes that were started since the last look."""
        self._starting_fixtures: set[Any] = set()
        """The fixtures whose setup has started a process."""

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Records the start of a process."""
        if event in STARTING_EVENTS:
            self._started.append(f"{event} {arguments[:2]}")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Records a fixture that starts a process; a later test that shares it starts none itself."""
        before = len(self._started)
        try:
            return (yield)
        finally:
            if len(self._started) > before:
                self._starting_fixtures.add(fixturedef)

    def pytest_runtest_logstart(self) -> None:
        """Forgets what earlier tests have started."""
        self._started.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Fails a passing test whose marker is wrong."""
        result = yield
        needs_processes = bool(self._started) or self._has_starting_fixture(item)
        if needs_processes and not item.get_closest_marker("process"):
            pytest.fail(
                f"needs the marker `process`, because it starts one: {self._started or 'by a fixture'}", pytrace=False
            )
        if not needs_processes and item.get_closest_marker("process"):
            pytest.fail("must not have the marker `process`, because it starts none", pytrace=False)
        return result

    def _has_starting_fixture(self, item: pytest.Item) -> bool:
        definitions = item._fixtureinfo.name2fixturedefs.values() if isinstance(item, pytest.Function) else ()
        return any(each in self._starting_fixtures for found in definitions for each in found)


def pytest_configure(config: pytest.Config) -> None:
    """Installs the guard. An audit hook stays until the interpreter ends."""
    platform.processor()  # runs `uname` once for the whole process; libraries ask for it when they are first used
    guard = ProcessGuard()
    config.pluginmanager.register(guard)
    sys.addaudithook(guard.audit)
