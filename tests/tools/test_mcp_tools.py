"""Tools of real MCP servers, over both transports, with the new protocol and with the old one."""

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

import pytest
from msgspec.structs import replace

from reasoning_grpc.cli.logs import set_up_logging
from reasoning_grpc.config import LogFormat, McpServerEntry, ToolEntry, ToolLimits
from reasoning_grpc.domain import ANONYMOUS, Secret, ToolCall, ToolExecution, ToolSource, ToolStatus
from reasoning_grpc.telemetry.tracing import read_trace_context
from reasoning_grpc.tools.mcp_tool import build_public_name
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_context
from tests.support.mcp_server import SECRET, Reports, serve_http
from tests.support.mcp_toolbox import NEW, OLD, ConnectedToolbox, open_toolbox, stdio_entry, wait_until

TRANSPORTS: Final = [("stdio", NEW), ("stdio", OLD), ("http", NEW), ("http", OLD)]
LIMIT_SECONDS: Final = 1.5
"""The limit of the tools that report progress and that hang."""
TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
TRACE: Final = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


OpenLimited = Callable[[float], AbstractAsyncContextManager[ConnectedToolbox]]


@pytest.fixture(params=TRANSPORTS, ids=["stdio", "stdio, old protocol", "http", "http, old protocol"])
def open_limited(request: pytest.FixtureRequest, reports: Reports) -> OpenLimited:
    """Opens a toolbox with a connected server, for each transport and protocol.

    It takes the limit of the tools that report progress and that hang.
    """
    transport, options = request.param

    @asynccontextmanager
    async def open_limited(limit_seconds: float) -> AsyncIterator[ConnectedToolbox]:
        async with AsyncExitStack() as stack:
            if transport == "stdio":
                entry = stdio_entry(reports, *options)
            else:
                _, url = await stack.enter_async_context(serve_http(reports, *options))
                entry = McpServerEntry(name="test", url=url)
            limited = {
                name: ToolEntry(name=name, timeout_seconds=limit_seconds)
                for name in ("test__count_slowly", "test__hang")
            }
            yield await stack.enter_async_context(open_toolbox(reports, entry, limited))

    return open_limited


@pytest.fixture
async def toolbox(open_limited: OpenLimited) -> AsyncIterator[ConnectedToolbox]:
    """A toolbox with a connected server, for each transport and protocol."""
    async with open_limited(LIMIT_SECONDS) as opened:
        yield opened


@pytest.mark.process
async def test_results_and_failures_reach_the_caller(toolbox: ConnectedToolbox) -> None:
    """Each kind of result of a server's tool becomes text, and each kind of failure an outcome."""
    infos = {info.name: info for info in toolbox.box.list_usable(ANONYMOUS)}
    plain = await toolbox.call("echo", text="hällo")
    structured = await toolbox.call("add", a=1, b=2)
    bad = await toolbox.call("add", a="1", b=2)
    media = await toolbox.call("return_media")
    big = await toolbox.call("write_letters", characters=10_000_000)
    failed = await toolbox.call("fail")
    odd = await toolbox.call(build_public_name("", "odd.name/of a tool"))

    assert infos["test__echo"].source is ToolSource.MCP
    assert infos["test__echo"].mcp_server == "test"
    assert infos["test__echo"].description == "Return the text."
    assert json.loads(infos["test__add"].parameters_schema)["required"] == ["a", "b"]
    assert (plain.status, plain.result) == (ToolStatus.OK, "hällo")
    assert json.loads(structured.result) == {"sum": 3}
    assert (bad.status, bad.result) == (ToolStatus.INVALID_ARGUMENTS, "")
    assert media.result == "[image/png, 1234 bytes]\n[application/pdf, file:///a.bin, 5 bytes]\nword"
    assert big.result_truncated
    assert big.result == "x" * 20_000 + "... [cut: 10,000,000 characters in all]"
    assert failed.status is ToolStatus.FAILED
    assert failed.error == "The tool reported an error."
    assert failed.result.endswith("There is no such city.")
    assert odd.result == "odd"


@pytest.mark.process
async def test_a_stopped_call_ends_in_the_server(toolbox: ConnectedToolbox) -> None:
    """A call that times out or is cancelled ends in the server as well, and other calls still work."""
    slow = asyncio.create_task(
        toolbox.box.run(ToolCall("call_1", "test__hang", "{}"), a_context(), timeout_seconds=4.0)
    )
    await toolbox.reports.wait_for("hanging")
    timed_out = await slow
    await toolbox.reports.wait_for("stopped")

    cancelled = asyncio.create_task(toolbox.call("hang"))
    await toolbox.reports.wait_for("hanging")
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await toolbox.reports.wait_for("stopped")
    after = await toolbox.call("echo", text="still there")

    assert timed_out.status is ToolStatus.TIMED_OUT
    assert after.result == "still there"


@pytest.mark.process
async def test_progress_renews_the_time_limit_of_a_tool(open_limited: OpenLimited) -> None:
    """A tool that reports progress may take longer than its own limit, which ends a tool that reports nothing."""

    async def count(limit_seconds: float) -> tuple[ToolExecution, ToolExecution] | None:
        async with open_limited(limit_seconds) as toolbox:
            arguments = json.dumps({"count": 8, "seconds": limit_seconds / 6})
            slow, silent = await asyncio.gather(
                toolbox.box.run(ToolCall("call_1", "test__count_slowly", arguments), a_context(), timeout_seconds=60.0),
                toolbox.box.run(ToolCall("call_2", "test__hang", "{}"), a_context(), timeout_seconds=60.0),
            )
        is_longer = slow.duration_seconds > limit_seconds
        return (slow, silent) if slow.status is ToolStatus.OK and is_longer else None

    slow, silent = await try_deadlines(count)

    assert slow.result == "counted"
    assert silent.status is ToolStatus.TIMED_OUT
    assert silent.duration_seconds < 60


@pytest.mark.process
async def test_progress_does_not_renew_the_absolute_limit(toolbox: ConnectedToolbox) -> None:
    """A tool that reports progress for ever ends at the limit of its caller."""
    arguments = json.dumps({"count": 1_000_000, "seconds": 0.05})
    endless = await toolbox.box.run(
        ToolCall("call_1", "test__count_slowly", arguments), a_context(), timeout_seconds=0.5
    )
    unlimited = await toolbox.box.run(ToolCall("call_2", "test__count_slowly", arguments), a_context())

    assert endless.status is ToolStatus.TIMED_OUT
    assert unlimited.status is ToolStatus.TIMED_OUT


@pytest.mark.process
async def test_a_tool_that_needs_more_time_is_called_again(reports: Reports) -> None:
    """A tool that ends its call with nothing but a state gets it back with the next call, within its time limit."""

    async def require_time(seconds: float) -> tuple[ToolExecution, ToolExecution] | None:
        limited = {"test__require_time": ToolEntry(name="test__require_time", timeout_seconds=seconds)}
        async with open_toolbox(reports, stdio_entry(reports), limited) as toolbox:
            finished = await toolbox.call("require_time", rounds=2)
            endless = await toolbox.call("require_time", rounds=1_000_000)
        return (finished, endless) if finished.status is not ToolStatus.TIMED_OUT else None

    finished, endless = await try_deadlines(require_time)

    assert (finished.status, finished.result) == (ToolStatus.OK, "done")
    assert endless.status is ToolStatus.TIMED_OUT


@pytest.mark.process
async def test_a_tool_that_is_added_later_becomes_usable(toolbox: ConnectedToolbox) -> None:
    """A tool that the server adds while it runs can be called after the server reports the change."""
    before = toolbox.is_usable("late")
    await toolbox.call("grow")
    await wait_until(lambda: toolbox.is_usable("late"))
    late = await toolbox.call("late")

    assert not before
    assert late.result == "late"


@pytest.mark.process
async def test_tokens_and_headers_are_sent(reports: Reports, caplog: pytest.LogCaptureFixture) -> None:
    """The bearer token, the headers and the trace of a call reach the server, and no secret appears in the log."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    context = replace(a_context(), trace=read_trace_context(TRACE))
    async with serve_http(reports, "--token", "right-token") as (_, url):
        entry = McpServerEntry(
            name="test",
            url=url,
            bearer_token=Secret("right-token"),
            headers={"X-Team": "blue"},
            secret_headers={"X-Key": Secret("secret-key")},
        )
        async with open_toolbox(reports, entry) as toolbox:
            description = json.loads((await toolbox.call("describe_call", context=context)).result)
            without_trace = json.loads((await toolbox.call("describe_call")).result)
        async with open_toolbox(reports, dataclasses.replace(entry, bearer_token=Secret("wrong-token"))) as refused:
            (info,) = refused.box.list_servers()

    assert description["headers"]["authorization"] == "Bearer right-token"
    assert (description["headers"]["x-team"], description["headers"]["x-key"]) == ("blue", "secret-key")
    assert description["headers"]["traceparent"].split("-")[1] == TRACE_ID
    assert "traceparent" not in without_trace["headers"]
    assert info.problem == "it answers HTTP 401"
    for secret in ("right-token", "wrong-token", "secret-key", SECRET):
        assert secret not in caplog.text
        assert secret not in repr(entry)


@pytest.mark.process
async def test_a_process_receives_the_trace_in_the_message(reports: Reports) -> None:
    """The trace of a call is part of the message where the transport has no headers."""
    async with open_toolbox(reports, stdio_entry(reports)) as toolbox:
        description = await toolbox.call("describe_call", context=replace(a_context(), trace=read_trace_context(TRACE)))

    assert json.loads(description.result)["meta"]["traceparent"].split("-")[1] == TRACE_ID


@pytest.mark.process
async def test_a_process_receives_only_configured_variables(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's process receives the variables of its entry, and no others of this process."""
    monkeypatch.setenv("NAMED", "another value")
    monkeypatch.setenv("OTHER", "secret")
    async with open_toolbox(reports, stdio_entry(reports, env={"NAMED": Secret("visible")})) as toolbox:
        named = await toolbox.call("read_variable", name="NAMED")
        other = await toolbox.call("read_variable", name="OTHER")

    assert (named.result, other.result) == ("visible", "")


@pytest.mark.process
async def test_entries_select_and_limit_tools(reports: Reports) -> None:
    """The server's entry selects tools; entries of single tools turn them off, describe and limit them."""
    entry = stdio_entry(
        reports, tools=frozenset({"echo", "write_letters", "add"}), limits=ToolLimits(max_result_characters=10)
    )
    entries = {
        "test__add": ToolEntry(name="test__add", enabled=False),
        "test__echo": ToolEntry(name="test__echo", description="Repeat.", max_result_characters=20),
    }
    narrow = replace(ANONYMOUS, allowed_tools=frozenset({"test__write_letters"}))
    async with open_toolbox(reports, entry, entries) as toolbox:
        usable = {info.name: info for info in toolbox.box.list_usable(ANONYMOUS) if info.mcp_server}
        echo = await toolbox.call("echo", text="y" * 100)
        big = await toolbox.call("write_letters", characters=100)
        turned_off = await toolbox.call("add", a=1, b=2)
        left_out = await toolbox.call("fail")
        for_narrow = [info.name for info in toolbox.box.list_usable(narrow)]
        forbidden = await toolbox.call("echo", context=replace(a_context(), caller=narrow), text="hi")

    assert list(usable) == ["test__echo", "test__write_letters"]
    assert usable["test__echo"].description == "Repeat."
    assert echo.result == "y" * 20 + "... [cut: 100 characters in all]"
    assert big.result == "x" * 10 + "... [cut: 100 characters in all]"
    assert for_narrow == ["test__write_letters"]
    assert {call.status for call in (turned_off, left_out, forbidden)} == {ToolStatus.NOT_AVAILABLE}


@pytest.mark.process
async def test_an_entry_says_which_tools_need_approval(reports: Reports) -> None:
    """The server's entry holds for all of its tools, and an entry of a single tool precedes it."""
    entry = stdio_entry(reports, tools=frozenset({"echo", "add"}), needs_approval=True)
    entries = {"test__echo": ToolEntry(name="test__echo", needs_approval=False)}
    async with open_toolbox(reports, entry, entries) as toolbox:
        infos = {info.name: info.needs_approval for info in toolbox.box.list_usable(ANONYMOUS) if info.mcp_server}

    assert infos == {"test__add": True, "test__echo": False}


@pytest.mark.process
async def test_a_setting_that_fits_no_tool_is_logged_once(reports: Reports, caplog: pytest.LogCaptureFixture) -> None:
    """The first reading of the list logs each setting that names no listed tool, and later readings do not."""
    entry = stdio_entry(reports, tools=frozenset({"ecko"}))
    entries = {name: ToolEntry(name=name, enabled=False) for name in ("test__write-letters", "test__echo")}
    async with open_toolbox(reports, entry, entries) as toolbox:
        (info,) = toolbox.box.list_servers()
        await toolbox.call("ecko")

    logged = [vars(each)["problem"] for each in caplog.records if each.message.startswith("setting fits no tool")]
    assert logged == list(info.setting_problems)
    assert logged == [
        "mcp_servers.test.tools: 'ecko' fits no tool of the mcp server test; did you mean 'echo'?",
        "tools.test__write-letters fits no tool of the mcp server test; did you mean 'test__write_letters'?",
    ]


@pytest.mark.process
@pytest.mark.parametrize("options", [NEW, OLD, ("--json",)], ids=["events", "old protocol", "json"])
async def test_an_http_answer_has_a_limit(reports: Reports, options: tuple[str, ...]) -> None:
    """A call fails when its answer is too long to be held in memory, and the next call works."""
    async with (
        serve_http(reports, *options) as (_, url),
        open_toolbox(reports, McpServerEntry(name="test", url=url)) as toolbox,
    ):
        failed = await toolbox.call("write_letters", characters=33 * 1024 * 1024)
        await wait_until(lambda: toolbox.is_usable("echo"))
        after = await toolbox.call("echo", text="hi")

    assert failed.status is ToolStatus.FAILED
    assert after.result == "hi"


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
def test_public_names_suit_models(own_name: str, name: str) -> None:
    """A public name has only characters that models accept; it ends in a digest where the own name had others."""
    public = build_public_name("git__", own_name)

    assert public.startswith(name)
    assert len(public) <= 64
    assert (public == name) == (not name.endswith("_"))


def test_public_names_are_unique() -> None:
    """Different names on a server have different public names, even if they would look alike."""
    assert len({build_public_name("git__", name) for name in ("a.b", "a/b", "a_b", "x" * 60, "x" * 61)}) == 5


def test_loggers_of_the_sdk_are_silent() -> None:
    """The loggers of the SDK, which write calls and results, are silent at every level."""
    before = {name: logging.getLogger(name).level for name in ("mcp", "client", "httpx2", "reasoning_grpc")}
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
