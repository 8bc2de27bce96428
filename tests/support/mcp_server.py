"""A real MCP server in a process of its own, made with the official SDK; its options and tools make it misbehave.

The file runs as `mcp_server.py stdio|http REPORT_PORT [OPTION]...`. It reports its events to the port, a line each:
that it listens, that a tool hangs, that the tool was stopped. `Reports` receives these lines, and `serve_http` starts a
process that speaks HTTP.
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
from typing import Annotated, Any, Final, Literal

SECRET: Final = "what-nobody-may-read"
BIG_PICTURE: Final = bytes(1234)


class Reports:
    """The lines that the servers of a test report, in their order."""

    def __init__(self) -> None:
        self.port = 0
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._open = 0
        self._none_open = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []

    async def wait_for(self, kind: str) -> str:
        """Waits for the next report of this kind, skips others before it, and returns the rest of its line."""
        async with asyncio.timeout(60):
            while True:
                line_kind, _, rest = (await self._lines.get()).partition(" ")
                if line_kind == kind:
                    return rest

    def take_rest(self) -> list[str]:
        """Returns the kinds of the reports that nobody has waited for, and forgets them."""
        return [self._lines.get_nowait().partition(" ")[0] for _ in range(self._lines.qsize())]

    async def wait_until_closed(self) -> None:
        """Waits until every server has closed its connection."""
        await self._none_open.wait()

    def release(self) -> None:
        """Lets the servers that were started with `--held` begin to answer."""
        for writer in self._writers:
            writer.write(b"go")

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._none_open.clear()
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._lines.put_nowait(line.decode().rstrip("\n"))
        self._writers.remove(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._open -= 1
        if not self._open:
            self._none_open.set()


@asynccontextmanager
async def open_reports() -> AsyncIterator[Reports]:
    """Listens for the reports of servers."""
    received = Reports()
    server = await asyncio.start_server(received._receive, "127.0.0.1", 0)
    received.port = server.sockets[0].getsockname()[1]
    try:
        yield received
    finally:
        server.close()


def build_command(transport: Literal["stdio", "http"], reports: Reports, *options: str) -> list[str]:
    """Builds the command line of a server."""
    return [sys.executable, "-P", __file__, transport, str(reports.port), *options]


@asynccontextmanager
async def serve_http(reports: Reports, *options: str) -> AsyncIterator[tuple[Process, str]]:
    """Starts a server that speaks streamable HTTP, and yields its process and its address."""
    process = await asyncio.create_subprocess_exec(*build_command("http", reports, *options), stdin=DEVNULL)
    try:
        yield process, f"http://127.0.0.1:{await reports.wait_for('listening')}/mcp"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


def main() -> None:
    """Serves until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=["stdio", "http"])
    parser.add_argument("report_port", type=int)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--old", action="store_true", help="speak only the protocol of 2025")
    parser.add_argument("--new", action="store_true", help="speak only the protocol of 2026-07-28")
    parser.add_argument("--stateless", action="store_true", help="keep no sessions for older clients over HTTP")
    parser.add_argument("--fragile", action="store_true", help="end when the first message is unknown")
    parser.add_argument("--fresh-seconds", type=float, default=0, help="say that the list stays fresh for so long")
    parser.add_argument("--json", action="store_true", help="answer with JSON, not with events")
    parser.add_argument("--token", default="")
    parser.add_argument("--silent", action="store_true", help="never answer")
    parser.add_argument("--held", action="store_true", help="begin to answer only when the test says so")
    options = parser.parse_args()
    connection = socket.create_connection(("127.0.0.1", options.report_port))
    report = _create_report(connection)
    report(f"pid {os.getpid()}")
    if options.silent:
        signal.pause()
    if options.held:
        connection.recv(2)
    server = _build_server(report, options)
    if options.transport == "stdio":
        asyncio.run(_serve_stdio(server, old=options.old))
        report("ended")
    else:
        _serve_http(server, options, report)


def _create_report(connection: socket.socket) -> Any:
    return lambda line: connection.sendall(f"{line}\n".encode())


async def _serve_stdio(server: Any, *, old: bool) -> None:
    from mcp.server.runner import serve_loop
    from mcp.server.stdio import stdio_server

    inner = server._lowlevel_server
    async with stdio_server() as (reading, writing):
        if not old:
            await inner.run(reading, writing, inner.create_initialization_options())
            return
        async with inner.lifespan(inner) as state:  # this loop speaks no other protocol
            await serve_loop(inner, reading, writing, lifespan_state=state)


def _serve_http(server: Any, options: argparse.Namespace, report: Any) -> None:
    import uvicorn

    inner = server.streamable_http_app(json_response=options.json, stateless_http=options.stateless)

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


def _build_server(report: Any, options: argparse.Namespace) -> Any:
    from mcp import MCPError
    from mcp.server import MCPServer
    from mcp.server.caching import CacheHint
    from mcp.server.mcpserver import Context, Image
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.server.request_state import RequestStateSecurity
    from mcp_types import (
        METHOD_NOT_FOUND,
        BlobResourceContents,
        ElicitRequest,
        ElicitRequestFormParams,
        EmbeddedResource,
        InputRequiredResult,
        SamplingMessage,
        TextContent,
    )
    from pydantic import BaseModel, Field

    old = options.old
    unknown = "server/discover" if old else "initialize" if options.new else ""

    async def refuse_unknown(context: Any, call_next: Any) -> Any:
        if context.method == unknown:
            if options.fragile:
                os._exit(4)
            raise MCPError(METHOD_NOT_FOUND, "Method not found")
        return await call_next(context)

    middleware: list[Any] = [refuse_unknown]
    hint = CacheHint(ttl_ms=int(options.fresh_seconds * 1000))
    server = MCPServer(
        "test",
        log_level="CRITICAL",
        middleware=middleware,
        cache_hints={"tools/list": hint},
        request_state_security=RequestStateSecurity(keys=[bytes(32)]),  # the same key in each process
    )

    @server.tool()
    def echo(text: str) -> str:
        """Return the text."""
        return text

    @server.tool(structured_output=True)
    def add(a: int, b: int) -> dict[str, int]:
        """Add two numbers."""
        return {"sum": a + b}

    @server.tool()
    async def hang() -> str:
        """Never return."""
        report("hanging")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            report("stopped")
            raise
        return ""

    @server.tool()
    async def count_slowly(count: int, seconds: float, context: Context) -> str:
        """Report progress this many times, with a pause of so many seconds before each."""
        for number in range(count):
            await asyncio.sleep(seconds)
            await context.report_progress(number, count)
        return "counted"

    @server.tool()
    def crash() -> str:
        """End the process."""
        os._exit(3)

    @server.tool(structured_output=False)
    def write_letters(characters: int) -> str:
        """Return this many letters."""
        return "x" * characters

    @server.tool(structured_output=False)
    def return_media() -> list[Any]:
        """Return a picture, a file and a word."""
        file = BlobResourceContents(
            uri="file:///a.bin", mime_type="application/pdf", blob=base64.b64encode(b"12345").decode()
        )
        return [Image(data=BIG_PICTURE, format="png"), EmbeddedResource(type="resource", resource=file), "word"]

    @server.tool()
    def fail() -> str:
        """Fail with a sentence for the model."""
        raise ToolError("There is no such city.")

    @server.tool(name="odd.name/of a tool")
    def return_odd() -> str:
        """Have a name that models cannot use."""
        return "odd"

    @server.tool(structured_output=False)
    def describe_call(context: Context) -> str:
        """Return the headers and the metadata of the call."""
        request = context.request_context.request
        headers = {} if request is None else dict(request.headers)
        meta = context.request_context.meta or {}
        return json.dumps({"headers": headers, "meta": dict(meta)}, default=str)

    @server.tool(structured_output=False)
    def read_pid() -> str:
        """Return the id of the process."""
        return str(os.getpid())

    @server.tool()
    def read_variable(name: str) -> str:
        """Return a variable of the process."""
        return os.environ.get(name, "")

    class Name(BaseModel):
        name: str

    @server.tool()
    async def ask_person(context: Context) -> str:
        """Ask a person for a name while the call waits."""
        return str(await context.elicit("What is your name?", Name))

    @server.tool()
    async def ask_person_in_vain(context: Context) -> str:
        """Ask a person for a name, and report in other words that there is none."""
        try:
            return str(await context.elicit("What is your name?", Name))
        except MCPError:
            raise ToolError("I greet nobody without a name.") from None

    @server.tool()
    async def ask_person_or_do_without(context: Context) -> str:
        """Ask a person for a name, and greet a stranger when there is none."""
        try:
            return str(await context.elicit("What is your name?", Name))
        except MCPError:
            return "Hello, stranger."

    @server.tool()
    async def ask_model(context: Context) -> str:
        """Ask the client's model for a name while the call waits."""
        question = SamplingMessage(role="user", content=TextContent(type="text", text="What is your name?"))
        return str(await context.session.create_message([question], max_tokens=10))

    @server.tool()
    async def ask_roots(context: Context) -> str:
        """Ask for the client's folders while the call waits."""
        return str(await context.session.list_roots())

    @server.tool()
    async def require_name() -> str | InputRequiredResult:
        """End the call with a question for a person."""
        form = ElicitRequestFormParams(message="What is your name?", requested_schema=Name.model_json_schema())
        return InputRequiredResult(input_requests={"name": ElicitRequest(params=form)})

    @server.tool()
    async def require_time(rounds: int, context: Context) -> str | InputRequiredResult:
        """End this many calls with a state that the next one brings back."""
        state = int(context.request_state or 0)
        return "done" if state == rounds else InputRequiredResult(request_state=str(state + 1))

    @server.tool()
    def find_region(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})], context: Context
    ) -> str:
        """Return the header of the region."""
        request = context.request_context.request
        return json.dumps(
            {"argument": region, "header": None if request is None else request.headers["mcp-param-region"]}
        )

    @server.tool()
    def move_region() -> str:
        """Have the tool `echo` want its text in a header, and tell nobody."""
        server.remove_tool("echo")

        def echo(text: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Text"})]) -> str:
            return text

        server.add_tool(echo)
        return "moved"

    @server.tool()
    async def grow(context: Context) -> str:
        """Add another tool to the server."""
        server.add_tool(lambda: "late", name="late", description="Was added late.")
        if old:
            await context.session.send_tool_list_changed()
        else:
            await context.notify_tools_changed()
        return "grown"

    return server


if __name__ == "__main__":
    main()
