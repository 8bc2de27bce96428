"""The entries of the tools that the agent may call: `[tools.NAME]` and `[mcp_servers.NAME]`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reasoning_grpc.config.problems import describe_unset_variable
from reasoning_grpc.config.table_reader import TableReader, find_url_problem, read_secret
from reasoning_grpc.config.upstream_proxy import UpstreamProxyEntry
from reasoning_grpc.domain import Secret

TOOL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""A name that every provider accepts for a tool; only Gemini refuses a digit as its first character."""
MCP_SEPARATOR: Final = "__"
"""Stands between the name of an MCP server and the name of its tool."""
MCP_PROTOCOLS: Final = ("auto", "2026-07-28", "2025-11-25")
"""The versions of the protocol that an entry may name; the last one stands for all that begin with a handshake."""
_SERVER_NAME: Final = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
_LONGEST_SERVER_NAME: Final = 32
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~]+([ \t]+[!-~]+)*")
_OWN_HEADERS: Final = re.compile(
    r"authorization|accept|accept-encoding|content-.*|host|connection|transfer-encoding|mcp-.*|traceparent|tracestate",
    re.IGNORECASE,
)
"""Headers that an operator must not set: the protocols set them, and `bearer_token_env` sets `authorization`."""
_MOST_SECONDS: Final = 3600.0
_MOST_AT_ONCE: Final = 1000
_MOST_CHARACTERS: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """The bounds of one tool."""

    timeout_seconds: float = 30.0
    """The longest time of one call, including the wait for its turn."""
    concurrency: int = 8
    """The number of calls that may run at the same time, and of the threads of a synchronous function."""
    max_result_characters: int = 20_000
    """Longer results are cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEntry:
    """A tool, `[tools.NAME]`: the entry enables an entry point, or names a function, or sets limits for any tool."""

    name: str
    function: str = ""
    """"package.module:function"; empty: the built-in tool, entry point or MCP server's tool of this name."""
    description: str = ""
    """The description for the model; empty: the function's docstring."""
    enabled: bool = True
    timeout_seconds: float | None = None
    concurrency: int | None = None
    max_result_characters: int | None = None
    needs_approval: bool | None = None
    """Whether the caller must approve each call; None: what the entry of its MCP server says, or else no."""

    def resolve_limits(self, defaults: ToolLimits) -> ToolLimits:
        """Returns the bounds of the tool; `defaults` holds for each bound that the entry does not have."""
        return ToolLimits(
            timeout_seconds=self.timeout_seconds or defaults.timeout_seconds,
            concurrency=self.concurrency or defaults.concurrency,
            max_result_characters=self.max_result_characters or defaults.max_result_characters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServerEntry:
    """An MCP server whose tools the agent may call, `[mcp_servers.NAME]`: a process to start or an address."""

    name: str
    command: str = ""
    """The program to start; empty: the server is reached at `url`."""
    args: tuple[str, ...] = ()
    env: Mapping[str, Secret] = field(default_factory=dict)
    """Environment variables that the process gets besides the harmless ones, such as PATH and HOME."""
    cwd: Path | None = None
    url: str = ""
    """The address of the server's streamable HTTP."""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, Secret] = field(default_factory=dict)
    """Headers whose values come from environment variables."""
    bearer_token: Secret | None = None
    tools: frozenset[str] | None = None
    """The tools to serve, by the server's own names. None: all."""
    limits: ToolLimits = field(default_factory=ToolLimits)
    """The bounds of each of its tools."""
    connect_timeout_seconds: float = 30.0
    """The longest time to start or reach the server and read its list of tools."""
    upstream_proxy: UpstreamProxyEntry | None = None
    """The HTTP proxy through which `url` is reached. None: it is reached directly."""
    needs_approval: bool = False
    """Whether the caller must approve each call of its tools."""
    required: bool = False
    """Whether our server is ready only when this server has connected once."""
    protocol: str = "auto"
    """The version of the protocol, or "auto": the server is asked for it. 2025-11-25 stands for older versions too."""

    @property
    def prefix(self) -> str:
        """The beginning of the names of its tools."""
        return self.name + MCP_SEPARATOR


def read_tool_entry(name: str, table: object, problems: list[str]) -> ToolEntry:
    """Reads the table `[tools.NAME]`."""
    reader = TableReader(f"tools.{name}", table, problems)
    if not TOOL_NAME.fullmatch(name):
        reader.report("", "a name is 1 to 64 of letters, digits, _ and -, no digit or - first")
    enabled = reader.read_bool("enabled")
    entry = ToolEntry(
        name=name,
        function=reader.read_text("function"),
        description=reader.read_text("description"),
        enabled=enabled is not False,
        timeout_seconds=_read_seconds(reader, "timeout_seconds"),
        concurrency=reader.read_count("concurrency", _MOST_AT_ONCE),
        max_result_characters=reader.read_count("max_result_characters", _MOST_CHARACTERS),
        needs_approval=reader.read_bool("needs_approval"),
    )
    if entry.function and not _FUNCTION.fullmatch(entry.function):
        reader.report("function", 'must be "package.module:function"')
    reader.report_unknown_keys()
    return entry


def read_mcp_server_entry(
    name: str, table: object, environment: Mapping[str, str], problems: list[str]
) -> McpServerEntry:
    """Reads the table `[mcp_servers.NAME]`."""
    reader = TableReader(f"mcp_servers.{name}", table, problems)
    if not _SERVER_NAME.fullmatch(name) or len(name) > _LONGEST_SERVER_NAME:
        reader.report("", f"a name is 1 to {_LONGEST_SERVER_NAME} of a-z, 0-9 and single _ and -, a letter first")
    tools, defaults = reader.read_texts("tools"), ToolLimits()
    entry = McpServerEntry(
        name=name,
        command=reader.read_text("command"),
        args=reader.read_texts("args") or (),
        env=_read_variables(reader, environment),
        cwd=Path(cwd) if (cwd := reader.read_text("cwd")) else None,
        url=reader.read_text("url"),
        headers=_read_headers(reader),
        secret_headers=_read_secret_headers(reader, environment),
        bearer_token=read_secret(reader, "bearer_token_env", environment),
        tools=None if tools is None else frozenset(tools),
        limits=ToolLimits(
            timeout_seconds=_read_seconds(reader, "timeout_seconds") or defaults.timeout_seconds,
            concurrency=reader.read_count("concurrency", _MOST_AT_ONCE) or defaults.concurrency,
            max_result_characters=reader.read_count("max_result_characters", _MOST_CHARACTERS)
            or defaults.max_result_characters,
        ),
        connect_timeout_seconds=_read_seconds(reader, "connect_timeout_seconds") or 30.0,
        needs_approval=reader.read_bool("needs_approval") or False,
        required=reader.read_bool("required") or False,
        protocol=reader.read_text("protocol", find_problem=_find_protocol_problem) or "auto",
    )
    _check_connection(reader, entry)
    reader.report_unknown_keys()
    return entry


def _check_connection(reader: TableReader, entry: McpServerEntry) -> None:
    """Reports an entry that is not either a process or an address, or that has keys of the other kind."""
    if bool(entry.command) == bool(entry.url):
        reader.report("", "needs either command or url")
        return
    if entry.url and (problem := find_url_problem(entry.url, "https://mcp.example.com/mcp", "bearer_token_env")):
        reader.report("url", problem)
    foreign: dict[str, object] = (
        {"headers": entry.headers, "headers_env": entry.secret_headers, "bearer_token_env": entry.bearer_token}
        if entry.command
        else {"args": entry.args, "env": entry.env, "cwd": entry.cwd}
    )
    for key, value in foreign.items():
        if value:
            reader.report(key, f"does not go with {'command' if entry.command else 'url'}")


def _find_protocol_problem(protocol: str) -> str:
    return "" if protocol in MCP_PROTOCOLS else f"must be one of {', '.join(MCP_PROTOCOLS)}"


def _read_seconds(reader: TableReader, key: str) -> float | None:
    return reader.read_number(key, 0.001, _MOST_SECONDS)


def _read_variables(reader: TableReader, environment: Mapping[str, str]) -> dict[str, Secret]:
    """Reads the list of environment variables, and returns them with their values."""
    names = reader.read_texts("env") or ()
    for name in names:
        if name not in environment:
            reader.report("env", describe_unset_variable(name))
    return {name: Secret(environment.get(name, "")) for name in names}


def _read_headers(reader: TableReader) -> dict[str, str]:
    headers = reader.read_strings("headers")
    for name, value in headers.items():
        _check_header(reader, "headers", name)
        if not _HEADER_VALUE.fullmatch(value):
            reader.report("headers", f"the value of {name!r} must be visible ASCII characters")
    return headers


def _read_secret_headers(reader: TableReader, environment: Mapping[str, str]) -> dict[str, Secret]:
    """Reads the table of headers and their environment variables, and returns the headers with their values."""
    table = reader.read_table("headers_env")
    headers = {}
    for name in table.list_unread_keys():
        _check_header(reader, "headers_env", name)
        headers[name] = read_secret(table, name, environment)
    table.report_unknown_keys()
    return {name: secret for name, secret in headers.items() if secret is not None}


def _check_header(reader: TableReader, key: str, name: str) -> None:
    if not _HEADER.fullmatch(name):
        reader.report(key, f"{name!r} is not the name of a header")
    elif _OWN_HEADERS.fullmatch(name):
        hint = "; use bearer_token_env" if name.lower() == "authorization" else ""
        reader.report(key, f"{name!r} cannot be set here{hint}")
