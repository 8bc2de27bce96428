"""A server process whose tools are those of MCP servers made with the SDKs for TypeScript and for Go.

Both speak the protocol of 2026-07-28 and the older ones. Over HTTP, two processes of each stand behind a load balancer.
"""

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.mcp_balancer import McpBalancer, balance
from tests.support.official_servers import INSTALLED, ServerWithTools
from tests.support.server_process import ServerFolder
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream

_SOURCE: Final = Path(__file__).parents[1] / "mcp_servers" / "typescript" / "server.mjs"
_TYPESCRIPT: Final = ("node", str(INSTALLED / _SOURCE.name))
"""The command of the server in TypeScript, which finds its packages only beside them."""
_GO: Final = (str(INSTALLED / "go-server"),)


@dataclass(frozen=True, kw_only=True)
class ModernServers(ServerWithTools):
    """A server process that is connected to these MCP servers."""

    balancers: Mapping[str, McpBalancer]
    """The balancers in front of the MCP servers that are reached over HTTP, by the names of these."""


@asynccontextmanager
async def serve_modern(folder: Path) -> AsyncIterator[ModernServers]:
    """Starts a server process with these MCP servers, which `make mcp-servers` has installed."""
    assert (INSTALLED / "go-server").exists(), "the MCP servers are not installed; `make mcp-servers` installs them"
    shutil.copy(_SOURCE, INSTALLED)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeUpstream())
        balancers = {}
        for name, command, count in (
            ("ts-http", (*_TYPESCRIPT, "http"), 2),
            ("go-http", (*_GO, "http"), 2),
            ("go-stateful", (*_GO, "stateful"), 1),
        ):
            urls = [await stack.enter_async_context(_serve_http(*command)) for _ in range(count)]
            balancers[name] = await stack.enter_async_context(balance(urls))
        (folder / "reasoning.toml").write_text(_write_configuration(upstream, balancers))
        server_folder = ServerFolder(folder, upstream)
        process = await stack.enter_async_context(server_folder.serving())
        yield ModernServers(process=process, upstream=upstream, config=server_folder.config, balancers=balancers)


@asynccontextmanager
async def _serve_http(*command: str) -> AsyncIterator[str]:
    """Starts a process that speaks streamable HTTP, and yields its address."""
    variables = {"PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(*command, env=variables, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await process.stderr.readline()).decode()
        assert line.startswith("listening "), line + (await process.stderr.read()).decode()
        yield f"http://127.0.0.1:{line.split()[1]}/mcp"
    finally:
        process.kill()
        await process.wait()


def _write_configuration(upstream: FakeUpstream, balancers: Mapping[str, McpBalancer]) -> str:
    """Writes a configuration with these MCP servers over pipes and over HTTP. No entry but one names a version."""
    remote = "".join(f'[mcp_servers.{name}]\nurl = "{balancer.url}"\n' for name, balancer in balancers.items())
    return f"""
default_model = "fake"
agent_tool_list_timeout_seconds = {PATIENCE_SECONDS}
[models.fake]
litellm_model = "openai/fake"
api_base = "{upstream.api_base}"
api_key_env = "FAKE_KEY"
capabilities = ["json_schema", "tools"]

{remote}
[mcp_servers.ts-stdio]
command = "{_TYPESCRIPT[0]}"
args = ["{_TYPESCRIPT[1]}", "stdio"]
[mcp_servers.ts-older]
command = "{_TYPESCRIPT[0]}"
args = ["{_TYPESCRIPT[1]}", "stdio"]
protocol = "2025-11-25"
[mcp_servers.go-stdio]
command = "{_GO[0]}"
args = ["stdio"]
"""
