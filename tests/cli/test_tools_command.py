"""`reasoning-grpc tools` as a person runs it."""

import json
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.mcp_server import build_command, open_reports

pytestmark = pytest.mark.process

ROOT = str(Path(__file__).parents[2])


def configuration(folder: Path, text: str) -> str:
    """A file with this configuration."""
    file = folder / "reasoning.toml"
    file.write_text(text)
    return str(file)


async def test_every_tool_is_listed(tmp_path: Path) -> None:
    """Functions, what is off, tools of a server, and a server that is down, as text and as JSON."""
    async with open_reports() as reports:
        program, *arguments = build_command("stdio", reports)
        config = configuration(
            tmp_path,
            f"""
            [tools.weather]
            function = "tests.support.tools:weather"
            [tools.current_time]
            enabled = false
            [mcp_servers.good]
            command = {json.dumps(program)}
            args = {json.dumps(arguments)}
            tools = ["echo"]
            [mcp_servers.gone]
            url = "http://127.0.0.1:9/mcp"
            """,
        )
        variables = {"PYTHONPATH": ROOT}
        as_text = await run("tools", "--config", config, variables=variables)
        as_json = await run("tools", "--config", config, "--json", variables=variables)

    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (1, "")
    assert as_text.out.splitlines() == [
        "calculator    built in         available  Calculate the value of an arithmetic expression.",
        "current_time  built in         off",
        "good__echo    mcp server good  available  Return the text.",
        "weather       function         available  Tell the weather.",
        "mcp server good is connected: 1 tools",
        "mcp server gone is down: it cannot be reached",
    ]
    told = json.loads(as_json.out)
    assert [tool["name"] for tool in told["tools"]] == ["calculator", "current_time", "good__echo", "weather"]
    assert told["tools"][2]["mcp_server"] == "good"
    assert told["tools"][3]["parameters_schema"]["required"] == ["city"]
    assert told["mcp_servers"] == [
        {"name": "good", "state": "connected", "tools": 1, "problem": None},
        {"name": "gone", "state": "down", "tools": 0, "problem": "it cannot be reached"},
    ]


async def test_without_a_configuration_there_are_the_built_in_ones(tmp_path: Path) -> None:
    """Nothing but what is safe; all is well."""
    done = await run("tools", folder=tmp_path)

    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == ["calculator", "current_time"]


async def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    """Functions that are not there, one line each."""
    config = configuration(tmp_path, '[tools.a]\nfunction = "no.such:thing"\n[tools.b]\n')
    done = await run("tools", "--config", config)
    as_json = await run("tools", "--config", config, "--json")

    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "reasoning-grpc: tools.a: the function cannot be loaded: No module named 'no'",
        "reasoning-grpc: tools.b: is neither built in nor an entry point; it needs a function",
    ]
    assert len(json.loads(as_json.out)["problems"]) == 2
