"""The tables `[tools.NAME]` and `[mcp_servers.NAME]` become entries, or are refused with a clear sentence."""

from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.config import Config, McpServerEntry, ToolEntry, ToolLimits, hash_token
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.tools import find_tool_problems
from tests.support.configuration import expect_problems, read_toml

VARIABLES: Final = {"GIT_TOKEN": "secret-token", "GIT_KEY": "secret-key", "EMPTY": ""}
CALLER: Final = f'[callers.billing]\ntoken_hash = "{hash_token("token")}"\n'


def test_every_key_of_every_entry_is_read() -> None:
    """Every key of a tool's and of an MCP server's table is read into its entry."""
    text = """
    [tools.weather]
    function = "company.weather:forecast"
    description = "Tell the weather."
    timeout_seconds = 2.5
    concurrency = 4
    max_result_characters = 500
    needs_approval = true
    [tools.calculator]
    enabled = false
    [mcp_servers.files]
    command = "npx"
    args = ["-y", "server-filesystem", "/srv"]
    env = ["GIT_TOKEN", "EMPTY"]
    cwd = "/srv"
    [mcp_servers.git-hub]
    url = "https://mcp.example.com/mcp"
    headers = { X-Team = "blue and green" }
    headers_env = { X-Key = "GIT_KEY" }
    bearer_token_env = "GIT_TOKEN"
    tools = ["search", "read"]
    timeout_seconds = 10
    concurrency = 2
    max_result_characters = 900
    connect_timeout_seconds = 5
    needs_approval = true
    required = true
    protocol = "2026-07-28"
    """

    config = read_toml(text, environment=VARIABLES)

    assert config.tools == {
        "weather": ToolEntry(
            name="weather",
            function="company.weather:forecast",
            description="Tell the weather.",
            timeout_seconds=2.5,
            concurrency=4,
            max_result_characters=500,
            needs_approval=True,
        ),
        "calculator": ToolEntry(name="calculator", enabled=False),
    }
    files, git = config.mcp_servers["files"], config.mcp_servers["git-hub"]
    assert (files.command, files.args, files.cwd) == ("npx", ("-y", "server-filesystem", "/srv"), Path("/srv"))
    assert {name: secret.reveal() for name, secret in files.env.items()} == {"GIT_TOKEN": "secret-token", "EMPTY": ""}
    assert (files.tools, files.limits) == (None, ToolLimits())
    assert (git.url, git.headers) == ("https://mcp.example.com/mcp", {"X-Team": "blue and green"})
    assert git.bearer_token is not None
    assert (git.bearer_token.reveal(), git.secret_headers["X-Key"].reveal()) == ("secret-token", "secret-key")
    assert git.tools == frozenset({"search", "read"})
    assert git.limits == ToolLimits(timeout_seconds=10, concurrency=2, max_result_characters=900)
    assert (git.connect_timeout_seconds, git.prefix) == (5, "git-hub__")
    assert (files.required, git.required) == (False, True)
    assert (files.needs_approval, git.needs_approval) == (False, True)
    assert (files.protocol, git.protocol) == ("auto", "2026-07-28")
    assert "secret-" not in repr(config)


def test_without_entries_there_are_none() -> None:
    """Without entries there are no tools and no MCP servers, which could reach the network."""
    config = read_toml("", environment=VARIABLES)

    assert config.tools == {}
    assert config.mcp_servers == {}


def test_limits_come_from_the_entry_first() -> None:
    """A bound that the entry does not have comes from the defaults."""
    entry = ToolEntry(name="weather", concurrency=2)

    limits = entry.resolve_limits(ToolLimits(timeout_seconds=5, concurrency=9))

    assert limits == ToolLimits(timeout_seconds=5, concurrency=2)


def test_allowed_tools_reach_the_caller() -> None:
    """Without `allowed_tools` a caller may use every tool; an empty list allows none."""
    callers = [
        Callers(read_toml(CALLER + line, environment=VARIABLES).callers.values()).authenticate(
            [("authorization", "Bearer token")]
        )
        for line in ("", "allowed_tools = []", 'allowed_tools = ["calculator"]')
    ]

    assert [caller.may_use_tool("calculator") for caller in callers] == [True, False, True]
    assert [caller.may_use_tool("weather") for caller in callers] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tools = 3", "tools: must be a table of tables, such as [tools.NAME]"),
        ("mcp_servers = []", "mcp_servers: must be a table of tables, such as [mcp_servers.NAME]"),
        ("[tools]\nweather = 3", "tools.weather: must be a table"),
        (
            '[tools."a b"]\nfunction = "a:b"',
            "tools.a b: a name is 1 to 64 of letters, digits, _ and -, no digit or - first",
        ),
        ("[tools.a]\nfunktion = 'a:b'", "tools.a.funktion: is not a known key; did you mean function?"),
        ("[tools.a]\nfunction = 'a.b'", 'tools.a.function: must be "package.module:function"'),
        ("[tools.a]\ntimeout_seconds = 0", "tools.a.timeout_seconds: must be a number from 0.001 to 3600"),
        ("[tools.a]\nconcurrency = 0", "tools.a.concurrency: must be a whole number from 1 to 1000"),
        ("[tools.a]\nenabled = 1", "tools.a.enabled: must be true or false"),
        (
            "[tools.a]\nmax_result_characters = 1e9",
            "tools.a.max_result_characters: must be a whole number from 1 to 10000000",
        ),
        (
            "[mcp_servers.a]\ncommand = 'x'\nprotocol = '2024-11-05'",
            "mcp_servers.a.protocol: must be one of auto, 2026-07-28, 2025-11-25",
        ),
        ("[mcp_servers.a]", "mcp_servers.a: needs either command or url"),
        ("[mcp_servers.a]\ncommand = 'x'\nurl = 'http://x'", "mcp_servers.a: needs either command or url"),
        (
            "[mcp_servers.a__b]\ncommand = 'x'",
            "mcp_servers.a__b: a name is 1 to 32 of a-z, 0-9 and single _ and -, a letter first",
        ),
        (
            "[mcp_servers.a]\ncommand = 'x'\nenv = ['NOT_SET']",
            "mcp_servers.a.env: the environment variable NOT_SET is not set",
        ),
        ("[mcp_servers.a]\ncommand = 'x'\nheaders = { X-A = 'b' }", "mcp_servers.a.headers: does not go with command"),
        ("[mcp_servers.a]\nurl = 'http://x'\nargs = ['b']", "mcp_servers.a.args: does not go with url"),
        (
            "[mcp_servers.a]\nurl = 'ftp://x'",
            'mcp_servers.a.url: must be an http or https URL, such as "https://mcp.example.com/mcp"',
        ),
        (
            "[mcp_servers.a]\nurl = 'http://me:secret@x'",
            "mcp_servers.a.url: must not hold a password; use bearer_token_env",
        ),
        (
            "[mcp_servers.a]\nurl = 'http://x'\nheaders = { Authorization = 'b' }",
            "mcp_servers.a.headers: 'Authorization' cannot be set here; use bearer_token_env",
        ),
        (
            "[mcp_servers.a]\nurl = 'http://x'\nheaders_env = { Mcp-Session-Id = 'GIT_KEY' }",
            "mcp_servers.a.headers_env: 'Mcp-Session-Id' cannot be set here",
        ),
        (
            "[mcp_servers.a]\nurl = 'http://x'\nheaders = { 'X A' = 'b' }",
            "mcp_servers.a.headers: 'X A' is not the name of a header",
        ),
        (
            "[mcp_servers.a]\nurl = 'http://x'\nheaders = { X-A = \"b\\r\\nX-B: c\" }",
            "mcp_servers.a.headers: the value of 'X-A' must be visible ASCII characters",
        ),
        (
            "[mcp_servers.a]\nurl = 'http://x'\nheaders_env = { X-A = 'NOT_SET' }",
            "mcp_servers.a.headers_env.X-A: the environment variable NOT_SET is not set",
        ),
        (
            "[mcp_servers.a]\nurl = 'http://x'\nbearer_token_env = 'NOT_SET'",
            "mcp_servers.a.bearer_token_env: the environment variable NOT_SET is not set",
        ),
        ("[mcp_servers.a]\nurl = 'http://x'\nretries = 3", "mcp_servers.a.retries: is not a known key"),
    ],
)
def test_a_wrong_table_is_refused(text: str, problem: str) -> None:
    """Each mistake in a table is reported in one line that begins with its key."""
    assert expect_problems(text, environment=VARIABLES) == [problem]


def test_problems_of_several_entries_are_reported_together() -> None:
    """Mistakes in several entries are reported at the same time."""
    text = "[tools.a]\nfunction = 'b'\n[mcp_servers.c]\n[models.d]\n"

    assert len(expect_problems(text, environment=VARIABLES)) == 3


def test_tools_that_cannot_be_loaded_are_refused() -> None:
    """A function that cannot be loaded is refused, and so is a function under the name of an MCP server's tool."""
    server = McpServerEntry(name="git", command="true")
    config = Config(
        tools={
            "wrong": ToolEntry(name="wrong", function="no.such.module:f"),
            "git__search": ToolEntry(name="git__search", function="tests.support.tools:weather"),
            "git__read": ToolEntry(name="git__read", enabled=False),
        },
        mcp_servers={"git": server},
    )

    assert find_tool_problems(config) == [
        "tools.git__search.function: the name is one of an MCP server's tools",
        "tools.wrong: the function cannot be loaded: No module named 'no'",
    ]


def test_allowed_tools_must_be_tools() -> None:
    """A name in `allowed_tools` must be a known tool, or may be a tool of a configured MCP server."""
    text = CALLER + 'allowed_tools = ["calculator", "git__any", "nothing"]\n[mcp_servers.git]\ncommand = "true"\n'

    assert find_tool_problems(read_toml(text, environment=VARIABLES)) == [
        "callers.billing.allowed_tools: 'nothing' is not a tool"
    ]
