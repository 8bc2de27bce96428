"""Runs the command `tools`: lists the tools of a configuration, and says whether they can be called."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.cli.console import remove_control_characters
from reasoning_grpc.cli.logs import set_up_logging
from reasoning_grpc.config import ConfigError, read_config
from reasoning_grpc.domain import McpServerInfo, McpServerState, ToolInfo, ToolSource
from reasoning_grpc.tools import Toolbox, find_tool_problems, list_tools_of_callers

_SOURCES: Final = {
    ToolSource.BUILT_IN: "built in",
    ToolSource.FUNCTION: "function",
    ToolSource.ENTRY_POINT: "entry point",
}
_MAX_DESCRIPTION_CHARACTERS: Final = 80


async def list_tools(flags: Mapping[str, Any], file: Path | None, *, as_json: bool) -> int:
    """Connects to the MCP servers, without serving, and prints every tool.

    Returns 1 when a server is down, and when a setting fits no tool.
    """
    try:
        config = read_config(flags=flags, environment=os.environ, file=file)
        problems = find_tool_problems(config)
    except ConfigError as exc:
        problems = exc.problems
    if problems:
        if as_json:
            print(json.dumps({"problems": problems}))
        for problem in problems:
            print(f"reasoning-grpc: {problem}", file=sys.stderr)
        return 1
    set_up_logging("error", config.settings.log_format)  # the text below reports the servers that are down
    toolbox = Toolbox(config.tools, config.mcp_servers, tools_of_callers=list_tools_of_callers(config))
    try:
        await toolbox.start()
        await toolbox.wait_for_first_attempts()
        infos, servers = toolbox.list_all(), toolbox.list_servers()
    finally:
        await toolbox.aclose()
    print(_format_json(infos, servers) if as_json else _format_text(infos, servers))
    unfitting = [problem for server in servers for problem in server.setting_problems]
    for problem in unfitting:
        print(f"reasoning-grpc: {remove_control_characters(problem)}", file=sys.stderr)
    are_connected = all(server.state is McpServerState.CONNECTED for server in servers)
    return 0 if are_connected and not unfitting else 1


def _format_json(infos: Iterable[ToolInfo], servers: Iterable[McpServerInfo]) -> str:
    listed = [
        {
            "name": info.name,
            "source": info.source.lower(),
            "mcp_server": info.mcp_server or None,
            "state": info.state.lower(),
            "needs_approval": info.needs_approval,
            "description": info.description,
            "parameters_schema": json.loads(info.parameters_schema) if info.parameters_schema else None,
        }
        for info in infos
    ]
    known = [
        {
            "name": server.name,
            "state": server.state.lower(),
            "tools": server.tools,
            "protocol": server.protocol or None,
            "problem": server.problem or None,
            "setting_problems": list(server.setting_problems),
            "left_out": dict(server.left_out),
            "unchecked_results": dict(server.unchecked),
        }
        for server in servers
    ]
    return json.dumps({"tools": listed, "mcp_servers": known})


def _format_text(infos: Iterable[ToolInfo], servers: Iterable[McpServerInfo]) -> str:
    rows = [(info.name, _describe_source(info), _describe_use(info), _shorten(info.description)) for info in infos]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    for server in servers:
        lines.append(f"mcp server {server.name} is {_describe_state(server)}")
        lines += [f"{name} is left out: {problem}" for name, problem in server.left_out.items()]
        lines += [
            f"{name} has an output schema that is not used: {problem}" for name, problem in server.unchecked.items()
        ]
    return "\n".join(lines)


def _describe_source(info: ToolInfo) -> str:
    return f"mcp server {info.mcp_server}" if info.source is ToolSource.MCP else _SOURCES[info.source]


def _describe_use(info: ToolInfo) -> str:
    state = info.state.lower()
    return f"{state}, needs approval" if info.needs_approval else state


def _describe_state(server: McpServerInfo) -> str:
    if server.state is McpServerState.CONNECTED:
        return f"connected: {server.tools} tools, protocol {server.protocol}"
    return f"{server.state.lower()}: {server.problem}"


def _shorten(description: str) -> str:
    """Returns the beginning of a description, into which a server may have written anything."""
    line = remove_control_characters(description.strip().partition("\n")[0])
    return line if len(line) <= _MAX_DESCRIPTION_CHARACTERS else f"{line[: _MAX_DESCRIPTION_CHARACTERS - 3]}..."
