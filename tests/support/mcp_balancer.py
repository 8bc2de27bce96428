"""`McpBalancer`: a load balancer in front of MCP servers, which sends each request to another one than the last."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from aiohttp import ClientSession, ClientTimeout, web

_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True)
class BalancedRequest:
    """A request as it came to the balancer."""

    verb: str
    """The HTTP method."""
    headers: Mapping[str, str]
    """The headers, by their names in lower case."""
    message: Mapping[str, Any]
    """The JSON-RPC message; empty where there is none."""


@dataclass
class McpBalancer:
    """The requests that came, in their order."""

    url: str = ""
    requests: list[BalancedRequest] = field(default_factory=list)

    @property
    def methods(self) -> Counter[str]:
        """How often each method of the protocol was requested."""
        return Counter(request.message.get("method", "") for request in self.requests)


@asynccontextmanager
async def balance(urls: Sequence[str], *, cut_first: str = "") -> AsyncIterator[McpBalancer]:
    """Starts a balancer in front of the servers at these addresses.

    The answer to the first request of the method `cut_first` ends after its first chunk.
    """
    balancer, targets = McpBalancer(), cycle(urls)

    async def forward(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        balancer.requests.append(BalancedRequest(request.method, headers, json.loads(body) if body else {}))
        kept = {name: value for name, value in headers.items() if name not in _OWN_HEADERS}
        async with client.request(request.method, next(targets), data=body, headers=kept) as answer:
            response = web.StreamResponse(status=answer.status)
            response.headers.update(
                {name: value for name, value in answer.headers.items() if name.lower() not in _OWN_HEADERS}
            )
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
                if balancer.methods[cut_first] == 1 and balancer.requests[-1].message.get("method") == cut_first:
                    break
            return response

    app = web.Application()
    app.router.add_route("*", "/mcp", forward)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    async with ClientSession(timeout=ClientTimeout(total=None), auto_decompress=False) as client:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        balancer.url = f"http://{host}:{port}/mcp"
        try:
            yield balancer
        finally:
            await runner.cleanup()
