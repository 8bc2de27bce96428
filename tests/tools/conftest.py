"""Fixtures of the tests of tools."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support import tools
from tests.support.mcp_server import Reports, open_reports


@pytest.fixture(autouse=True)
def _reset_tools() -> Iterator[None]:
    """Forgets what the tools recorded in an earlier test, and lets their threads end after this one."""
    tools.started.clear()
    tools.released.clear()
    tools.stopped.clear()
    tools.running_counts.clear()
    yield
    tools.released.set()


@pytest.fixture
async def reports() -> AsyncIterator[Reports]:
    """Receives the reports of servers."""
    async with open_reports() as received:
        yield received
