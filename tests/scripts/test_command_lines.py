"""What checks the README's commands: `make command-lines` itself runs them."""

import base64
import re
from pathlib import Path
from typing import Final

import pytest

from scripts.check_command_lines import SERVERS, CommandLineFailed, address_of, command_lines, expectation_of, judge
from scripts.readme import Block, blocks, commands, section

README: Final = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS: Final = command_lines(README)
GHZ: Final = "ghz --insecure -n 20 -c 2 --call reasoning_grpc.v1.ReasoningService/Complete 127.0.0.1:50051\n"
DISTRIBUTION: Final = "Status code distribution:\n  [OK]   20 responses   \n\n\n"
UNKNOWN_MODEL: Final = (
    """ -d '{"model":"no-such-model"}' 127.0.0.1:50051/reasoning_grpc.v1.ReasoningService/Complete\n"""
)


@pytest.mark.parametrize("address", SERVERS)
def test_every_tool_calls_every_server(address: str) -> None:
    """Each way to call is shown for each of the three."""
    tools = {command.split()[0] for command in COMMANDS if address_of(command) == address}

    assert tools == {"grpcurl", ".venv/bin/buf", "ghz"}


def test_every_method_is_called() -> None:
    """The four RPCs, and health."""
    called = {method for command in COMMANDS for method in re.findall(r"/(\w+)(?:\s|$)", command)}

    assert called >= {"Complete", "StreamComplete", "Classify", "ListModels", "Check"}


@pytest.mark.parametrize("command", COMMANDS)
def test_something_must_come_of_every_command(command: str) -> None:
    """An output without anything in it is never right."""
    expected = expectation_of(command)

    with pytest.raises(CommandLineFailed, match="is not in what it printed"):
        judge(command, expected.code, "")


def test_a_load_is_right_when_every_call_was() -> None:
    """ghz exits with 0 in any case: its distribution tells."""
    judge(GHZ, 0, DISTRIBUTION)
    for wrong in (
        DISTRIBUTION.replace("20", "19"),
        DISTRIBUTION.replace("OK", "Unavailable"),
        DISTRIBUTION.rstrip() + "\n  [Unavailable]   1 responses   \n",
    ):
        with pytest.raises(CommandLineFailed):
            judge(GHZ, 0, wrong)


def test_an_error_is_right_with_its_code_and_reason() -> None:
    """grpcurl and buf tell both, each in its own way."""
    encoded = base64.b64encode(b"\n\x0fMODEL_NOT_FOUND\x12\x0ereasoning-grpc").decode()

    judge("grpcurl" + UNKNOWN_MODEL, 69, '"reason": "MODEL_NOT_FOUND"')
    judge(".venv/bin/buf curl" + UNKNOWN_MODEL, 40, f'"value": "{encoded}"')
    with pytest.raises(CommandLineFailed, match="exited with 0, not 69"):
        judge("grpcurl" + UNKNOWN_MODEL, 0, '"reason": "MODEL_NOT_FOUND"')


def test_a_command_that_nobody_expects_fails() -> None:
    """It calls no server of the README, or nothing is known of it."""
    with pytest.raises(CommandLineFailed, match="no address"):
        address_of("grpcurl localhost:1 list\n")
    with pytest.raises(CommandLineFailed, match="nobody has said"):
        expectation_of("curl 127.0.0.1:50051\n")


def test_a_section_ends_where_the_next_begins() -> None:
    """Its own subsections are part of it."""
    readme = "# A\n## B\nb\n### B2\nb2\n## C\nc\n"

    assert section(readme, "B") == "b\n### B2\nb2\n"
    assert section(readme, "C") == "c\n"
    assert section(readme, "D") is None


def test_blocks_have_a_language_and_perhaps_a_file() -> None:
    """The file is what stands before the fence, between backquotes."""
    text = "Do:\n\n```sh\nls\n```\n\n`a.py`:\n\n```python\nprint()\n```\n\n```\nplain\n```\n"

    assert blocks(text) == [Block("sh", "ls\n"), Block("python", "print()\n", "a.py"), Block("", "plain\n")]


def test_a_command_has_all_its_lines() -> None:
    """It goes on after a backslash and within quotes; comments and empty lines are none."""
    block = "# it's a comment\nls\n\necho 'a\n b' \\\n  c # more\ncat"

    assert commands(block) == ["ls\n", "echo 'a\n b' \\\n  c # more\n", "cat"]
