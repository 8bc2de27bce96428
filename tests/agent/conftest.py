"""Fixtures of the tests of the agent."""

import pytest

from tests.support import agent_tools
from tests.support.agent_tools import ToolLog


@pytest.fixture
def tool_log() -> ToolLog:
    """Returns the record of the tools in this test."""
    agent_tools.tool_logs.append(ToolLog())
    return agent_tools.tool_logs[-1]
