"""A server process whose tools are those of the official MCP servers, over pipes and over HTTP."""

import asyncio
import json
import os
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.config import hash_token
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.agent import (
    PlannedCall,
    join_text,
    list_executions,
    name_status,
    read_texts,
    reasoning_request,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.ports import find_port
from tests.support.server_process import TOKEN, ServerFolder, ServerProcess
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream

INSTALLED: Final = Path(__file__).parents[2] / ".tools" / "mcp_servers"
"""The folder into which `make mcp-servers` installs the servers."""
LIMIT_SECONDS: Final = 2
"""The time limit of the tool that takes long, of both servers "everything" and "remote"."""
_SAME_COMMIT: Final = {
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
"""Variables with which the commit of the tests always gets the same id."""


@dataclass(frozen=True)
class Folders:
    """The files that the MCP servers work on."""

    root: Path

    @property
    def files(self) -> Path:
        """The folder that the server "files" may use."""
        return self.root / "files"

    @property
    def repository(self) -> Path:
        """The repository that the server "git" may use."""
        return self.root / "repository"

    @property
    def memory(self) -> Path:
        """The file of the server "memory"."""
        return self.root / "memory.jsonl"

    def fill(self) -> None:
        """Writes a few files, and a repository with one commit and a change after it."""
        (self.files / "notes").mkdir(parents=True)
        (self.files / "notes" / "empty.txt").touch()
        (self.files / "a.txt").write_text("first\nsecond\n")
        (self.files / "picture.png").write_bytes(bytes(100))
        self.repository.mkdir()
        (self.repository / "plan.txt").write_text("one\n")
        self._run_git("init", "--quiet", "--initial-branch=main")
        self._run_git("add", "plan.txt")
        author = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        self._run_git(*author, "commit", "--quiet", "--message", "Write the plan")
        (self.repository / "plan.txt").write_text("one\ntwo\n")

    def _run_git(self, *arguments: str) -> None:
        variables = {"PATH": os.environ["PATH"], **_SAME_COMMIT}
        subprocess.run(("git", "-C", str(self.repository), *arguments), check=True, env=variables)


def write_configuration(folders: Folders, upstream: FakeUpstream, remote_port: int) -> str:
    """Writes a configuration with the official MCP servers.

    The model "fake" plans in JSON. The others take tools natively, in the protocols of three providers.
    """
    python = INSTALLED / "python" / "bin"
    return f"""
        default_model = "fake"
        agent_tool_list_timeout_seconds = {PATIENCE_SECONDS}
        [callers.alice]
        token_hash = "{hash_token(TOKEN)}"
        [models.fake]
        litellm_model = "openai/fake"
        api_base = "{upstream.api_base}"
        api_key_env = "FAKE_KEY"
        capabilities = ["json_schema", "tools"]
        [models.native]
        litellm_model = "openai/native"
        api_base = "{upstream.api_base}"
        api_key_env = "FAKE_KEY"
        capabilities = ["json_schema", "tools"]
        native_tools = true
        [models.claude]
        litellm_model = "anthropic/claude"
        api_base = "{upstream.api_base_for("anthropic")}"
        api_key_env = "FAKE_KEY"
        capabilities = ["tools"]
        native_tools = true
        [models.gemini]
        litellm_model = "gemini/gemini"
        api_base = "{upstream.api_base_for("gemini")}"
        api_key_env = "FAKE_KEY"
        capabilities = ["tools"]
        native_tools = true

        [mcp_servers.time]
        command = "{python}/mcp-server-time"
        args = ["--local-timezone", "Europe/Oslo"]
        [mcp_servers.git]
        command = "{python}/mcp-server-git"
        args = ["--repository", "{folders.repository}"]
        [mcp_servers.files]
        command = "npx"
        args = ["--offline", "-y", "@modelcontextprotocol/server-filesystem", "{folders.files}"]
        cwd = "{INSTALLED}"
        [mcp_servers.memory]
        command = "npx"
        args = ["--offline", "-y", "@modelcontextprotocol/server-memory"]
        cwd = "{INSTALLED}"
        env = ["MEMORY_FILE_PATH"]
        [mcp_servers.everything]
        command = "npx"
        args = ["--offline", "-y", "@modelcontextprotocol/server-everything"]
        cwd = "{INSTALLED}"
        [mcp_servers.remote]
        url = "http://127.0.0.1:{remote_port}/mcp"

        [tools.everything__trigger-long-running-operation]
        timeout_seconds = {LIMIT_SECONDS}
        [tools.remote__trigger-long-running-operation]
        timeout_seconds = {LIMIT_SECONDS}
        """


@dataclass(frozen=True)
class ToolRun:
    """One request for the agent: its events, and the tool results that its model was shown."""

    events: Sequence[events_pb2.StreamCompleteResponse]
    shown: Sequence[Any]
    """The result or the error of each call, in the prompt of the next step."""

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """The status of each call with its result, or with its error where there is no result."""
        return [(name_status(each), each.result or each.error) for each in list_executions(self.events)]


@dataclass(frozen=True, kw_only=True)
class ServerWithTools:
    """A server process that is connected to MCP servers, with the upstream of its models."""

    process: ServerProcess
    upstream: FakeUpstream
    config: str
    """The configuration file."""

    async def run(self, *calls: PlannedCall, concurrent: bool = False) -> ToolRun:
        """Has the agent make these calls in one step, and then answer."""
        self.upstream.requests.clear()
        self.upstream.reply(write_plan(*calls, concurrent=concurrent))
        self.upstream.reply(write_plan())
        self.upstream.reply("Done.")
        events = await self.collect_events(reasoning_request(agent={"allowed_tools": {call.name for call in calls}}))
        assert join_text(events) == "Done."
        assert len(self.upstream.requests) == 3
        return ToolRun(events, read_results(self.upstream.requests[1].body["messages"]))

    async def collect_events(self, request: completion_pb2.CompleteRequest) -> list[events_pb2.StreamCompleteResponse]:
        """Returns the events of an answer, and checks their order."""
        async with self.process.client() as client:
            events = [event async for event in client.stream(request)]
        check_grammar(events, ended_well=True)
        return events


@dataclass(frozen=True, kw_only=True)
class OfficialServers(ServerWithTools):
    """A server process that is connected to the official MCP servers."""

    folders: Folders


def read_results(messages: Sequence[dict[str, Any]]) -> list[Any]:
    """Returns the result or the error of each tool call in a prompt."""
    _, _, rest = "".join(read_texts(messages)).rpartition("<tool_results>\n")
    lines, closing_tag, _ = rest.partition("\n</tool_results>")
    assert closing_tag
    parsed = [json.loads(line) for line in lines.split("\n")]
    return [line["error"] if "error" in line else line["result"] for line in parsed]


@asynccontextmanager
async def serve_official(folder: Path) -> AsyncIterator[OfficialServers]:
    """Starts a server process with the official MCP servers, which `make mcp-servers` has installed."""
    assert (INSTALLED / ".ready").exists(), "the MCP servers are not installed; `make mcp-servers` installs them"
    folders = Folders(folder)
    folders.fill()
    async with FakeUpstream() as upstream, serve_remote() as remote_port:
        (folder / "reasoning.toml").write_text(write_configuration(folders, upstream, remote_port))
        server_folder = ServerFolder(folder, upstream, variables={"MEMORY_FILE_PATH": str(folders.memory)})
        async with server_folder.serving() as process:
            yield OfficialServers(process=process, upstream=upstream, folders=folders, config=server_folder.config)


@asynccontextmanager
async def serve_remote(port: int = 0) -> AsyncIterator[int]:
    """Starts the server "everything" with streamable HTTP, and yields its port; 0 means a free one.

    It listens on every address of this machine, so it may fetch nothing for whoever calls it.
    """
    port = port or find_port()
    process = await asyncio.create_subprocess_exec(
        *(INSTALLED / "node_modules" / ".bin" / "mcp-server-everything", "streamableHttp"),
        env={"PATH": os.environ["PATH"], "PORT": str(port), "GZIP_ALLOWED_DOMAINS": "nothing.invalid"},
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
    )
    reading = asyncio.create_task(_read_errors(process))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reading
        yield port
    finally:
        process.kill()
        await process.wait()


async def _read_errors(process: Process) -> None:
    """Returns when the process says that it listens. It writes too little after that to fill the pipe."""
    assert process.stderr is not None
    lines = []
    async for line in process.stderr:
        lines.append(line.decode())
        if "listening on port" in lines[-1]:
            return
    raise AssertionError("the MCP server did not start:\n" + "".join(lines))
