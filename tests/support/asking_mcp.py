"""An MCP server over HTTP, without sessions, whose tool asks the user a question and waits for the answer.

No answer can reach the tool, as with the Python SDK 1.30 and `stateless_http=True`: what a client answers is a request
of its own, and nothing says which call it is for.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_RESULTS: dict[str, dict[str, Any]] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "asking", "version": "1"},
    },
    "tools/list": {"tools": [{"name": "ask", "inputSchema": {"type": "object"}}]},
}


@dataclass
class AskingServer:
    """What happened to the server."""

    url: str = ""
    refusals: list[Any] = field(default_factory=list)
    """The answers to its questions."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a call that waited was ended by the client."""


@asynccontextmanager
async def serve_asking() -> AsyncIterator[AskingServer]:
    """Starts the server."""
    server = AskingServer()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        message = await request.json()
        if "method" not in message:
            server.refusals.append(message)
        if "method" not in message or "id" not in message:
            return web.Response(status=202)
        if message["method"] == "tools/call":
            return await wait_for_answer(request)
        head = {"jsonrpc": "2.0", "id": message["id"]}
        if (result := _RESULTS.get(message["method"])) is not None:
            return web.json_response(head | {"result": result})
        return web.json_response(head | {"error": {"code": -32601, "message": "Method not found"}})

    async def wait_for_answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        form = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}}
        question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": form}
        await response.write(f"event: message\ndata: {json.dumps(question)}\n\n".encode())
        try:
            await asyncio.Event().wait()
        finally:
            server.ended.set()
        return response

    app = web.Application()
    app.router.add_route("*", "/mcp", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/mcp"
    try:
        yield server
    finally:
        await runner.cleanup()
