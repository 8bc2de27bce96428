"""MCP servers that are not connected: a request waits a limited time for them, and is told which tools it lacks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import Config, McpServerEntry
from reasoning_grpc.server.server import Server
from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import agent_config, collect_events, list_executions, plan_call, reasoning_request, write_plan
from tests.support.health import NOT_SERVING, SERVING, check_health
from tests.support.mcp_server import Reports, open_reports
from tests.support.mcp_toolbox import stdio_entry
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream

UNREACHABLE = McpServerEntry(name="gone", url="http://127.0.0.1:9/mcp")


@pytest.fixture
async def reports() -> AsyncIterator[Reports]:
    """Receives the reports of servers."""
    async with open_reports() as received:
        yield received


def mcp_config(upstream: FakeUpstream, *entries: McpServerEntry, **settings: Any) -> Config:
    """Builds a configuration with these MCP servers and no other tools than the built-in ones."""
    return replace(agent_config(upstream, tools={}, **settings), mcp_servers={entry.name: entry for entry in entries})


def list_settings(events: Any) -> list[tuple[str, str, str, str]]:
    """Returns the effective settings of a call, without their field and with the name of their cause."""
    started = events[0].started
    return [
        (each.requested, each.effective, completion_pb2.EffectiveSettingCause.Name(each.cause)[24:], each.reason)
        for each in started.effective_settings
        if each.field == "agent.allowed_tools"
    ]


@pytest.mark.process
@pytest.mark.parametrize("allowed", [None, ["test__echo"]], ids=["all tools", "named"])
async def test_a_request_waits_for_a_server_that_starts(
    upstream: FakeUpstream, reports: Reports, allowed: list[str] | None
) -> None:
    """A request that comes while an MCP server starts has the tools of this server."""
    upstream.reply(write_plan(plan_call("test__echo", text="hi")))
    upstream.reply(write_plan())
    upstream.reply("Done.")
    agent = {} if allowed is None else {"allowed_tools": allowed}
    entry = stdio_entry(reports, "--held", connect_timeout_seconds=60.0)
    config = mcp_config(upstream, entry, agent_tool_list_timeout_seconds=60.0)

    async with serving(config) as running:
        call = asyncio.create_task(collect_events(running, reasoning_request(agent=agent)))
        await reports.wait_for("pid")
        is_waiting = not upstream.requests
        reports.release()
        events = await call

    assert is_waiting
    assert [execution.result for execution in list_executions(events)] == ["hi"]
    assert list_settings(events) == []


@pytest.mark.process
@pytest.mark.parametrize(
    ("allowed", "requested", "effective"),
    [
        (None, "all tools", "all tools but those of test"),
        (["test__echo", "calculator"], "calculator, test__echo", "calculator"),
        (["test__echo"], "test__echo", "none"),
    ],
)
async def test_the_wait_has_a_limit(
    upstream: FakeUpstream, reports: Reports, allowed: list[str] | None, requested: str, effective: str
) -> None:
    """After the configured wait the answer is made without the tools, and the caller is told whose tools it lacks."""
    upstream.reply(write_plan() if effective != "none" else '{"thought": "", "next_action": "finish"}')
    upstream.reply("Done.")
    agent = {} if allowed is None else {"allowed_tools": allowed}
    config = mcp_config(upstream, stdio_entry(reports, "--held"), agent_tool_list_timeout_seconds=0.1)

    async with serving(config) as running:
        events = await collect_events(running, reasoning_request(agent=agent))
        reports.release()

    assert list_settings(events) == [
        (requested, effective, "TOOLS_UNAVAILABLE", "There is no connection to the MCP server test now.")
    ]


async def test_names_of_a_configured_server_are_never_wrong(upstream: FakeUpstream) -> None:
    """A name with the prefix of an MCP server that is down is no mistake of the caller; any other unknown name is."""
    upstream.reply(write_plan())
    upstream.reply("Done.")

    async with serving(mcp_config(upstream, UNREACHABLE)) as running:
        events = await collect_events(running, reasoning_request(agent={"allowed_tools": ["gone__any", "calculator"]}))
        with pytest.raises(CallFailed) as failed:
            await collect_events(running, reasoning_request(agent={"allowed_tools": ["gon__any", "gone_any"]}))

    assert [each[:3] for each in list_settings(events)] == [
        ("calculator, gone__any", "calculator", "TOOLS_UNAVAILABLE")
    ]
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert len(failed.value.violations) == 2


async def test_requests_that_need_no_server_report_none(upstream: FakeUpstream) -> None:
    """A request that cannot use the tools of an MCP server neither waits for it nor reports it."""
    async with serving(mcp_config(upstream, UNREACHABLE)) as running:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"allowed_tools": ["calculator"]}, write_plan()),
            ({"max_tool_calls": 0}, '{"thought": "", "next_action": "finish"}'),
        ]
        for agent, plan in cases:
            upstream.reply(plan)
            upstream.reply("Done.")
            events = await collect_events(running, reasoning_request(agent=agent))
            assert list_settings(events) == []


@pytest.mark.process
async def test_readiness_waits_for_required_servers(upstream: FakeUpstream, reports: Reports) -> None:
    """The server is alive and not ready until a required MCP server has connected once; others delay nothing."""
    config = mcp_config(upstream, stdio_entry(reports, "--held", required=True), UNREACHABLE)
    server = Server(config)
    starting = asyncio.create_task(server.start())
    try:
        await reports.wait_for("pid")
        async with grpc.aio.insecure_channel(server.address) as channel:
            before = await check_health(channel, "readiness")
            is_starting = not starting.done()
            reports.release()
            await starting
            after = await check_health(channel, "readiness")
    finally:
        starting.cancel()
        await server.stop(grace_seconds=0)

    assert is_starting
    assert (before, after) == (NOT_SERVING, SERVING)
