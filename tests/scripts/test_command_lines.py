"""What checks the documentation's commands: `make command-lines` itself runs them."""

import base64
import re
from typing import Final

import pytest

from scripts.check_command_lines import (
    SERVERS,
    CommandLineFailed,
    find_address,
    find_command_lines,
    find_expectation,
    find_guarded_configuration,
    judge,
)
from scripts.pages import Block, find_anchors, find_blocks, find_links, find_section, read_pages, split_commands

PAGES: Final = read_pages()
COMMANDS: Final = find_command_lines(PAGES)
OWN: Final = ".venv/bin/reasoning-grpc"
GHZ: Final = "ghz --insecure -n 20 -c 2 --call reasoning_grpc.v1.ReasoningService/Complete 127.0.0.1:50051\n"
DISTRIBUTION: Final = "Status code distribution:\n  [OK]   20 responses   \n\n\n"
UNKNOWN_MODEL: Final = (
    """ -d '{"model":"no-such-model"}' 127.0.0.1:50051/reasoning_grpc.v1.ReasoningService/Complete\n"""
)


@pytest.mark.parametrize("address", SERVERS)
def test_every_tool_calls_every_server(address: str) -> None:
    """The pages show each tool against each of the three servers."""
    tools = {command.split()[0] for command in COMMANDS if find_address(command) == address}

    assert tools - {OWN} == {"grpcurl", ".venv/bin/buf", "ghz"}


def test_every_method_is_called() -> None:
    """The pages call the four RPCs, and health."""
    called = {method for command in COMMANDS for method in re.findall(r"/(\w+)(?:\s|$)", command)}

    assert called >= {"Complete", "StreamComplete", "Classify", "ListModels", "Check"}


def test_every_command_of_ours_that_calls_a_server_is_run() -> None:
    """`ask`, `models` and `classify` stand in the pages, too."""
    assert {command.split()[1] for command in COMMANDS if command.startswith(OWN)} == {"ask", "models", "classify"}


def test_no_call_stands_where_nothing_runs_it() -> None:
    """A block that calls a server with one of the tools is a block for sh, on whatever page."""
    calls = [
        (path, block.text)
        for path, page in PAGES.items()
        for block in find_blocks(page)
        if block.language != "sh" and re.search(r"^(grpcurl|ghz|\S*buf curl) ", block.text, re.MULTILINE)
    ]

    assert calls == []


@pytest.mark.parametrize("command", COMMANDS)
def test_something_must_come_of_every_command(command: str) -> None:
    """An empty output is never right."""
    expected = find_expectation(command)

    with pytest.raises(CommandLineFailed, match="is not in its output"):
        judge(command, expected.code, "")


def test_a_load_is_right_when_every_call_was() -> None:
    """ghz exits with 0 in any case, so its distribution decides."""
    judge(GHZ, 0, DISTRIBUTION)
    for wrong in (
        DISTRIBUTION.replace("20", "19"),
        DISTRIBUTION.replace("OK", "Unavailable"),
        DISTRIBUTION.rstrip() + "\n  [Unavailable]   1 responses   \n",
    ):
        with pytest.raises(CommandLineFailed):
            judge(GHZ, 0, wrong)


def test_an_error_is_right_with_its_code_and_reason() -> None:
    """grpcurl and buf show both, each in its own way."""
    encoded = base64.b64encode(b"\n\x0fMODEL_NOT_FOUND\x12\x0ereasoning-grpc").decode()

    judge("grpcurl" + UNKNOWN_MODEL, 69, '"reason": "MODEL_NOT_FOUND"')
    judge(".venv/bin/buf curl" + UNKNOWN_MODEL, 40, f'"value": "{encoded}"')
    with pytest.raises(CommandLineFailed, match="exited with 0, not 69"):
        judge("grpcurl" + UNKNOWN_MODEL, 0, '"reason": "MODEL_NOT_FOUND"')


def test_a_command_without_an_expectation_fails() -> None:
    """It calls none of the servers, or no expectation is written down for it."""
    with pytest.raises(CommandLineFailed, match="no address"):
        find_address("grpcurl localhost:1 list\n")
    with pytest.raises(CommandLineFailed, match="no expectation"):
        find_expectation("curl 127.0.0.1:50051\n")


def test_the_configuration_with_a_token_is_shown() -> None:
    """The page of commands shows the configuration of the servers that want a token."""
    assert "[callers.me]" in find_guarded_configuration(PAGES["docs/command-line.md"])
    with pytest.raises(CommandLineFailed, match="no configuration"):
        find_guarded_configuration("# A page\n")


def test_a_section_ends_where_the_next_begins() -> None:
    """Its own subsections are part of it."""
    page = "# A\n## B\nb\n### B2\nb2\n## C\nc\n"

    assert find_section(page, "B") == "b\n### B2\nb2\n"
    assert find_section(page, "C") == "c\n"
    assert find_section(page, "D") is None


def test_blocks_have_a_language_and_perhaps_a_file() -> None:
    """The file is what stands before the fence, between backquotes."""
    text = "Do:\n\n```sh\nls\n```\n\n`a.py`:\n\n```python\nprint()\n```\n\n```\nplain\n```\n"

    assert find_blocks(text) == [Block("sh", "ls\n"), Block("python", "print()\n", "a.py"), Block("", "plain\n")]
    assert find_blocks(text, "sh") == [Block("sh", "ls\n")]


def test_a_command_has_all_its_lines() -> None:
    """It continues after a backslash and within quotes; comments and empty lines are no commands."""
    block = "# it's a comment\nls\n\necho 'a\n b' \\\n  c # more\ncat"

    assert split_commands(block) == ["ls\n", "echo 'a\n b' \\\n  c # more\n", "cat"]


def test_anchors_are_those_of_the_headings() -> None:
    """Punctuation is left out, a repeated heading gets a number, and a block has no headings."""
    page = "# OpenAI, `vLLM`\n## A [link](b.md)\n## Twice\n## Twice\n```sh\n# no heading\n```\n"

    assert find_anchors(page) == {"openai-vllm", "a-link", "twice", "twice-1"}


def test_links_are_found_in_text_and_not_in_code() -> None:
    """Images and raw HTML count; code does not."""
    page = 'See [a](b.md#c), ![d](e.svg "f") and <img src="g.png">, not `[h](i)`.\n```\n[j](k)\n```\n'

    assert list(find_links(page)) == ["b.md#c", "e.svg", "g.png"]
