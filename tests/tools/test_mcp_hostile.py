"""MCP servers that mean harm: what they send costs them their own tools, and nobody else anything."""

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


def result(message: dict[str, Any], **facts: Any) -> web.Response:
    """The answer to a message, with these facts in its result."""
    return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": facts})


def a_tool(name: str, **facts: Any) -> dict[str, Any]:
    """A tool as a server lists it."""
    return {"name": name, "inputSchema": {"type": "object"}, **facts}


def page_of(message: dict[str, Any]) -> int:
    """Which page of the list a message asks for."""
    return int(message.get("params", {}).get("cursor", "0"))


@asynccontextmanager
async def hostile(**answers: Answer) -> AsyncIterator[Toolbox]:
    """A toolbox with a server of one tool, `harm`, that answers some methods as it likes."""
    usual: dict[str, Answer] = {
        "initialize": lambda message: result(
            message,
            protocolVersion="2025-06-18",
            capabilities={"tools": {}},
            serverInfo={"name": "hostile", "version": "1"},
        ),
        "tools_list": lambda message: result(message, tools=[a_tool("harm")]),
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


def offered(box: Toolbox) -> list[str]:
    """The names of its tools that are offered."""
    return [info.name for info in box.list_usable(ANONYMOUS) if info.mcp_server]


async def test_a_server_may_answer_as_it_likes() -> None:
    """The server of these tests works where it means no harm."""

    def harmless(message: dict[str, Any]) -> web.Response:
        return result(message, content=[{"type": "text", "text": "done"}])

    async with hostile(tools_call=harmless) as box:
        execution = await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())

    assert (execution.status, execution.result) == (ToolStatus.OK, "done")


async def test_what_is_packed_is_not_unpacked() -> None:
    """A small answer that would unpack to a large one is that call's failure, for we asked for none."""

    def bomb(message: dict[str, Any]) -> web.Response:
        answer = result(message, content=[{"type": "text", "text": "x" * 33 * MEGABYTE}])
        answer.body = gzip.compress((answer.text or "").encode())
        answer.headers["Content-Encoding"] = "gzip"
        return answer

    async with hostile(tools_call=bomb) as box:
        execution = await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())

    assert execution.status is ToolStatus.FAILED


async def test_what_is_not_used_is_not_kept() -> None:
    """Of a list that is long in what nobody needs, little stays in memory: the last page, in the SDK and here."""

    def long_list(message: dict[str, Any]) -> web.Response:
        page = page_of(message)
        more = {"nextCursor": str(page + 1)} if page < 19 else {}
        return result(message, tools=[a_tool(f"tool_{page}", description="x" * MEGABYTE)], **more)

    tracemalloc.start()
    try:
        async with hostile(tools_list=long_list) as box:
            gc.collect()
            names, size = offered(box), tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert len(names) == 20
    assert size < 10 * MEGABYTE


async def test_a_list_has_an_end() -> None:
    """Of pages without end as many are read as a server may have, and tools as many."""

    def endless(message: dict[str, Any]) -> web.Response:
        page = page_of(message)
        tools = [a_tool(f"tool_{page}_{row}") for row in range(30)]
        return result(message, tools=tools, nextCursor=str(page + 1))

    async with hostile(tools_list=endless) as box:
        names = offered(box)

    assert len(names) == 1000


async def test_what_is_left_out_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A tool with a schema that cannot be used is missing, with the reason in the log, once for all readings."""
    readings = []

    def bad_tool(message: dict[str, Any]) -> web.Response:
        readings.append(message)
        long = a_tool("long", inputSchema={"type": "object", "description": "x" * 100_001})
        return result(message, tools=[a_tool("harm"), long, a_tool("harm")])

    async with hostile(tools_list=bad_tool) as box:
        names = offered(box)
        while len(readings) < 3:  # after a failure the list is read again
            await box.run(ToolCall("call_1", "test__harm", "{}"), a_context())
    told = [vars(record) for record in caplog.records if record.message == "tool of an mcp server is left out"]

    assert names == ["test__harm"]
    assert {(facts["tool"], facts["problem"]) for facts in told} == {
        ("test__long", "it is longer than 100000 characters"),
        ("test__harm", "another has its name"),
    }
    assert len(told) == 2


async def test_a_list_against_the_protocol() -> None:
    """A server whose list has what no tool can have is down, and says why in words of ours."""

    def no_object(message: dict[str, Any]) -> web.Response:
        return result(message, tools=[a_tool("secret", inputSchema={"type": "array"})])

    async with hostile(tools_list=no_object) as box:
        (info,) = box.list_servers()

    assert (info.state, info.problem) == (McpServerState.DOWN, "it does not keep to the protocol")
