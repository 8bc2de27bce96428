"""The commands of docs/envoy.md do what the page says, word for word but for the port."""

import asyncio
import re
from asyncio.subprocess import PIPE, STDOUT
from typing import Final

import pytest

from scripts.pages import ROOT, find_blocks, split_commands
from tests.envoy.conftest import Fleet
from tests.support.upstream import PATIENCE_SECONDS

pytestmark = [pytest.mark.envoy, pytest.mark.process]

PAGE: Final = ROOT.joinpath("docs", "envoy.md").read_text()
COMMANDS: Final = [command for block in find_blocks(PAGE, "sh") for command in split_commands(block.text)]
ADDRESS: Final = "127.0.0.1:50080"
"""Where deploy/envoy/http.yaml listens."""
REFUSED: Final = 22
"""The exit code of curl for an error of HTTP, which it is told to report."""
EXPECTATIONS: Final = (
    (r"grpc-web", 0, r"grpc-status: 3\b"),
    (r"no-such-model", REFUSED, r'"reason":"MODEL_NOT_FOUND"'),
    (r"grpc-timeout.*/Complete$", 0, r'"finish_reason":"FINISH_REASON_STOP"'),
    (r"/Complete$", 0, r'"text":"Hello world".*"finish_reason":"FINISH_REASON_STOP"'),
    (r"/StreamComplete$", 0, r'(?s)"started".*\n.*"content_delta".*\n.*"completed"'),
    (r"/Classify$", 0, r'"source":"ROUTE_SOURCE_DEFAULT"'),
    (r"/ListModels$", 0, r'"name":"fake"'),
    (r"/healthz$", 0, r"^200$"),
)
"""A pattern of commands, and the exit code and a pattern of the output that each of them must have."""


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_of_the_page_works(http_fleet: Fleet, command: str) -> None:
    """Its output is what the page promises."""
    assert ADDRESS in command
    code, output = next(expected[1:] for expected in EXPECTATIONS if re.search(expected[0], command.strip(), re.DOTALL))

    process = await asyncio.create_subprocess_shell(
        command.replace(ADDRESS, http_fleet.envoy.address), stdout=PIPE, stderr=STDOUT, cwd=ROOT
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        printed = (await process.communicate())[0].decode(errors="replace")

    assert process.returncode == code, printed
    assert re.search(output, printed), printed
