"""Fixtures of the tests with the official MCP servers: one server process for all of them, on one event loop."""

import signal
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.official_servers import OfficialServers, serve_official
from tests.support.server_process import ServerProcess, expect_clean_end

LEFT_OUT = "simulate-research-query"
"""The one tool of the official servers that can only be called as a task."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OfficialServers]:
    """Provides a server process that is connected to the official MCP servers.

    When all tests are done, no connection was lost or made again, and the log has no warnings but the documented ones.
    """
    async with serve_official(tmp_path_factory.mktemp("official")) as official:
        yield official
        await expect_clean_end(official.process, signal.SIGTERM)
        check_log(official.process)


def check_log(process: ServerProcess) -> None:
    """Checks that each MCP server connected once, and that the only warnings are about the tools that are left out."""
    lines = process.lines()
    connected = Counter(line["mcp_server"] for line in lines if line["message"] == "mcp server connected")
    assert connected == Counter(["time", "git", "files", "memory", "everything", "remote"])
    warnings = [line for line in lines if line["level"] != "info"]
    assert sorted((line["message"], line["tool"], line["problem"]) for line in warnings) == [
        ("tool of an mcp server is left out", f"{server}__{LEFT_OUT}", "it can only be called as a task")
        for server in ("everything", "remote")
    ]
