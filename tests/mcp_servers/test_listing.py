"""The tools of the official MCP servers, as the command `tools` lists them and as the model sees them."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import list_executions, name_status, reasoning_request, write_plan
from tests.support.commands import run
from tests.support.official_servers import OfficialServers
from tests.support.upstream import FakeToolCall

pytestmark = [pytest.mark.mcp_servers, pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

EVERYTHING: Final = """
    echo get-annotated-message get-env get-resource-links get-resource-reference get-structured-content get-sum
    get-tiny-image gzip-file-as-resource toggle-simulated-logging toggle-subscriber-updates
    trigger-long-running-operation
"""
"""The tools for clients that neither answer for a person or a model nor have folders."""
TOOLS: Final = {
    "everything": EVERYTHING,
    "files": """
        create_directory directory_tree edit_file get_file_info list_allowed_directories list_directory
        list_directory_with_sizes move_file read_file read_media_file read_multiple_files read_text_file search_files
        write_file
    """,
    "git": """
        git_add git_branch git_checkout git_commit git_create_branch git_diff git_diff_staged git_diff_unstaged git_log
        git_reset git_show git_status
    """,
    "memory": """
        add_observations create_entities create_relations delete_entities delete_observations delete_relations
        open_nodes read_graph search_nodes
    """,
    "remote": EVERYTHING,
    "time": "convert_time get_current_time",
}
NAMES: Final = [f"{server}__{name}" for server, names in TOOLS.items() for name in names.split()]


async def test_the_command_lists_the_tools(servers: OfficialServers) -> None:
    """Every tool of every server is listed, the one that is left out is named, and the exit code is 0."""
    done = await run(
        "tools",
        "--config",
        servers.config,
        variables={"FAKE_KEY": "k", "MEMORY_FILE_PATH": str(servers.folders.memory)},
    )

    rows = [line.split() for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert [row[0] for row in rows if row[1:3] == ["mcp", "server"] and row[4] == "available"] == NAMES
    assert done.out.splitlines()[-8:] == [
        "mcp server time is connected: 2 tools, protocol 2026-07-28",
        "mcp server git is connected: 12 tools, protocol 2026-07-28",
        "mcp server files is connected: 14 tools, protocol 2025-11-25",
        "mcp server memory is connected: 9 tools, protocol 2025-11-25",
        "mcp server everything is connected: 12 tools, protocol 2025-11-25",
        "everything__simulate-research-query is left out: it can only be called as a task",
        "mcp server remote is connected: 12 tools, protocol 2025-11-25",
        "remote__simulate-research-query is left out: it can only be called as a task",
    ]


async def test_a_model_sees_all_tools_in_its_prompt(servers: OfficialServers) -> None:
    """A model that plans in JSON is shown every tool with its schema, and no setting of the request is changed."""
    servers.upstream.requests.clear()
    servers.upstream.reply(write_plan())
    servers.upstream.reply("Done.")

    events = await servers.collect_events(reasoning_request())

    prompt = servers.upstream.requests[0].body["messages"][0]["content"].splitlines()
    listed = [line[2:].partition(":")[0] for line in prompt if line.startswith("- ") and "__" in line]
    assert listed == NAMES
    assert 'Arguments: {"type":"object","properties":{"message":{"type":"string"' in "".join(prompt)
    assert not [each for each in events[0].started.effective_settings if each.field.startswith("agent")]


async def test_a_model_gets_all_tools_natively(servers: OfficialServers) -> None:
    """A model that takes tools natively gets every tool, and the result of its call."""
    servers.upstream.requests.clear()
    servers.upstream.reply(tool_calls=[FakeToolCall("c1", "everything__get-sum", '{"a": 1, "b": 2}')])
    servers.upstream.reply("READY")
    servers.upstream.reply("Done.")

    events = await servers.collect_events(reasoning_request(model="native"))

    first, second, _ = (request.body for request in servers.upstream.requests)
    functions = {tool["function"]["name"]: tool["function"] for tool in first["tools"]}
    assert [name for name in functions if "__" in name] == NAMES
    assert functions["everything__get-sum"] == {
        "name": "everything__get-sum",
        "description": "Returns the sum of two numbers",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "number", "description": "First number"},
                "b": {"type": "number", "description": "Second number"},
            },
            "required": ["a", "b"],
        },
    }
    assert second["messages"][-1] == {"role": "tool", "tool_call_id": "c1", "content": "The sum of 1 and 2 is 3."}
    (execution,) = list_executions(events)
    assert (name_status(execution), json.loads(execution.arguments)) == ("OK", {"a": 1, "b": 2})
    assert events[-1].completed.finish_reason == completion_pb2.FINISH_REASON_STOP


@pytest.mark.parametrize(
    ("model", "find_declared"),
    [("claude", lambda body: body["tools"]), ("gemini", lambda body: body["tools"][0]["function_declarations"])],
    ids=["claude", "gemini"],
)
async def test_other_providers_get_all_tools(
    servers: OfficialServers, model: str, find_declared: Callable[[Any], list[Any]]
) -> None:
    """A provider with a protocol of its own gets every tool, and no setting of the request is changed."""
    servers.upstream.requests.clear()
    servers.upstream.reply(tool_calls=[FakeToolCall("toolu_1", "time__get_current_time", '{"timezone": "UTC"}')])
    servers.upstream.reply("READY")
    servers.upstream.reply("Done.")

    events = await servers.collect_events(reasoning_request(model=model))

    bodies = [request.body for request in servers.upstream.requests]
    assert [tool["name"] for tool in find_declared(bodies[0]) if "__" in tool["name"]] == NAMES
    assert '"$schema"' not in json.dumps(bodies[0])
    assert not events[0].started.effective_settings
    (execution,) = list_executions(events)
    assert name_status(execution) == "OK"
    assert ["day_of_week" in json.dumps(body) for body in bodies] == [False, True, True]
