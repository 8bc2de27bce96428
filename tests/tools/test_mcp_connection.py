"""The connection to an MCP server: it is renewed when it is lost, and leaves nothing behind when it is closed."""

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack
from typing import Any

import pytest

from reasoning_grpc.config import McpServerEntry, UpstreamProxyEntry
from reasoning_grpc.domain import ANONYMOUS, McpServerState, Secret, ToolCall, ToolState, ToolStatus
from reasoning_grpc.tools import Toolbox
from reasoning_grpc.tools.mcp_server import McpServer
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_context
from tests.support.forward_proxy import ForwardProxy
from tests.support.mcp_server import Reports, serve_http
from tests.support.mcp_toolbox import NEW, OLD, PATIENCE_SECONDS, open_toolbox, stdio_entry, wait_until
from tests.support.ports import find_port


@pytest.mark.process
@pytest.mark.parametrize("options", [NEW, OLD])
async def test_a_killed_process_is_restarted(reports: Reports, options: tuple[str, ...]) -> None:
    """When the server's process is killed, the running call fails; its tools are usable again after the restart."""
    async with open_toolbox(reports, stdio_entry(reports, *options)) as toolbox:
        process_id = int(await reports.wait_for("pid"))
        call = asyncio.create_task(toolbox.call("hang"))
        await reports.wait_for("hanging")
        os.kill(process_id, signal.SIGKILL)
        failed = await call
        await wait_until(lambda: not toolbox.is_usable("echo"))
        meanwhile = await toolbox.call("echo", text="hi")
        states = {info.name: info.state for info in toolbox.box.list_all()}
        restarted = int(await reports.wait_for("pid"))
        await wait_until(lambda: toolbox.is_in_state(McpServerState.CONNECTED))
        again = await toolbox.call("echo", text="hi")

    assert failed.status is ToolStatus.FAILED
    assert failed.error == "The connection to the tool's server was lost."
    assert meanwhile.status is ToolStatus.NOT_AVAILABLE
    assert states["test__echo"] is ToolState.UNAVAILABLE
    assert states["calculator"] is ToolState.AVAILABLE
    assert restarted != process_id
    assert again.result == "hi"


@pytest.mark.process
async def test_a_crashed_process_is_restarted(reports: Reports) -> None:
    """A crash of the server's process during a call fails that call only."""
    async with open_toolbox(reports, stdio_entry(reports)) as toolbox:
        crashed = await toolbox.call("crash")
        await wait_until(lambda: not toolbox.is_usable("echo"))
        await wait_until(lambda: toolbox.is_usable("echo"))
        again = await toolbox.call("echo", text="hi")

    assert crashed.status is ToolStatus.FAILED
    assert again.result == "hi"


@pytest.mark.process
@pytest.mark.parametrize("options", [NEW, OLD])
async def test_an_http_server_is_connected_again(reports: Reports, options: tuple[str, ...]) -> None:
    """A server that was down is connected again, also where the new server does not know the old session."""
    port = str(find_port())
    async with (
        serve_http(reports, *options, "--port", port) as (process, url),
        open_toolbox(reports, McpServerEntry(name="test", url=url)) as toolbox,
    ):
        process.send_signal(signal.SIGKILL)
        await process.wait()
        failed = await toolbox.call("echo", text="hi")
        await wait_until(lambda: toolbox.box.list_servers()[0].problem == "it cannot be reached")
        async with serve_http(reports, *options, "--port", port) as (second, _):
            await wait_until(lambda: toolbox.is_usable("echo"))
            back = await toolbox.call("echo", text="hi")
            second.send_signal(signal.SIGKILL)
            await second.wait()
            async with serve_http(reports, *options, "--port", port):
                await toolbox.call("echo", text="this one may find the session gone")
                await wait_until(lambda: toolbox.is_usable("echo"))
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while (await toolbox.call("echo", text="hi")).status is not ToolStatus.OK:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

    assert failed.status in (ToolStatus.FAILED, ToolStatus.NOT_AVAILABLE)
    assert back.result == "hi"


@pytest.mark.process
@pytest.mark.parametrize("options", [NEW, OLD])
async def test_a_server_is_reached_through_the_proxy(reports: Reports, options: tuple[str, ...]) -> None:
    """Messages to a server over HTTP go through the HTTP proxy of its entry, which alone gets the credentials."""
    async with serve_http(reports, *options) as (_, url):
        port = int(url.rpartition(":")[2].removesuffix("/mcp"))
        async with ForwardProxy({"127.0.0.1": port}, credentials="server:pass word") as proxy:
            behind = UpstreamProxyEntry(url=proxy.url, credentials=Secret("server:pass word"))
            entry = McpServerEntry(name="test", url=url, upstream_proxy=behind)
            async with open_toolbox(reports, entry) as toolbox:
                answer = await toolbox.call("echo", text="hi")

    assert answer.result == "hi"
    assert {request.target for request in proxy.requests} == {url}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        pytest.param(
            {"command": "/no/such/program"},
            "its command '/no/such/program' cannot be started: No such file or directory",
            marks=pytest.mark.process,
        ),
        ({"url": "http://127.0.0.1:9/mcp"}, "it cannot be reached"),
        pytest.param(
            {"command": "true"},
            'its process closed the connection; with log_level = "debug" the log has what it wrote',
            marks=pytest.mark.process,
        ),
    ],
)
async def test_other_tools_work_while_a_server_is_down(
    reports: Reports, settings: dict[str, Any], problem: str
) -> None:
    """A toolbox whose server is down starts, says why the server is down, and runs its other tools."""
    async with open_toolbox(reports, McpServerEntry(name="test", **settings)) as toolbox:
        (info,) = toolbox.box.list_servers()
        other = await toolbox.box.run(ToolCall("c", "calculator", '{"expression": "1"}'), a_context())

    assert (info.state, info.problem, info.tools) == (McpServerState.DOWN, problem, 0)
    assert other.status is ToolStatus.OK


async def test_the_log_names_the_required_servers_for_which_readiness_waits(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits for required servers finds their names in the log; closing the toolbox ends the wait."""
    caplog.set_level(logging.INFO)
    entry = McpServerEntry(name="test", url="http://127.0.0.1:9/mcp", required=True)

    async with open_toolbox(reports, entry) as toolbox:
        waiting = asyncio.create_task(toolbox.box.wait_for_required())
        await wait_until(lambda: "waiting for required mcp servers" in caplog.messages)
    await waiting

    (line,) = (vars(record) for record in caplog.records if record.message == "waiting for required mcp servers")
    assert line["mcp_servers"] == ["test"]


@pytest.mark.process
async def test_a_silent_server_is_abandoned(reports: Reports) -> None:
    """A server that does not answer in time is down, and its process is ended."""

    async def connect(seconds: float) -> tuple[int, str] | None:
        process_id = asyncio.ensure_future(reports.wait_for("pid"))
        entry = stdio_entry(reports, "--silent", connect_timeout_seconds=seconds)
        async with open_toolbox(reports, entry) as toolbox:
            problem = toolbox.box.list_servers()[0].problem
        if process_id.done():
            return int(process_id.result()), problem
        process_id.cancel()
        return None

    process_id, problem = await try_deadlines(connect, least_seconds=2.0)

    assert problem == "it does not answer in time"
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


@pytest.mark.process
async def test_closing_ends_a_server_that_connects(reports: Reports) -> None:
    """Closing the toolbox ends a server that has not answered yet; meanwhile, the other tools are usable."""
    box = Toolbox({}, {"test": stdio_entry(reports, "--silent")})
    await box.start()
    process_id = int(await reports.wait_for("pid"))
    usable = [info.name for info in box.list_usable(ANONYMOUS)]
    await box.aclose()

    assert usable == ["calculator", "current_time"]
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


@pytest.mark.process
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_nothing_is_left_after_closing(reports: Reports, transport: str) -> None:
    """After closing, the tasks, file descriptors and the process are gone, and the running call has ended."""
    async with AsyncExitStack() as stack:
        entry = stdio_entry(reports)
        if transport == "http":
            _, url = await stack.enter_async_context(serve_http(reports))
            entry = McpServerEntry(name="test", url=url)
        before = len(os.listdir("/dev/fd"))
        async with open_toolbox(reports, entry) as toolbox:
            process_id = int(await reports.wait_for("pid")) if transport == "stdio" else 0
            call = asyncio.create_task(toolbox.call("hang"))
            await reports.wait_for("hanging")
        outcome = await call
        names = [task.get_name() for task in asyncio.all_tasks()]
        if transport == "stdio":
            with pytest.raises(ProcessLookupError):
                os.kill(process_id, 0)
            await reports.wait_until_closed()
        await wait_until(lambda: len(os.listdir("/dev/fd")) <= before)

    assert not [name for name in names if "mcp" in name or "test" in name.removeprefix("Task-")]
    assert outcome.status is ToolStatus.CANCELLED


@pytest.mark.process
async def test_closing_during_a_reading_of_the_list(reports: Reports, caplog: pytest.LogCaptureFixture) -> None:
    """A server that is closed while its list is being read stays closed."""
    async with serve_http(reports) as (_, url):
        for _ in range(5):
            server = McpServer(McpServerEntry(name="test", url=url), {}, check_seconds=0.001)
            server.start()
            await server.wait_for_first_attempt()
            assert server.info().state is McpServerState.CONNECTED
            await server.aclose()

    assert not caplog.messages
    assert not [task for task in asyncio.all_tasks() if "mcp" in task.get_name()]
