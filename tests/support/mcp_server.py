"""A real MCP server in a process of its own, made with the official SDK; what it does wrong, it does when told.

Run as a file: `mcp_server.py stdio|http REPORT_PORT [--port PORT] [--old] [--json] [--token TOKEN]`. What happens to it
it reports, line by line, to the port: that it listens, that a tool hangs, that the tool was stopped. `Reports` is the
other end of that, and `McpProcess` a process that speaks HTTP.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

SECRET: Final = "what-nobody-may-read"
BIG_PICTURE: Final = bytes(1234)


class Reports:
    """What the servers of a test report, in the order in which it happens."""

    def __init__(self) -> None:
        self.port = 0
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._open = 0
        self._none_open = asyncio.Event()

    async def next(self, kind: str) -> str:
        """The rest of the next report of this kind; others before it are passed over."""
        async with asyncio.timeout(60):
            while True:
                found, _, rest = (await self._lines.get()).partition(" ")
                if found == kind:
                    return rest

    async def closed(self) -> None:
        """Returns when every server has gone, and its connection here."""
        await self._none_open.wait()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._none_open.clear()
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._lines.put_nowait(line.decode().rstrip("\n"))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._open -= 1
        if not self._open:
            self._none_open.set()


@asynccontextmanager
async def reports() -> AsyncIterator[Reports]:
    """The other end of what servers report."""
    heard = Reports()
    server = await asyncio.start_server(heard._take, "127.0.0.1", 0)
    heard.port = server.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        server.close()


def command(way: Literal["stdio", "http"], heard: Reports, *options: str) -> list[str]:
    """The command line of a server."""
    return [sys.executable, "-P", __file__, way, str(heard.port), *options]


@asynccontextmanager
async def http_server(heard: Reports, *options: str) -> AsyncIterator[tuple[Process, str]]:
    """A server that speaks streamable HTTP, and its address."""
    process = await asyncio.create_subprocess_exec(*command("http", heard, *options), stdin=DEVNULL)
    try:
        yield process, f"http://127.0.0.1:{await heard.next('listening')}/mcp"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["stdio", "http"])
    parser.add_argument("report_port", type=int)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--old", action="store_true", help="speak the protocol of 2025 alone")
    parser.add_argument("--json", action="store_true", help="answer with JSON, not with events")
    parser.add_argument("--token", default="")
    parser.add_argument("--deaf", action="store_true", help="never answer")
    options = parser.parse_args()
    report = _reporter(options.report_port)
    report(f"pid {os.getpid()}")
    if options.deaf:
        signal.pause()
    server = _server(report, old=options.old)
    if options.way == "stdio":
        asyncio.run(_serve_stdio(server, old=options.old))
        report("ended")
    else:
        _serve_http(server, options, report)


def _reporter(port: int) -> Any:
    connection = socket.create_connection(("127.0.0.1", port))
    return lambda line: connection.sendall(f"{line}\n".encode())


async def _serve_stdio(server: Any, *, old: bool) -> None:
    from mcp.server.runner import serve_loop
    from mcp.server.stdio import stdio_server

    inner = server._lowlevel_server
    async with stdio_server() as (reading, writing):
        if not old:
            await inner.run(reading, writing, inner.create_initialization_options())
            return
        async with inner.lifespan(inner) as state:  # the loop that knows no other protocol
            await serve_loop(inner, reading, writing, lifespan_state=state)


def _serve_http(server: Any, options: argparse.Namespace, report: Any) -> None:
    import uvicorn

    inner = server.streamable_http_app(json_response=options.json)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope.get("headers", ())}
        if scope["type"] == "http" and options.token and headers.get("authorization") != f"Bearer {options.token}":
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": SECRET.encode()})
            return
        await inner(scope, receive, send)

    listening = socket.create_server(("127.0.0.1", options.port))
    report(f"listening {listening.getsockname()[1]}")
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])


def _server(report: Any, *, old: bool) -> Any:
    from mcp import MCPError
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context, Image
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import METHOD_NOT_FOUND, BlobResourceContents, EmbeddedResource

    async def without_discovery(context: Any, call_next: Any) -> Any:
        if context.method == "server/discover":
            raise MCPError(METHOD_NOT_FOUND, "Method not found")
        return await call_next(context)

    middleware: list[Any] = [without_discovery] if old else []
    server = MCPServer("test", log_level="CRITICAL", middleware=middleware)

    @server.tool()
    def echo(text: str) -> str:
        """Say it again."""
        return text

    @server.tool(structured_output=True)
    def add(a: int, b: int) -> dict[str, int]:
        """Add two numbers."""
        return {"sum": a + b}

    @server.tool()
    async def hang() -> str:
        """Never answer."""
        report("hanging")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            report("stopped")
            raise
        return ""

    @server.tool()
    def crash() -> str:
        """End the process."""
        os._exit(3)

    @server.tool(structured_output=False)
    def big(characters: int) -> str:
        """Say much."""
        return "x" * characters

    @server.tool(structured_output=False)
    def media() -> list[Any]:
        """Give a picture, a file and a word."""
        file = BlobResourceContents(
            uri="file:///a.bin", mime_type="application/pdf", blob=base64.b64encode(b"12345").decode()
        )
        return [Image(data=BIG_PICTURE, format="png"), EmbeddedResource(type="resource", resource=file), "word"]

    @server.tool()
    def fail() -> str:
        """Fail with words."""
        raise ToolError("There is no such city.")

    @server.tool(name="odd.name/of a tool")
    def odd() -> str:
        """Has a name that models cannot use."""
        return "odd"

    @server.tool(structured_output=False)
    def seen(context: Context) -> str:
        """Tell what came with the call."""
        request = context.request_context.request
        headers = {} if request is None else dict(request.headers)
        meta = context.request_context.meta or {}
        return json.dumps({"headers": headers, "meta": dict(meta)}, default=str)

    @server.tool()
    def variable(name: str) -> str:
        """Tell a variable of the process."""
        return os.environ.get(name, "")

    @server.tool()
    async def grow(context: Context) -> str:
        """Get another tool."""
        server.add_tool(lambda: "late", name="late", description="Came late.")
        if old:
            await context.session.send_tool_list_changed()
        else:
            await context.notify_tools_changed()
        return "grown"

    return server


if __name__ == "__main__":
    main()
