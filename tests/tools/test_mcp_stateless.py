"""MCP servers without sessions: each request stands alone, and may meet another process than the one before it."""

import asyncio
import json
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import ToolStatus
from reasoning_grpc.telemetry.tracing import read_trace_context
from reasoning_grpc.tools.mcp_server import McpServer
from tests.support.factories import a_context
from tests.support.mcp_balancer import balance
from tests.support.mcp_server import Reports, serve_http
from tests.support.mcp_toolbox import http_entry, open_toolbox, wait_until

CALLS = 8
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"


@pytest.mark.process
async def test_each_request_may_meet_another_process(reports: Reports) -> None:
    """Behind a load balancer every call works, says all that it must itself, and carries its own trace."""
    traces = [f"{number:032x}" for number in range(1, CALLS + 1)]
    contexts = [
        replace(a_context(), trace=read_trace_context({"traceparent": f"00-{trace}-b7ad6b7169203331-01"}))
        for trace in traces
    ]
    async with AsyncExitStack() as stack:
        urls = [(await stack.enter_async_context(serve_http(reports, "--new")))[1] for _ in range(2)]
        balancer = await stack.enter_async_context(balance(urls))
        async with open_toolbox(reports, http_entry(balancer.url)) as toolbox:
            pids = [await toolbox.call("read_pid", context=context) for context in contexts]
            described = await asyncio.gather(*(toolbox.call("describe_call", context=context) for context in contexts))
            waited = await toolbox.call("require_time", rounds=3)

    calls = [request for request in balancer.requests if request.message.get("method") == "tools/call"]
    assert len({pid.result for pid in pids}) == 2
    assert (waited.status, waited.result) == (ToolStatus.OK, "done")
    assert [json.loads(each.result)["headers"]["traceparent"].split("-")[1] for each in described] == traces
    assert {request.verb for request in balancer.requests} == {"POST"}
    assert not [request for request in balancer.requests if "mcp-session-id" in request.headers]
    assert balancer.methods["server/discover"] == 1
    assert len(calls) == 2 * CALLS + 4
    for request in calls:
        meta = request.message["params"]["_meta"]
        assert (meta[VERSION_KEY], meta[CAPABILITIES_KEY]) == ("2026-07-28", {})
        assert request.headers["mcp-protocol-version"] == "2026-07-28"
        assert request.headers["mcp-method"] == "tools/call"
        assert request.headers["mcp-name"] == request.message["params"]["name"]


@pytest.mark.process
async def test_an_older_server_without_sessions(reports: Reports) -> None:
    """Calls of an older server without sessions give their results, also beside each other and with progress."""
    async with (
        serve_http(reports, "--old", "--stateless") as (_, url),
        open_toolbox(reports, http_entry(url)) as toolbox,
    ):
        done = await asyncio.gather(
            *(toolbox.call("count_slowly", count=3, seconds=0.1) for _ in range(5)),
            toolbox.call("write_letters", characters=1_000_000),
            toolbox.call("fail"),
        )
        (info,) = toolbox.box.list_servers()

    assert info.protocol == "2025-11-25"
    assert [each.result for each in done[:5]] == ["counted"] * 5
    assert done[5].result.endswith("[cut: 1,000,000 characters in all]")
    assert done[6].status is ToolStatus.FAILED


@pytest.mark.process
async def test_arguments_are_sent_in_the_headers_that_a_tool_wants(reports: Reports) -> None:
    """An argument that the schema wants in a header goes there too, also where the list did not say so yet."""
    async with serve_http(reports) as (_, url), open_toolbox(reports, http_entry(url)) as toolbox:
        listed = await toolbox.call("find_region", region="north")
        await toolbox.call("move_region")
        moved = await toolbox.call("echo", text="hi")

    assert json.loads(listed.result) == {"argument": "north", "header": "north"}
    assert (moved.status, moved.result) == (ToolStatus.OK, "hi")


@pytest.mark.process
@pytest.mark.parametrize(("fresh_seconds", "is_read_again"), [("0", True), ("600", False)])
async def test_a_list_that_stays_fresh_is_not_read_again(
    reports: Reports, fresh_seconds: str, is_read_again: bool
) -> None:
    """The list is read at an interval, but not within the time for which the server says that it stays fresh."""
    async with serve_http(reports, "--fresh-seconds", fresh_seconds) as (_, url), balance([url]) as balancer:
        server = McpServer(http_entry(balancer.url), {}, check_seconds=0.05)
        server.start()
        await server.wait_for_first_connection()
        if is_read_again:
            await wait_until(lambda: balancer.methods["tools/list"] >= 3)
        else:
            await wait_until(lambda: balancer.methods["subscriptions/listen"] >= 1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await wait_until(lambda: balancer.methods["tools/list"] >= 2)
        await server.aclose()


@pytest.mark.process
async def test_changes_are_received_again_after_the_stream_was_cut(reports: Reports) -> None:
    """Where the stream of changes ends, it is opened again, and the list is read for what was missed."""
    async with serve_http(reports) as (_, url), balance([url], cut_first="subscriptions/listen") as balancer:
        server = McpServer(http_entry(balancer.url), {}, check_seconds=0.05)
        server.start()
        await server.wait_for_first_connection()
        await wait_until(lambda: balancer.methods["subscriptions/listen"] >= 2)
        await server.aclose()
