"""The version of the protocol that is agreed with an MCP server, whatever the server's age is."""

import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from reasoning_grpc.domain import McpServerInfo, McpServerState, ToolStatus
from tests.support.deadlines import try_deadlines
from tests.support.mcp_balancer import balance
from tests.support.mcp_server import Reports, serve_http
from tests.support.mcp_toolbox import OLD, http_entry, open_toolbox, stdio_entry, wait_until
from tests.support.ports import find_port
from tests.support.scripted_mcp import A_TOOL, a_result_line, an_error_line, modern_entry, scripted_entry

MODERN = "2026-07-28"
LEGACY = "2025-11-25"


@pytest.mark.process
@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize(
    ("options", "protocol", "agreed"),
    [
        ((), "auto", MODERN),
        (("--new",), "auto", MODERN),
        (OLD, "auto", LEGACY),
        ((), MODERN, MODERN),
        (("--new",), MODERN, MODERN),
        ((), LEGACY, LEGACY),
        (OLD, LEGACY, LEGACY),
    ],
)
async def test_a_version_is_agreed(
    reports: Reports, transport: str, options: tuple[str, ...], protocol: str, agreed: str
) -> None:
    """One entry fits a server of either age, and an entry may name the version; the state of the server says it."""
    async with serve_http(reports, *options) as (_, url):
        entry = stdio_entry(reports, *options) if transport == "stdio" else http_entry(url)
        async with open_toolbox(reports, replace(entry, protocol=protocol)) as toolbox:
            (info,) = toolbox.box.list_servers()
            execution = await toolbox.call("echo", text="hi")

    assert (info.state, info.protocol) == (McpServerState.CONNECTED, agreed)
    assert execution.result == "hi"


@pytest.mark.process
@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            modern_entry(server_discover=[an_error_line(-32022, {"supported": ["2030-01-01"], "requested": MODERN})]),
            "it speaks no version of the protocol that is spoken here",
        ),
        (
            replace(scripted_entry(tools_list=[an_error_line(-32022, {"supported": [LEGACY]})]), protocol=MODERN),
            "it speaks no version of the protocol that is spoken here",
        ),
        (replace(modern_entry(initialize=[an_error_line(-32601)]), protocol=LEGACY), "it refuses, code -32601"),
    ],
)
async def test_a_server_without_a_common_version_is_down(reports: Reports, entry: Any, problem: str) -> None:
    """A server that speaks no version of ours, or not the version of its entry, is down, and its state says why."""
    async with open_toolbox(reports, entry) as toolbox:
        (info,) = toolbox.box.list_servers()

    assert (info.state, info.problem, info.protocol) == (McpServerState.DOWN, problem, "")


@pytest.mark.process
@pytest.mark.parametrize(
    "discovery",
    [
        an_error_line(-32601),
        an_error_line(-32602),
        an_error_line(-32000),
        an_error_line(-32022, {"supported": ["2025-06-18", "2025-11-25"], "requested": MODERN}),
        an_error_line(-32022, "no list"),
        a_result_line({"supportedVersions": ["2025-11-25"], "capabilities": {}, "resultType": "complete"}),
        a_result_line({"nothing": "known"}),
        b'{"jsonrpc":"2.0","id":$id}',
    ],
    ids=str,
)
async def test_an_older_server_may_refuse_the_discovery_in_any_way(reports: Reports, discovery: bytes) -> None:
    """Whatever a server says that does not speak the newer protocol, it is connected with a handshake."""
    async with open_toolbox(reports, scripted_entry(server_discover=[discovery])) as toolbox:
        (info,) = toolbox.box.list_servers()
        execution = await toolbox.call("harm")

    assert (info.state, info.protocol) == (McpServerState.CONNECTED, "2025-06-18")
    assert execution.result == "done"


@pytest.mark.process
@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY])
async def test_every_older_version_is_spoken(reports: Reports, version: str) -> None:
    """A server that begins with a handshake may answer it with any of the older versions."""
    answer = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "old", "version": "1"}}
    async with open_toolbox(reports, scripted_entry(initialize=[a_result_line(answer)])) as toolbox:
        (info,) = toolbox.box.list_servers()
        execution = await toolbox.call("harm")

    assert (info.protocol, execution.result) == (version, "done")


@pytest.mark.process
@pytest.mark.parametrize(
    "hints",
    [
        {},
        {"ttlMs": 1000, "cacheScope": "public"},
        {"ttlMs": -1, "cacheScope": "nobody"},
        {"ttlMs": "long", "cacheScope": None, "nextCursor": 5},
        {"ttlMs": 1.5, "resultType": "complete"},
    ],
    ids=str,
)
async def test_a_newer_server_may_leave_out_what_calls_do_not_need(reports: Reports, hints: dict[str, Any]) -> None:
    """Missing and unreadable hints, and a result that does not say what it is, cost no tool and no result."""
    entry = modern_entry(
        server_discover=[a_result_line({"supportedVersions": [MODERN], "capabilities": {"tools": {}}} | hints)],
        tools_list=[a_result_line({"tools": [A_TOOL]} | hints)],
        tools_call=[a_result_line({"content": [{"type": "text", "text": "done"}]})],
    )
    async with open_toolbox(reports, entry) as toolbox:
        (info,) = toolbox.box.list_servers()
        execution = await toolbox.call("harm")

    assert (info.protocol, execution.status, execution.result) == (MODERN, ToolStatus.OK, "done")


@pytest.mark.process
async def test_a_result_of_an_unknown_kind_fails_its_call(reports: Reports) -> None:
    """A result of a kind that we did not ask for, such as a task, fails at once, and is never taken for an answer."""
    task = {"resultType": "task", "task": {"taskId": "t1", "status": "working"}}
    async with open_toolbox(reports, modern_entry(tools_call=[a_result_line(task)])) as toolbox:
        execution = await toolbox.call("harm")

    assert (execution.status, execution.result) == (ToolStatus.FAILED, "")


@pytest.mark.process
async def test_another_version_of_the_newer_kind_is_agreed(reports: Reports) -> None:
    """A server that refuses the first request and names a version that both speak is asked in that version."""
    supported = an_error_line(-32022, {"supported": ["2030-01-01", MODERN], "requested": MODERN})
    async with open_toolbox(reports, modern_entry(server_discover_1=[supported])) as toolbox:
        (info,) = toolbox.box.list_servers()

    assert info.protocol == MODERN


@pytest.mark.process
async def test_a_server_that_ends_at_an_unknown_message_is_started_again(reports: Reports) -> None:
    """An older server whose process ends at the first unknown message gets the handshake first, each time."""
    async with open_toolbox(reports, stdio_entry(reports, *OLD, "--fragile")) as toolbox:
        (info,) = toolbox.box.list_servers()
        pids = [int(await reports.wait_for("pid")) for _ in range(2)]
        os.kill(pids[-1], signal.SIGKILL)
        await wait_until(lambda: not toolbox.is_in_state(McpServerState.CONNECTED))
        await wait_until(lambda: toolbox.is_in_state(McpServerState.CONNECTED))
        pids += [int(await reports.wait_for("pid")) for _ in range(2)]
        (again,) = toolbox.box.list_servers()
        execution = await toolbox.call("read_pid")

    assert (info.state, info.protocol) == (McpServerState.CONNECTED, LEGACY)
    assert again.protocol == LEGACY
    assert int(execution.result) == pids[-1]


@pytest.mark.process
async def test_a_server_that_ignores_an_unknown_message_is_started_again(reports: Reports) -> None:
    """An older server that does not answer an unknown message is connected, also where the time for it is short."""
    entry = scripted_entry(server_discover=[])

    async def connect(seconds: float) -> McpServerInfo | None:
        async with open_toolbox(reports, replace(entry, connect_timeout_seconds=seconds)) as toolbox:
            (info,) = toolbox.box.list_servers()
        return info if info.state is McpServerState.CONNECTED else None

    info = await try_deadlines(connect, least_seconds=2.0)

    assert (info.state, info.protocol) == (McpServerState.CONNECTED, "2025-06-18")


@pytest.mark.process
@pytest.mark.parametrize(("before", "after"), [("--old", "--new"), ("--new", "--old")])
async def test_a_server_may_change_its_age(reports: Reports, before: str, after: str) -> None:
    """A server that comes back with the other age of the protocol is asked again which one it speaks."""
    versions = {"--old": LEGACY, "--new": MODERN}
    port = str(find_port())
    async with (
        serve_http(reports, before, "--port", port) as (old, url),
        open_toolbox(reports, http_entry(url)) as toolbox,
    ):
        first = toolbox.box.list_servers()[0].protocol
        old.send_signal(signal.SIGKILL)
        await old.wait()
        async with serve_http(reports, after, "--port", port):
            await toolbox.call("echo", text="this one finds the other age")
            await wait_until(lambda: toolbox.box.list_servers()[0].protocol == versions[after])
            execution = await toolbox.call("echo", text="hi")

    assert first == versions[before]
    assert (execution.status, execution.result) == (ToolStatus.OK, "hi")


@pytest.mark.process
@pytest.mark.parametrize(
    ("protocol", "first"),
    [
        ("auto", ["server/discover", "tools/list"]),
        (MODERN, ["tools/list"]),
        (LEGACY, ["initialize", "notifications/initialized", "tools/list"]),
    ],
)
async def test_the_version_is_agreed_once(reports: Reports, protocol: str, first: list[str]) -> None:
    """The server is asked for its versions once for a connection, and calls are one request each."""
    async with (
        serve_http(reports) as (_, url),
        balance([url]) as balancer,
        open_toolbox(reports, http_entry(balancer.url, protocol=protocol)) as toolbox,
    ):
        for _ in range(5):
            await toolbox.call("echo", text="hi")
    asked = [request.message["method"] for request in balancer.requests if request.message]

    assert [method for method in asked if method != "subscriptions/listen"] == [*first, *["tools/call"] * 5]


@pytest.mark.process
@pytest.mark.parametrize(("options", "method"), [(OLD, "initialize"), (("--new",), "server/discover")])
async def test_no_capability_is_declared(reports: Reports, options: tuple[str, ...], method: str) -> None:
    """What we say of ourselves names no capability, because there is nobody who answers a server's requests."""
    async with (
        serve_http(reports, *options) as (_, url),
        balance([url]) as balancer,
        open_toolbox(reports, http_entry(balancer.url)),
    ):
        pass
    (first,) = [request.message["params"] for request in balancer.requests if request.message.get("method") == method]

    named = first if method == "initialize" else first["_meta"]
    capabilities = [value for name, value in named.items() if name.lower().endswith("capabilities")]
    assert capabilities == [{}]


@pytest.mark.process
async def test_what_a_server_cannot_do_is_not_requested(reports: Reports) -> None:
    """A server that discovers no tools is not asked for their list, and has none."""
    bare = {"resultType": "complete", "supportedVersions": [MODERN], "ttlMs": 0, "cacheScope": "private"}
    entry = modern_entry(
        server_discover=[a_result_line(bare | {"capabilities": {"prompts": {}}})], tools_list=[an_error_line(-32601)]
    )
    async with open_toolbox(reports, entry) as toolbox:
        (info,) = toolbox.box.list_servers()

    assert (info.state, info.tools, info.protocol) == (McpServerState.CONNECTED, 0, MODERN)
