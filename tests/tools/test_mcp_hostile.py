"""MCP servers that send harmful answers: they lose their own tools, and harm nobody else."""

import gc
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aiohttp import web

from reasoning_grpc.config import McpServerEntry
from reasoning_grpc.domain import ANONYMOUS, McpServerState, ToolCall, ToolStatus
from reasoning_grpc.tools import Toolbox
from tests.support.factories import a_context

Answer = Callable[[dict[str, Any]], web.Response]
MEGABYTE: Final = 1024 * 1024


def build_result(message: dict[str, Any], **fields: Any) -> web.Response:
    """Builds the answer to a message, with these fields in its result."""
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": fields})


def a_listed_tool(name: str, **fields: Any) -> dict[str, Any]:
    """Builds a tool as a server lists it."""
    return {"name": name, "inputSchema": {"type": "object"}, **fields}


def requested_page(message: dict[str, Any]) -> int:
    """Returns the number of the page of the list that a message requests."""
    return int(message.get("params", {}).get("cursor", "0"))


@asynccontextmanager
async def serve_hostile(**answers: Answer) -> AsyncIterator[Toolbox]:
    """Opens a toolbox with a server of one tool, `harm`; the test supplies the answers to some methods."""
    usual: dict[str, Answer] = {
        "initialize": lambda message: build_result(
            message,
            protocolVersion="2025-06-18",
            capabilities={"tools": {}},
            serverInfo={"name": "hostile", "version": "1"},
        ),
        "tools_list": lambda message: build_result(message, tools=[a_listed_tool("harm")]),
    }

    async def handle(request: web.Request) -> web.Response:
        message = json.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        answer = (usual | answers).get(message["method"].replace("/", "_"))
        if answer is not None:
            return answer(message)
        error = {"code": -32601, "message": "Method not found"}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error}, status=404)

    app = web.Application()
    app.router.add_post("/mcp", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    box = Toolbox({}, {"test": McpServerEntry(name="test", url=f"http://127.0.0.1:{port}/mcp")})
    await box.start()
    try:
        await box.wait_for_first_attempts()
        yield box
    finally:
        await box.aclose()
        await runner.cleanup()


def list_usable_names(box: Toolbox) -> list[str]:
    """Returns the names of the server's tools that the agent may call."""
    return [info.name for info in box.list_usable(ANONYMOUS) if info.mcp_server]


async def test_the_server_of_these_tests_works() -> None:
    """A tool of the test server gives its result where the server sends nothing harmful."""

    def answer_plainly(message: dict[str, Any]) -> web.Response:
        return build_result(message, content=[{"type": "text", "text": "done"}])

    async with serve_hostile(tools_call=answer_plainly) as box:
        execution = await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())

    assert (execution.status, execution.result) == (ToolStatus.OK, "done")


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """A call whose answer is compressed fails, because an answer of a few bytes may unpack to a very long one."""

    def compress_answer(message: dict[str, Any]) -> web.Response:
        answer = build_result(message, content=[{"type": "text", "text": "done"}])
        answer.body = gzip.compress((answer.text or "").encode())
        answer.headers["Content-Encoding"] = "gzip"
        return answer

    async with serve_hostile(tools_call=compress_answer) as box:
        execution = await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())

    assert execution.status is ToolStatus.FAILED


async def test_long_descriptions_do_not_stay_in_memory() -> None:
    """After a list of 20 long pages was read, memory holds no more than the last page and the shortened tools."""

    def long_list(message: dict[str, Any]) -> web.Response:
        page = requested_page(message)
        more = {"nextCursor": str(page + 1)} if page < 19 else {}
        return build_result(message, tools=[a_listed_tool(f"tool_{page}", description="x" * MEGABYTE)], **more)

    tracemalloc.start()
    try:
        async with serve_hostile(tools_list=long_list) as box:
            gc.collect()
            names, size = list_usable_names(box), tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert len(names) == 20
    assert size < 10 * MEGABYTE


@pytest.mark.parametrize(("pages", "tools_per_page", "usable"), [(35, 30, 1000), (105, 1, 100)], ids=["tools", "pages"])
async def test_reading_a_list_stops_at_a_limit(pages: int, tools_per_page: int, usable: int) -> None:
    """Reading stops at 1000 tools and at 100 pages, so a list that never ends takes a bounded time."""
    requested = []

    def list_page(message: dict[str, Any]) -> web.Response:
        page = requested_page(message)
        requested.append(page)
        tools = [a_listed_tool(f"tool_{page}_{row}") for row in range(tools_per_page)]
        more = {"nextCursor": str(page + 1)} if page < pages - 1 else {}
        return build_result(message, tools=tools, **more)

    async with serve_hostile(tools_list=list_page) as box:
        names = list_usable_names(box)

    assert len(names) == usable
    assert max(requested) < pages - 1


async def test_an_unusable_tool_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A tool whose schema or name cannot be used is left out, and the log says why once, not at every reading."""
    readings = []

    def list_unusable(message: dict[str, Any]) -> web.Response:
        readings.append(message)
        long = a_listed_tool("long", inputSchema={"type": "object", "description": "x" * 100_001})
        return build_result(message, tools=[a_listed_tool("harm"), long, a_listed_tool("harm")])

    async with serve_hostile(tools_list=list_unusable) as box:
        names = list_usable_names(box)
        while len(readings) < 3:  # after a failed call, the list is read again
            await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())
    records = [vars(record) for record in caplog.records if record.message == "tool of an mcp server is left out"]

    assert names == ["test__harm"]
    assert {(record["tool"], record["problem"]) for record in records} == {
        ("test__long", "it is longer than 100000 characters"),
        ("test__harm", "another has its name"),
    }
    assert len(records) == 2


async def test_a_list_that_breaks_the_protocol_takes_the_server_down() -> None:
    """A server whose list is no list is down, and the reason is a sentence of ours without the server's text."""

    def list_invalid(message: dict[str, Any]) -> web.Response:
        return build_result(message, tools="secret")

    async with serve_hostile(tools_list=list_invalid) as box:
        (info,) = box.list_servers()

    assert (info.state, info.problem) == (McpServerState.DOWN, "it does not keep to the protocol")


async def test_a_repeated_cursor_ends_the_list() -> None:
    """Reading stops at a cursor that was there before, because it would read the same pages again."""
    requested = []

    def repeat_pages(message: dict[str, Any]) -> web.Response:
        requested.append(page := requested_page(message))
        return build_result(message, tools=[a_listed_tool(f"tool_{page}")], nextCursor=str(1 + page % 3))

    async with serve_hostile(tools_list=repeat_pages) as box:
        names = list_usable_names(box)

    assert names == ["test__tool_0", "test__tool_1", "test__tool_2", "test__tool_3"]
    assert requested == [0, 1, 2, 3]


async def test_the_same_cursor_again_and_again_ends_the_list() -> None:
    """A cursor that never advances costs one more request, not one for each page that a list may have."""
    requested = []

    def repeat_page(message: dict[str, Any]) -> web.Response:
        requested.append(message)
        return build_result(message, tools=[a_listed_tool("harm")], nextCursor="1")

    async with serve_hostile(tools_list=repeat_page) as box:
        names = list_usable_names(box)

    assert names == ["test__harm"]
    assert len(requested) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
async def test_the_log_has_the_http_status_of_a_call(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """The line in the log about a refused call has the HTTP status of its answer."""
    async with serve_hostile(tools_call=lambda _: web.Response(status=status, text="secret")) as box:
        execution = await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())
    (record,) = [vars(record) for record in caplog.records if record.message == "mcp server refused a call"]

    assert (execution.status, execution.result) == (ToolStatus.FAILED, "")
    assert record["http_status"] == status


async def test_an_answer_without_an_http_failure_has_no_status_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal in an HTTP answer that is no failure is logged with its code alone."""

    def refuse(message: dict[str, Any]) -> web.Response:
        error = {"code": -32000, "message": "Connection closed"}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error})

    async with serve_hostile(tools_call=refuse) as box:
        execution = await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())
    (record,) = [vars(record) for record in caplog.records if record.message == "mcp server refused a call"]

    assert execution.error == "The tool's server refused the call."
    assert record["code"] == -32000
    assert "http_status" not in record


async def test_a_lone_surrogate_over_http_fails_at_once() -> None:
    """A call whose answer has a lone surrogate fails when the answer comes, and does not wait for its time limit."""

    def answer_half(message: dict[str, Any]) -> web.Response:
        answer = build_result(message, content=[{"type": "text", "text": "HALF"}])
        answer.text = (answer.text or "").replace("HALF", "\\ud800")
        return answer

    async with serve_hostile(tools_call=answer_half) as box:
        execution = await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())

    assert execution.status is ToolStatus.FAILED
