"""SIGHUP and the command `reload` let a running server read its configuration anew, all of it or nothing."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import hash_token
from tests.support.commands import PATIENCE_SECONDS, PROGRAM, Finished, read_announced_address, run
from tests.support.factories import a_wire_request
from tests.support.limits import read_limits_of
from tests.support.server_process import KEY, ServerFolder, ServerProcess, list_stops, wait_for_end
from tests.support.upstream import FakeUpstream

pytestmark = [pytest.mark.process, pytest.mark.serial]

FIRST_TOKEN: Final = "rgt_first"
SECOND_TOKEN: Final = "rgt_second"
CLIENTS: Final = 8


@dataclass(frozen=True)
class Reloadable:
    """A server process with a file of its process number, and the configuration that it reads."""

    folder: Path
    server: ServerProcess

    @property
    def pid_file(self) -> Path:
        """The file with the number of the process."""
        return self.folder / "server.pid"

    def write(self, upstream: FakeUpstream, *tokens: str, more: str = "", limits: str = "") -> None:
        """Writes a configuration with a caller for each token, each with these limits."""
        write_config(self.folder, upstream, *tokens, more=more, limits=limits)

    async def reload(self) -> Finished:
        """Runs the command `reload`."""
        return await run("reload", "--pid-file", str(self.pid_file))

    def messages(self) -> list[str]:
        """Returns the messages of its log."""
        return [line["message"] for line in self.server.lines()]

    def find_line(self, message: str) -> dict[str, Any]:
        """Returns the last line of its log with this message."""
        return [line for line in self.server.lines() if line["message"] == message][-1]


def write_config(folder: Path, upstream: FakeUpstream, *tokens: str, more: str = "", limits: str = "") -> None:
    """Writes the configuration of a server whose model is the fake upstream."""
    callers = "".join(
        f'[callers.c{row}]\ntoken_hash = "{hash_token(token)}"\n{limits}\n' for row, token in enumerate(tokens)
    )
    (folder / "reasoning.toml").write_text(f"""
        default_model = "fake"
        pid_file = "{folder / "server.pid"}"
        grace_seconds = 600
        {more}
        [models.fake]
        litellm_model = "openai/fake-upstream"
        api_base = "{upstream.api_base}"
        api_key_env = "FAKE_KEY"
        {callers}
    """)


@asynccontextmanager
async def reloadable(folder: Path, upstream: FakeUpstream, *tokens: str) -> AsyncIterator[Reloadable]:
    """Runs a server process that can be reloaded; at last SIGTERM ends it."""
    write_config(folder, upstream, *tokens)
    async with ServerFolder(folder, upstream).serving() as server:
        yield Reloadable(folder, server)
        server.process.send_signal(signal.SIGTERM)
        assert await wait_for_end(server.process) == 0
    assert "Traceback" not in server.log.read_text()


@dataclass
class Load:
    """Clients that make calls until they are told to stop."""

    address: str
    token: str = FIRST_TOKEN
    """The token of the clients that begin now."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    clients: Counter[str] = field(default_factory=Counter)
    """How many clients have each token now."""

    def start(self) -> list[asyncio.Task[Counter[str]]]:
        """Starts the clients; each returns the outcomes of its calls."""
        return [asyncio.create_task(self._make_calls()) for _ in range(CLIENTS)]

    async def _make_calls(self) -> Counter[str]:
        outcomes = Counter[str]()
        while not self.stop.is_set():
            token = self.token
            self.clients[token] += 1
            async with ReasoningClient(self.address, token=token) as client:
                for _ in range(20):
                    outcomes[await call(client)] += 1
            self.clients[token] -= 1
        return outcomes


async def call(client: ReasoningClient) -> str:
    """Makes a call, and returns OK or the reason of its failure."""
    try:
        await client.complete(a_wire_request())
    except CallFailed as failed:
        return failed.reason or failed.code.name
    return "OK"


async def test_no_call_fails_while_a_token_is_rotated(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Under load a caller's new token is added, then used, then the old one is taken away: every call is answered."""
    async with reloadable(tmp_path, upstream, FIRST_TOKEN) as running:
        load = Load(running.server.address)
        clients = load.start()

        running.write(upstream, FIRST_TOKEN, SECOND_TOKEN)
        added = await running.reload()
        load.token = SECOND_TOKEN
        while load.clients[FIRST_TOKEN]:
            await upstream.request(len(upstream.requests) + 1)
        running.write(upstream, SECOND_TOKEN)
        removed = await running.reload()
        await upstream.request(len(upstream.requests) + 20 * CLIENTS)
        load.stop.set()
        outcomes = sum(await asyncio.gather(*clients), Counter[str]())
        async with ReasoningClient(running.server.address, token=FIRST_TOKEN) as client:
            revoked = await call(client)

    assert (added.code, removed.code) == (0, 0)
    assert set(outcomes) == {"OK"}
    assert revoked == "CREDENTIALS_INVALID"
    assert [line["reloads"] for line in running.server.lines() if line["message"] == "reloaded"] == [1, 2]


async def test_no_call_fails_while_limits_change(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Under load each reload changes a caller's limit: every call is answered, and its trailers name the new limit.

    The last limit is of one request, so that the second one is refused.
    """
    async with reloadable(tmp_path, upstream, FIRST_TOKEN) as running:
        load = Load(running.server.address)
        clients = load.start()
        named = []
        for limit in (1_000_000, 2_000_000):
            running.write(upstream, FIRST_TOKEN, limits=f"requests_per_minute = {limit}")
            assert (await running.reload()).code == 0
            named.append(await read_limit(running.server.address))
            await upstream.request(len(upstream.requests) + 5 * CLIENTS)
        load.stop.set()
        outcomes = sum(await asyncio.gather(*clients), Counter[str]())
        running.write(upstream, FIRST_TOKEN, limits="requests_per_minute = 1")
        assert (await running.reload()).code == 0
        async with ReasoningClient(running.server.address, token=FIRST_TOKEN) as client:
            last = [await call(client) for _ in range(2)]

    assert set(outcomes) == {"OK"}
    assert named == [1_000_000, 2_000_000]
    assert last == ["OK", "CALLER_LIMIT"]


async def read_limit(address: str) -> float:
    """Makes a call, and returns the requests a minute that its trailers name."""
    async with ReasoningClient(address, token=FIRST_TOKEN) as client:
        made = client.stub.Complete(a_wire_request(), metadata=client.metadata)
        return (await read_limits_of(made))["limit-requests"]


async def test_a_bad_file_changes_nothing_and_is_explained(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Every problem is in the log and in the output of the command, and the server serves on as before."""
    async with reloadable(tmp_path, upstream, FIRST_TOKEN) as running:
        running.write(upstream, SECOND_TOKEN, more='max_mesages = 1\nlog_level = "loud"')

        failed = await running.reload()
        async with ReasoningClient(running.server.address, token=FIRST_TOKEN) as client:
            still = await call(client)
        running.write(upstream, SECOND_TOKEN)
        repaired = await running.reload()

    problems = [
        "max_mesages: is not a known key; did you mean max_messages?",
        "log_level: must be one of debug, info, warning, error",
    ]
    assert failed.code == 1
    assert failed.err.splitlines() == [f"reasoning-grpc: {text}" for text in (*problems, "nothing was changed")]
    line = running.find_line("reload changed nothing")
    assert (line["level"], line["problems"]) == ("error", problems)
    assert still == "OK"
    assert repaired.code == 0


async def test_what_needs_a_restart_is_named_and_keeps_its_value(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The rest of the file takes effect, and the options that need a restart are in the log and in the output."""
    async with reloadable(tmp_path, upstream) as running:
        running.write(upstream, FIRST_TOKEN, more='reflection = false\nembedded = "on"\nmax_calls_in_flight = 7')

        reloaded = await running.reload()
        async with ReasoningClient(running.server.address, token=FIRST_TOKEN) as client:
            outcome = await call(client)

    options = ["reflection", "embedded", "max_calls_in_flight"]
    assert reloaded.code == 0
    assert reloaded.out.splitlines()[1:] == [
        f"these options need a restart, and keep their values: {', '.join(options)}"
    ]
    line = running.find_line("options need a restart, and keep their values")
    assert (line["level"], line["options"]) == ("warning", options)
    assert outcome == "OK"


async def test_the_level_of_the_log_is_reloaded(upstream: FakeUpstream, tmp_path: Path) -> None:
    """After a reload with another level the lines of calls are missing."""
    async with reloadable(tmp_path, upstream) as running, running.server.client() as client:
        assert await call(client) == "OK"
        running.write(upstream, more='log_level = "error"')
        assert (await running.reload()).code == 0
        assert await call(client) == "OK"

    assert running.messages().count("call") == 1


async def test_each_sighup_is_in_the_log(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The log says in order: start, signal, reload, signal, drain, stop, exit."""
    async with reloadable(tmp_path, upstream) as running:
        assert (await running.reload()).code == 0

    told = {"starting", "serving", "signal", "reloaded", "draining", "stopped", "exit"}
    lines = [line for line in running.server.lines() if line["message"] in told]
    assert [line["message"] for line in lines] == [
        *("starting", "serving", "signal", "reloaded", "signal", "draining", "stopped", "exit")
    ]
    assert [line["signal"] for line in lines if line["message"] == "signal"] == ["SIGHUP", "SIGTERM"]
    assert lines[0]["fingerprint"] == running.find_line("reloaded")["fingerprint"]
    assert lines[-1]["code"] == 0


async def test_without_a_server_the_command_says_so(tmp_path: Path) -> None:
    """A file that is missing, and one that a killed server left, are no server; no process gets a signal."""
    file = tmp_path / "server.pid"
    missing = await run("reload", "--pid-file", str(file))
    file.write_text(f"{os.getpid()}\n")
    left = await run("reload", "--pid-file", str(file))
    unnamed = await run("reload", folder=tmp_path)

    assert (missing.code, left.code, unnamed.code) == (1, 1, 1)
    assert missing.err == f"reasoning-grpc: {file}: there is no such file, so no server runs\n"
    assert left.err == f"reasoning-grpc: {file}: no server runs; one that was killed left this file\n"
    assert unnamed.err == (
        "reasoning-grpc: give --pid-file or --admin-listen, or a configuration of the server that has one of the two\n"
    )


async def test_two_servers_cannot_share_a_file(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The second one does not start, and the file stays that of the first, which removes it at its end."""
    async with reloadable(tmp_path, upstream) as running:
        second = await run(
            *("serve", "--config", str(tmp_path / "reasoning.toml"), "--listen", "127.0.0.1:0", "--log-format", "text"),
            variables={"FAKE_KEY": KEY},
        )
        reloaded = await running.reload()

    assert second.code == 1
    assert f"reasoning-grpc: pid_file: {running.pid_file} is that of another server, which runs" in second.err
    assert reloaded.code == 0
    assert not running.pid_file.exists()


async def test_a_terminal_that_closes_ends_the_server(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The SIGHUP of a closed terminal is no reload: nobody can see the server any more, so it drains and ends."""
    write_config(tmp_path, upstream)
    ours, theirs = os.openpty()
    log = tmp_path / "terminal.log"
    arguments = ("serve", "--config", str(tmp_path / "reasoning.toml"), "--listen", "127.0.0.1:0")
    take_terminal = (
        "import fcntl, os, sys, termios; os.setsid(); "
        f"fcntl.ioctl({theirs}, termios.TIOCSCTTY, 0); os.close({theirs}); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", take_terminal, *PROGRAM, *arguments),
            env={"PATH": os.environ["PATH"], "FAKE_KEY": KEY},
            cwd="/",
            stdout=PIPE,
            stderr=errors,
            pass_fds=(theirs,),
        )
    os.close(theirs)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await process.stdout.readline()
        assert line, log.read_text()
        server = ServerProcess(process, read_announced_address(line), log)

        os.close(ours)

        assert await wait_for_end(process) == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert list_stops(server) == [("info", 0)]
    assert "reloaded" not in log.read_text()


async def test_the_level_debug_shows_our_own_code_and_no_secret(upstream: FakeUpstream, tmp_path: Path) -> None:
    """At the lowest level only our own loggers write, and no line has a prompt, an answer, a token or a key."""
    upstream.fail(500)
    upstream.always.reply("the answer that nobody may read")
    async with reloadable(tmp_path, upstream) as running:
        running.write(upstream, FIRST_TOKEN, more='log_level = "debug"')
        assert (await running.reload()).code == 0
        async with ReasoningClient(running.server.address, token=FIRST_TOKEN) as client:
            await client.complete(a_wire_request("the prompt that nobody may read"))

    log = running.server.log.read_text()
    debug = [line for line in running.server.lines() if line["level"] == "debug"]
    assert {line["message"] for line in debug} >= {"route is decided", "attempt has failed"}
    assert {line["logger"].partition(".")[0] for line in debug} == {"reasoning_grpc"}
    for secret in ("nobody may read", FIRST_TOKEN, KEY):
        assert secret not in log
