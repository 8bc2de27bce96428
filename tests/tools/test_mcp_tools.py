"""Tools of real MCP servers, over both transports and in both ages of the protocol."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from reasoning_grpc.cli.logs import set_up_logging
from reasoning_grpc.config import LogFormat, McpServerEntry, ToolEntry, ToolLimits
from reasoning_grpc.domain import (
    ANONYMOUS,
    McpServerState,
    Secret,
    ToolCall,
    ToolExecution,
    ToolSource,
    ToolState,
    ToolStatus,
)
from reasoning_grpc.telemetry.tracing import read_trace_context
from reasoning_grpc.tools import Toolbox
from reasoning_grpc.tools.mcp_server import McpServer
from reasoning_grpc.tools.mcp_tool import build_public_name
from tests.support.factories import a_context
from tests.support.mcp_server import SECRET, Reports, command, http_server, reports

NEW: Final[tuple[str, ...]] = ()
OLD: Final = ("--old",)
WAYS: Final = [("stdio", NEW), ("stdio", OLD), ("http", NEW), ("http", OLD)]
TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
TRACE: Final = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
PATIENCE_SECONDS: Final = 60.0


async def until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Served:
    """A toolbox with one MCP server named "test"."""

    box: Toolbox
    heard: Reports

    async def call(self, tool: str, *, context: Any = None, **arguments: Any) -> ToolExecution:
        """Calls one of the server's tools."""
        return await self.box.run(ToolCall("call_1", f"test__{tool}", json.dumps(arguments)), context or a_context())

    def has(self, name: str) -> bool:
        """Whether a tool is offered now."""
        return f"test__{name}" in [info.name for info in self.box.list_usable(ANONYMOUS)]

    def is_in(self, state: McpServerState) -> bool:
        """Whether the server is in this state."""
        return self.box.list_servers()[0].state is state


def stdio_entry(heard: Reports, *options: str, **settings: Any) -> McpServerEntry:
    """The entry of a server that is a process."""
    program, *arguments = command("stdio", heard, *options)
    return McpServerEntry(name="test", command=program, args=tuple(arguments), **settings)


@asynccontextmanager
async def toolbox(
    heard: Reports, entry: McpServerEntry, entries: dict[str, ToolEntry] | None = None
) -> AsyncIterator[Served]:
    """A toolbox with this server, once it was tried."""
    box = Toolbox(entries or {}, {entry.name: entry})
    await box.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await box.wait_for_first_attempts()
        yield Served(box, heard)
    finally:
        await box.aclose()


@pytest.fixture
async def heard() -> AsyncIterator[Reports]:
    """What servers report."""
    async with reports() as found:
        yield found


@pytest.fixture(params=WAYS, ids=["stdio", "stdio, old protocol", "http", "http, old protocol"])
async def served(request: pytest.FixtureRequest, heard: Reports) -> AsyncIterator[Served]:
    """A toolbox with a connected server, each way."""
    way, options = request.param
    async with AsyncExitStack() as stack:
        if way == "stdio":
            entry = stdio_entry(heard, *options)
        else:
            _, url = await stack.enter_async_context(http_server(heard, *options))
            entry = McpServerEntry(name="test", url=url)
        yield await stack.enter_async_context(toolbox(heard, entry))


@pytest.mark.process
async def test_tools_are_listed_and_called(served: Served) -> None:
    """Every kind of result arrives as text, and every kind of failure as an outcome."""
    infos = {info.name: info for info in served.box.list_usable(ANONYMOUS)}
    plain = await served.call("echo", text="hällo")
    structured = await served.call("add", a=1, b=2)
    bad = await served.call("add", a="1", b=2)
    media = await served.call("media")
    big = await served.call("big", characters=10_000_000)
    failed = await served.call("fail")
    odd = await served.call(build_public_name("", "odd.name/of a tool"))

    assert infos["test__echo"].source is ToolSource.MCP
    assert infos["test__echo"].mcp_server == "test"
    assert infos["test__echo"].description == "Say it again."
    assert json.loads(infos["test__add"].parameters_schema)["required"] == ["a", "b"]
    assert (plain.status, plain.result) == (ToolStatus.OK, "hällo")
    assert json.loads(structured.result) == {"sum": 3}
    assert (bad.status, bad.result) == (ToolStatus.INVALID_ARGUMENTS, "")
    assert media.result == "[image/png, 1234 bytes]\n[application/pdf, 5 bytes]\nword"
    assert big.result_truncated
    assert big.result == "x" * 20_000 + "... [cut: 10,000,000 characters in all]"
    assert failed.status is ToolStatus.FAILED
    assert failed.error == "The tool reported an error."
    assert failed.result.endswith("There is no such city.")
    assert odd.result == "odd"


@pytest.mark.process
async def test_the_server_sees_the_end_of_a_call(served: Served) -> None:
    """A call that runs out of time, and one that is cancelled, end in the server as well; others go on."""
    slow = asyncio.create_task(served.box.run(ToolCall("call_1", "test__hang", "{}"), a_context(), timeout_seconds=0.5))
    await served.heard.next("hanging")
    timed_out = await slow
    await served.heard.next("stopped")

    cancelled = asyncio.create_task(served.call("hang"))
    await served.heard.next("hanging")
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await served.heard.next("stopped")
    after = await served.call("echo", text="still there")

    assert timed_out.status is ToolStatus.TIMED_OUT
    assert after.result == "still there"


@pytest.mark.process
async def test_changes_of_the_list_are_heard(served: Served) -> None:
    """A tool that the server gets later is offered when the server says so."""
    before = served.has("late")
    await served.call("grow")
    await until(lambda: served.has("late"))
    late = await served.call("late")

    assert not before
    assert late.result == "late"


@pytest.mark.process
@pytest.mark.parametrize("options", [NEW, OLD])
async def test_a_process_that_is_killed_is_started_again(heard: Reports, options: tuple[str, ...]) -> None:
    """The call under way fails, calls meanwhile find no tool, and then it works again."""
    async with toolbox(heard, stdio_entry(heard, *options)) as served:
        process_id = int(await heard.next("pid"))
        call = asyncio.create_task(served.call("hang"))
        await heard.next("hanging")
        os.kill(process_id, signal.SIGKILL)
        failed = await call
        await until(lambda: not served.has("echo"))
        meanwhile = await served.call("echo", text="hi")
        states = {info.name: info.state for info in served.box.list_all()}
        restarted = int(await heard.next("pid"))
        await until(lambda: served.is_in(McpServerState.CONNECTED))
        again = await served.call("echo", text="hi")

    assert failed.status is ToolStatus.FAILED
    assert failed.error == "The connection to the tool's server was lost."
    assert meanwhile.status is ToolStatus.NOT_AVAILABLE
    assert states["test__echo"] is ToolState.UNAVAILABLE
    assert states["calculator"] is ToolState.AVAILABLE
    assert restarted != process_id
    assert again.result == "hi"


@pytest.mark.process
async def test_a_process_that_ends_by_itself_is_started_again(heard: Reports) -> None:
    """A crash in the middle of a call is that call's failure."""
    async with toolbox(heard, stdio_entry(heard)) as served:
        crashed = await served.call("crash")
        await until(lambda: not served.has("echo"))
        await until(lambda: served.has("echo"))
        again = await served.call("echo", text="hi")

    assert crashed.status is ToolStatus.FAILED
    assert again.result == "hi"


@pytest.mark.process
@pytest.mark.parametrize("options", [NEW, OLD])
async def test_an_http_server_that_comes_back(heard: Reports, options: tuple[str, ...]) -> None:
    """A server that was down is connected again; one that has forgotten the session too."""
    async with http_server(heard, *options) as (process, url):
        port = url.rpartition(":")[2].removesuffix("/mcp")
        async with toolbox(heard, McpServerEntry(name="test", url=url)) as served:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            failed = await served.call("echo", text="hi")
            await until(lambda: served.box.list_servers()[0].problem == "it cannot be reached")
            async with http_server(heard, *options, "--port", port) as (second, _):
                await until(lambda: served.has("echo"))
                back = await served.call("echo", text="hi")
                second.send_signal(signal.SIGKILL)
                await second.wait()
                async with http_server(heard, *options, "--port", port):
                    await served.call("echo", text="this one may find the session gone")
                    await until(lambda: served.has("echo"))
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        while (await served.call("echo", text="hi")).status is not ToolStatus.OK:  # noqa: ASYNC110
                            await asyncio.sleep(0.01)

    assert failed.status in (ToolStatus.FAILED, ToolStatus.NOT_AVAILABLE)
    assert back.result == "hi"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        pytest.param(
            {"command": "/no/such/program"},
            "its command cannot be started: No such file or directory",
            marks=pytest.mark.process,
        ),
        ({"url": "http://127.0.0.1:9/mcp"}, "it cannot be reached"),
        pytest.param({"command": "true"}, "the connection was lost", marks=pytest.mark.process),
    ],
)
async def test_a_server_that_is_down_harms_nobody(heard: Reports, settings: dict[str, Any], problem: str) -> None:
    """The toolbox starts without it, says why, and has its other tools."""
    async with toolbox(heard, McpServerEntry(name="test", **settings)) as served:
        (info,) = served.box.list_servers()
        other = await served.box.run(ToolCall("c", "calculator", '{"expression": "1"}'), a_context())

    assert (info.state, info.problem, info.tools) == (McpServerState.DOWN, problem, 0)
    assert other.status is ToolStatus.OK


@pytest.mark.process
async def test_a_server_that_does_not_answer(heard: Reports) -> None:
    """It is given up after its time, and its process is ended."""
    async with toolbox(heard, stdio_entry(heard, "--deaf", connect_timeout_seconds=2.0)) as served:
        process_id = int(await heard.next("pid"))
        problem = served.box.list_servers()[0].problem

    assert problem == "it does not answer in time"
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


@pytest.mark.process
async def test_closing_while_it_connects(heard: Reports) -> None:
    """A server that is still being waited for is ended with its process, and nothing else waits for it."""
    box = Toolbox({}, {"test": stdio_entry(heard, "--deaf")})
    await box.start()
    process_id = int(await heard.next("pid"))
    offered = [info.name for info in box.list_usable(ANONYMOUS)]
    await box.aclose()

    assert offered == ["calculator", "current_time"]
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


@pytest.mark.process
async def test_tokens_and_headers_go_out(heard: Reports, caplog: pytest.LogCaptureFixture) -> None:
    """The server's token, its headers and the trace of the call are sent; a wrong token is refused, and not told."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    context = replace(a_context(), trace=read_trace_context(TRACE))
    async with http_server(heard, "--token", "right-token") as (_, url):
        entry = McpServerEntry(
            name="test",
            url=url,
            bearer_token=Secret("right-token"),
            headers={"X-Team": "blue"},
            secret_headers={"X-Key": Secret("secret-key")},
        )
        async with toolbox(heard, entry) as served:
            seen = json.loads((await served.call("seen", context=context)).result)
            without = json.loads((await served.call("seen")).result)
        async with toolbox(heard, replace(entry, bearer_token=Secret("wrong-token"))) as refused:
            (info,) = refused.box.list_servers()

    assert seen["headers"]["authorization"] == "Bearer right-token"
    assert (seen["headers"]["x-team"], seen["headers"]["x-key"]) == ("blue", "secret-key")
    assert seen["headers"]["traceparent"].split("-")[1] == TRACE_ID
    assert "traceparent" not in without["headers"]
    assert info.problem == "it answers HTTP 401"
    for secret in ("right-token", "wrong-token", "secret-key", SECRET):
        assert secret not in caplog.text
        assert secret not in repr(entry)


@pytest.mark.process
async def test_the_trace_goes_into_a_process(heard: Reports) -> None:
    """Where there are no headers, the trace is in the message."""
    async with toolbox(heard, stdio_entry(heard)) as served:
        seen = await served.call("seen", context=replace(a_context(), trace=read_trace_context(TRACE)))

    assert json.loads(seen.result)["meta"]["traceparent"].split("-")[1] == TRACE_ID


@pytest.mark.process
async def test_a_process_gets_the_variables_that_are_named(heard: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the entry does not name stays here."""
    monkeypatch.setenv("SHOWN", "another value")
    monkeypatch.setenv("HIDDEN", "secret")
    async with toolbox(heard, stdio_entry(heard, env={"SHOWN": Secret("shown")})) as served:
        shown = await served.call("variable", name="SHOWN")
        hidden = await served.call("variable", name="HIDDEN")

    assert (shown.result, hidden.result) == ("shown", "")


@pytest.mark.process
async def test_the_configuration_narrows_and_bounds(heard: Reports) -> None:
    """Tools are picked by the server's entry, switched off, described and bounded by entries of their own."""
    entry = stdio_entry(heard, tools=frozenset({"echo", "big", "add"}), limits=ToolLimits(max_result_characters=10))
    entries = {
        "test__add": ToolEntry(name="test__add", enabled=False),
        "test__echo": ToolEntry(name="test__echo", description="Repeat.", max_result_characters=20),
    }
    narrow = replace(ANONYMOUS, allowed_tools=frozenset({"test__big"}))
    async with toolbox(heard, entry, entries) as served:
        offered = {info.name: info for info in served.box.list_usable(ANONYMOUS) if info.mcp_server}
        echo = await served.call("echo", text="y" * 100)
        big = await served.call("big", characters=100)
        off = await served.call("add", a=1, b=2)
        left_out = await served.call("fail")
        for_narrow = [info.name for info in served.box.list_usable(narrow)]
        forbidden = await served.call("echo", context=replace(a_context(), caller=narrow), text="hi")

    assert list(offered) == ["test__big", "test__echo"]
    assert offered["test__echo"].description == "Repeat."
    assert echo.result == "y" * 20 + "... [cut: 100 characters in all]"
    assert big.result == "x" * 10 + "... [cut: 100 characters in all]"
    assert for_narrow == ["test__big"]
    assert {call.status for call in (off, left_out, forbidden)} == {ToolStatus.NOT_AVAILABLE}


@pytest.mark.process
@pytest.mark.parametrize("options", [NEW, OLD, ("--json",)], ids=["events", "old protocol", "json"])
async def test_an_answer_over_http_is_bounded(heard: Reports, options: tuple[str, ...]) -> None:
    """An answer that is too long to be held in memory is that call's failure."""
    async with http_server(heard, *options) as (_, url), toolbox(heard, McpServerEntry(name="test", url=url)) as served:
        failed = await served.call("big", characters=33 * 1024 * 1024)
        await until(lambda: served.has("echo"))
        after = await served.call("echo", text="hi")

    assert failed.status is ToolStatus.FAILED
    assert after.result == "hi"


@pytest.mark.process
@pytest.mark.parametrize("way", ["stdio", "http"])
async def test_nothing_is_left_after_closing(heard: Reports, way: str) -> None:
    """Tasks, file descriptors and the process are gone, and a call under way has ended."""
    async with AsyncExitStack() as stack:
        entry = stdio_entry(heard)
        if way == "http":
            _, url = await stack.enter_async_context(http_server(heard))
            entry = McpServerEntry(name="test", url=url)
        before = len(os.listdir("/dev/fd"))
        async with toolbox(heard, entry) as served:
            process_id = int(await heard.next("pid")) if way == "stdio" else 0
            call = asyncio.create_task(served.call("hang"))
            await heard.next("hanging")
        outcome = await call
        names = [task.get_name() for task in asyncio.all_tasks()]
        if way == "stdio":
            with pytest.raises(ProcessLookupError):
                os.kill(process_id, 0)
            await heard.closed()
        after = len(os.listdir("/dev/fd"))

    assert not [name for name in names if "mcp" in name or "test" in name.removeprefix("Task-")]
    assert after == before
    assert outcome.status is ToolStatus.CANCELLED


@pytest.mark.process
async def test_closing_meets_a_reading_of_the_list(heard: Reports, caplog: pytest.LogCaptureFixture) -> None:
    """A server whose list is being read when it is closed is closed for good."""
    async with http_server(heard) as (_, url):
        for _ in range(5):
            server = McpServer(McpServerEntry(name="test", url=url), {}, check_seconds=0.001)
            server.start()
            await server.wait_for_first_attempt()
            assert server.info().state is McpServerState.CONNECTED
            await server.aclose()

    assert not caplog.messages
    assert not [task for task in asyncio.all_tasks() if "mcp" in task.get_name()]


@pytest.mark.parametrize(
    ("own_name", "name"),
    [
        ("search", "git__search"),
        ("search-all_2", "git__search-all_2"),
        ("search.all", "git__search_all_"),
        ("search/all", "git__search_all_"),
        ("x" * 59, "git__" + "x" * 59),
        ("x" * 60, "git__" + "x" * 50 + "_"),
        ("ü", "git___"),
    ],
)
def test_names_fit(own_name: str, name: str) -> None:
    """A name has what models take, and a digest where something of it is lost."""
    public = build_public_name("git__", own_name)

    assert public.startswith(name)
    assert len(public) <= 64
    assert (public == name) == (not name.endswith("_"))


def test_names_do_not_meet() -> None:
    """Names that would look alike differ."""
    assert len({build_public_name("git__", name) for name in ("a.b", "a/b", "a_b", "x" * 60, "x" * 61)}) == 5


def test_the_sdk_logs_nothing_of_calls() -> None:
    """Its loggers, which write calls and results, are silenced whatever the level."""
    before = {name: logging.getLogger(name).level for name in ("mcp", "client", "httpx2")}
    root, handlers = logging.getLogger().level, logging.getLogger().handlers[:]
    try:
        set_up_logging("debug", LogFormat.JSON)

        for name in ("mcp.client.streamable_http", "mcp.client.stdio", "client", "httpx2"):
            assert not logging.getLogger(name).isEnabledFor(logging.ERROR)
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(root)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
