"""`reasoning-grpc tools` lists the tools of a configuration, or prints its problems."""

import json
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.configuration import TOKEN_HASH
from tests.support.mcp_server import build_command, open_reports
from tests.support.scripted_mcp import a_result_line, scripted_entry

pytestmark = pytest.mark.process

ROOT = str(Path(__file__).parents[2])


def write_configuration(folder: Path, text: str) -> str:
    """Writes a file with this configuration, and returns its path."""
    file = folder / "reasoning.toml"
    file.write_text(text)
    return str(file)


async def test_every_tool_is_listed(tmp_path: Path) -> None:
    """Functions, disabled tools, tools of a server, and a server that is down are listed as text and as JSON."""
    async with open_reports() as reports:
        program, *arguments = build_command("stdio", reports)
        config = write_configuration(
            tmp_path,
            f"""
            [tools.weather]
            function = "tests.support.tools:weather"
            needs_approval = true
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
        "calculator    built in         available                  Calculate the value of an arithmetic expression.",
        "current_time  built in         off",
        "good__echo    mcp server good  available                  Return the text.",
        "weather       function         available, needs approval  Tell the weather.",
        "mcp server good is connected: 1 tools, protocol 2026-07-28",
        "mcp server gone is down: it cannot be reached",
    ]
    listed = json.loads(as_json.out)
    assert [tool["name"] for tool in listed["tools"]] == ["calculator", "current_time", "good__echo", "weather"]
    assert listed["tools"][2]["mcp_server"] == "good"
    assert listed["tools"][3]["parameters_schema"]["required"] == ["city"]
    assert [tool["needs_approval"] for tool in listed["tools"]] == [False, False, False, True]
    assert listed["mcp_servers"] == [
        {
            "name": "good",
            "state": "connected",
            "tools": 1,
            "protocol": "2026-07-28",
            "problem": None,
            "setting_problems": [],
            "left_out": {},
            "unchecked_results": {},
        },
        {
            "name": "gone",
            "state": "down",
            "tools": 0,
            "protocol": None,
            "problem": "it cannot be reached",
            "setting_problems": [],
            "left_out": {},
            "unchecked_results": {},
        },
    ]


async def test_settings_that_fit_no_tool_are_reported(tmp_path: Path) -> None:
    """Each setting that names a tool which the server does not list is reported, and the exit code is 1."""
    async with open_reports() as reports:
        program, *arguments = build_command("stdio", reports)
        config = write_configuration(
            tmp_path,
            f"""
            [tools.files__write-letters]
            enabled = false
            [tools.files__hang]
            timeout_seconds = 1
            [mcp_servers.files]
            command = {json.dumps(program)}
            args = {json.dumps(arguments)}
            tools = ["ech", "write_letters", "quite different"]
            [callers.ann]
            token_hash = "{TOKEN_HASH}"
            allowed_tools = ["files__fial", "files__echo"]
            """,
        )
        as_text = await run("tools", "--config", config)
        as_json = await run("tools", "--config", config, "--json")

    problems = [
        "mcp_servers.files.tools: 'ech' fits no tool of the mcp server files; did you mean 'echo'?",
        "mcp_servers.files.tools: 'quite different' fits no tool of the mcp server files",
        "tools.files__write-letters fits no tool of the mcp server files; did you mean 'files__write_letters'?",
        "callers.ann.allowed_tools: 'files__fial' fits no tool of the mcp server files; did you mean 'files__fail'?",
    ]
    assert (as_text.code, as_json.code) == (1, 1)
    assert as_text.err.splitlines() == as_json.err.splitlines() == [f"reasoning-grpc: {each}" for each in problems]
    assert json.loads(as_json.out)["mcp_servers"][0]["setting_problems"] == problems


async def test_tools_that_cannot_be_called_are_named(tmp_path: Path) -> None:
    """Tools that are left out or whose results are not checked are named with the reason; the exit code stays 0."""
    listed = [
        {"name": "good", "inputSchema": {"type": "object"}, "outputSchema": {"$ref": "https://example.com/"}},
        {"name": "long-task", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}},
    ]
    server = scripted_entry(tools_list=[a_result_line({"tools": listed})])
    config = write_configuration(
        tmp_path,
        f"""
        [mcp_servers.files]
        command = {json.dumps(server.command)}
        args = {json.dumps(server.args)}
        """,
    )
    as_text = await run("tools", "--config", config, variables={"PYTHONPATH": ROOT})
    as_json = await run("tools", "--config", config, "--json", variables={"PYTHONPATH": ROOT})

    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (0, "")
    assert as_text.out.splitlines()[-3:] == [
        "mcp server files is connected: 1 tools, protocol 2025-06-18",
        "files__long-task is left out: it can only be called as a task",
        "files__good has an output schema that is not used: a reference leads out of it",
    ]
    (listed_server,) = json.loads(as_json.out)["mcp_servers"]
    assert listed_server["left_out"] == {"files__long-task": "it can only be called as a task"}
    assert listed_server["unchecked_results"] == {"files__good": "a reference leads out of it"}


async def test_without_a_configuration_the_built_in_tools_are_listed(tmp_path: Path) -> None:
    """Without a configuration only the built-in tools are listed, and the exit code is 0."""
    done = await run("tools", folder=tmp_path)

    assert (done.code, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()] == ["calculator", "current_time"]


async def test_functions_that_cannot_be_loaded_are_reported(tmp_path: Path) -> None:
    """Each function that cannot be loaded is reported in one line."""
    config = write_configuration(tmp_path, '[tools.a]\nfunction = "no.such:thing"\n[tools.b]\n')
    done = await run("tools", "--config", config)
    as_json = await run("tools", "--config", config, "--json")

    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "reasoning-grpc: tools.a: the function cannot be loaded: No module named 'no'",
        "reasoning-grpc: tools.b: is neither built in nor an entry point; it needs a function",
    ]
    assert len(json.loads(as_json.out)["problems"]) == 2
