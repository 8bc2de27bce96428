"""The entries of the tools that the agent may call: `[tools.NAME]` and `[mcp_servers.NAME]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reasoning_grpc.config.entries import TableReader, secret_in, url_problem
from reasoning_grpc.domain import Secret

TOOL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What every provider takes as the name of a tool; Gemini alone wants no digit first."""
MCP_SEPARATOR: Final = "__"
"""Between the name of an MCP server and that of its tool."""
_SERVER_NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_LONGEST_SERVER_NAME: Final = 32
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~]+([ \t]+[!-~]+)*")
_OWN_HEADERS: Final = re.compile(
    r"authorization|accept|accept-encoding|content-.*|host|connection|transfer-encoding|mcp-.*|traceparent|tracestate",
    re.IGNORECASE,
)
"""Headers that are not an operator's to set: those of the protocols, and that of the token."""
_MOST_SECONDS: Final = 3600.0
_MOST_AT_ONCE: Final = 1000
_MOST_CHARACTERS: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """The bounds of one tool."""

    timeout_seconds: float = 30.0
    """For one call, waiting for its turn included."""
    concurrency: int = 8
    """Calls at once; others wait."""
    max_result_characters: int = 20_000
    """Longer results are cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """A tool: `[tools.NAME]`; it switches an entry point on, or names a function, or bounds any tool."""

    name: str
    function: str = ""
    """"package.module:function"; empty: the tool of this name that is built in, an entry point, or an MCP server's."""
    description: str = ""
    """For the model, instead of the function's docstring."""
    enabled: bool = True
    timeout_seconds: float | None = None
    concurrency: int | None = None
    max_result_characters: int | None = None

    def limits(self, standard: ToolLimits) -> ToolLimits:
        """The bounds of the tool, where `standard` are those that the entry does not say."""
        return ToolLimits(
            timeout_seconds=self.timeout_seconds or standard.timeout_seconds,
            concurrency=self.concurrency or standard.concurrency,
            max_result_characters=self.max_result_characters or standard.max_result_characters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServerEntry:
    """An MCP server whose tools the agent may call: `[mcp_servers.NAME]`; a process, or an address."""

    name: str
    command: str = ""
    """What is run; empty: it is reached at `url`."""
    args: tuple[str, ...] = ()
    env: Mapping[str, Secret] = field(default_factory=dict)
    """Variables that the process gets beside the harmless ones, such as PATH and HOME."""
    cwd: Path | None = None
    url: str = ""
    """Of its streamable HTTP."""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, Secret] = field(default_factory=dict)
    """Headers whose values come from variables."""
    bearer_token: Secret | None = None
    tools: frozenset[str] | None = None
    """By the server's own names. None: all."""
    limits: ToolLimits = field(default_factory=ToolLimits)
    """Of each of its tools."""
    connect_timeout_seconds: float = 30.0
    """To start or reach it, and to read its list of tools."""

    @property
    def prefix(self) -> str:
        """With what the names of its tools begin."""
        return self.name + MCP_SEPARATOR


def tool_entry(name: str, table: object, problems: list[str]) -> ToolEntry:
    """The entry `[tools.NAME]`."""
    read = TableReader(f"tools.{name}", table, problems)
    if not TOOL_NAME.fullmatch(name):
        read.problem("", "a name is 1 to 64 of letters, digits, _ and -, no digit or - first")
    enabled = read.truth("enabled")
    entry = ToolEntry(
        name=name,
        function=read.text("function"),
        description=read.text("description"),
        enabled=enabled is not False,
        timeout_seconds=_seconds(read, "timeout_seconds"),
        concurrency=read.whole("concurrency", _MOST_AT_ONCE),
        max_result_characters=read.whole("max_result_characters", _MOST_CHARACTERS),
    )
    if entry.function and not _FUNCTION.fullmatch(entry.function):
        read.problem("function", 'must be "package.module:function"')
    read.finish()
    return entry


def mcp_server_entry(name: str, table: object, environment: Mapping[str, str], problems: list[str]) -> McpServerEntry:
    """The entry `[mcp_servers.NAME]`."""
    read = TableReader(f"mcp_servers.{name}", table, problems)
    if not _SERVER_NAME.fullmatch(name) or len(name) > _LONGEST_SERVER_NAME:
        read.problem("", f"a name is 1 to {_LONGEST_SERVER_NAME} of a-z, 0-9 and single _ and -, a letter first")
    tools, standard = read.texts("tools"), ToolLimits()
    entry = McpServerEntry(
        name=name,
        command=read.text("command"),
        args=read.texts("args") or (),
        env=_variables(read, environment),
        cwd=Path(cwd) if (cwd := read.text("cwd")) else None,
        url=read.text("url"),
        headers=_headers(read),
        secret_headers=_secret_headers(read, environment),
        bearer_token=secret_in(read, "bearer_token_env", environment),
        tools=None if tools is None else frozenset(tools),
        limits=ToolLimits(
            timeout_seconds=_seconds(read, "timeout_seconds") or standard.timeout_seconds,
            concurrency=read.whole("concurrency", _MOST_AT_ONCE) or standard.concurrency,
            max_result_characters=read.whole("max_result_characters", _MOST_CHARACTERS)
            or standard.max_result_characters,
        ),
        connect_timeout_seconds=_seconds(read, "connect_timeout_seconds") or 30.0,
    )
    _check_way(read, entry)
    read.finish()
    return entry


def _check_way(read: TableReader, entry: McpServerEntry) -> None:
    """That it is either a process or an address, with what belongs to that."""
    if bool(entry.command) == bool(entry.url):
        read.problem("", "needs either command or url")
        return
    if entry.url and (problem := url_problem(entry.url, "https://mcp.example.com/mcp", "bearer_token_env")):
        read.problem("url", problem)
    foreign: dict[str, object] = (
        {"headers": entry.headers, "headers_env": entry.secret_headers, "bearer_token_env": entry.bearer_token}
        if entry.command
        else {"args": entry.args, "env": entry.env, "cwd": entry.cwd}
    )
    for key, value in foreign.items():
        if value:
            read.problem(key, f"does not go with {'command' if entry.command else 'url'}")


def _seconds(read: TableReader, key: str) -> float | None:
    return read.number(key, 0.001, _MOST_SECONDS)


def _variables(read: TableReader, environment: Mapping[str, str]) -> dict[str, Secret]:
    """The variables that a list names, with their values."""
    names = read.texts("env") or ()
    for name in names:
        if name not in environment:
            read.problem("env", f"the environment variable {name} is not set")
    return {name: Secret(environment.get(name, "")) for name in names}


def _headers(read: TableReader) -> dict[str, str]:
    headers = read.strings("headers")
    for name, value in headers.items():
        _check_header(read, "headers", name)
        if not _HEADER_VALUE.fullmatch(value):
            read.problem("headers", f"the value of {name!r} must be visible ASCII characters")
    return headers


def _secret_headers(read: TableReader, environment: Mapping[str, str]) -> dict[str, Secret]:
    """The headers of a table that names their variables."""
    table = read.table("headers_env")
    headers = {}
    for name in table.unread():
        _check_header(read, "headers_env", name)
        headers[name] = secret_in(table, name, environment)
    table.finish()
    return {name: secret for name, secret in headers.items() if secret is not None}


def _check_header(read: TableReader, key: str, name: str) -> None:
    if not _HEADER.fullmatch(name):
        read.problem(key, f"{name!r} is no name of a header")
    elif _OWN_HEADERS.fullmatch(name):
        hint = "; use bearer_token_env" if name.lower() == "authorization" else ""
        read.problem(key, f"{name!r} is not to be set here{hint}")
