"""The README says what is so."""

import re
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.config import read_config
from reasoning_grpc.domain import ReasoningEnd
from reasoning_grpc.rpc.status import CODES
from reasoning_grpc.server.config_check import find_config_problems
from scripts.options_table import with_table

README: Final = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_options_are_those_of_the_code() -> None:
    """The table is the one that scripts/options_table.py writes."""
    assert with_table(README) == README


def test_every_reason_is_explained_with_its_code() -> None:
    """The error table has each reason once, beside the code that the status table gives it."""
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \| ([A-Z_]+) \|", README, re.MULTILINE)
    explained = {reason: code for reasons, code in rows for reason in re.findall(r"`([A-Z_]+)`", reasons)}

    assert explained == {error.reason: code.name for error, code in CODES.items()} | {"INTERNAL": "INTERNAL"}


def test_the_example_configuration_is_sound(tmp_path: Path) -> None:
    """The file that the README shows is taken as it is, with a real hash in its place."""
    found = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert found is not None
    file = tmp_path / "reasoning.toml"
    file.write_text(found[1].replace("<what `reasoning-grpc token new` printed>", "0" * 64))

    config = read_config(flags={}, environment={"OPENAI_API_KEY": "sk-test"}, file=file)

    assert list(config.models) == ["fast", "own"]
    assert config.models["own"].prices.output == 200_000_000
    assert config.callers["billing"].allowed_models == frozenset({"fast"})


@pytest.mark.parametrize("example", re.findall(r"```toml\n(\[.*?)```", README, re.DOTALL))
def test_the_other_examples_are_sound(example: str, tmp_path: Path) -> None:
    """Entries that the README shows alone are taken as they are."""
    file = tmp_path / "reasoning.toml"
    file.write_text(example)

    keys = dict.fromkeys(re.findall(r'api_key_env = "(\w+)"', example), "sk-test")

    config = read_config(flags={"default_model": example[8 : example.index("]")]}, environment=keys, file=file)

    assert config.models
    assert find_config_problems(config) == []


def test_the_example_of_tools_is_sound(tmp_path: Path) -> None:
    """The entries of tools and MCP servers are taken as they are."""
    found = re.search(r"```toml\n(# Python functions, and MCP servers\n.*?)```", README, re.DOTALL)
    assert found is not None
    file = tmp_path / "reasoning.toml"
    file.write_text(found[1])
    variables = dict.fromkeys(("FILES_TOKEN", "TICKETS_TOKEN", "TICKETS_KEY"), "secret")

    config = read_config(flags={}, environment=variables, file=file)

    assert list(config.tools) == ["weather", "current_time", "tickets__search"]
    assert list(config.mcp_servers) == ["files", "tickets"]


def test_the_example_of_the_agent_is_sound(tmp_path: Path) -> None:
    """Its limits are options, and so are the prompts when they are there."""
    found = re.search(r"```toml\n(# The agent's limits.*?)```", README, re.DOTALL)
    assert found is not None
    for name in ("plan", "native", "answer"):
        (tmp_path / f"{name}.txt").write_text("{tools}")
    file = tmp_path / "reasoning.toml"
    file.write_text(re.sub(r'^# (agent_\w+ = ")', rf"\1{tmp_path}/", found[1], flags=re.MULTILINE))

    config = read_config(flags={}, environment={}, file=file)

    assert (config.settings.agent_max_steps, config.settings.agent_max_cost_usd) == (12, 0.05)
    assert config.settings.agent_answer_prompt == tmp_path / "answer.txt"
    assert find_config_problems(config) == []


def test_every_end_of_the_thinking_is_explained() -> None:
    """Once each, in the table of the agent's limits."""
    explained = re.findall(r"^\| `([A-Z_]+)` \|[^|]+\|[^|]+\|[^|]+\|$", README, re.MULTILINE)

    assert sorted(explained) == sorted(end.value for end in ReasoningEnd)


@pytest.mark.parametrize("target", ["make demo", "make test"])
def test_the_first_commands_do_all_the_set_up(target: str) -> None:
    """The first two commands are the demo and the tests."""
    first_block = README.split("```")[1].split("\n")

    assert target in first_block[1:3]
