"""Signals end `serve` and `ask` cleanly, and leave the terminal as it was."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import models_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.commands import PATIENCE_SECONDS, running_process, start_after
from tests.support.factories import a_wire_request
from tests.support.health import NOT_SERVING, SERVING, next_status
from tests.support.ports import find_port
from tests.support.server_process import (
    ROUTE_LINE,
    TOKEN,
    ServerFolder,
    ServerProcess,
    expect_clean_end,
    list_stops,
    wait_for_end,
    watching_readiness,
)
from tests.support.upstream import refusing_api_base
from tests.support.wire_calls import expect_failure

# All tests of the command line share an event loop, with a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process, pytest.mark.serial]


DRAINING: Final = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@dataclass(frozen=True)
class Stoppable:
    """Server processes that the tests end, one for each way."""

    by_sigint: ServerProcess
    with_ignored: ServerProcess


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stoppable(server_folder: ServerFolder) -> AsyncIterator[Stoppable]:
    """Server processes, which are started at the same time because that takes half as long."""
    contexts = [
        server_folder.serving(),
        server_folder.serving(program=start_after("trap '' INT HUP QUIT USR1 USR2")),
    ]
    servers = await asyncio.gather(*(context.__aenter__() for context in contexts))
    try:
        yield Stoppable(*servers)
    finally:
        for context in contexts:
            await context.__aexit__(None, None, None)


async def test_sigint_ends_an_idle_server(stoppable: Stoppable) -> None:
    """SIGINT ends an idle server like SIGTERM, which ends the server of all other tests."""
    await expect_clean_end(stoppable.by_sigint, signal.SIGINT)


async def test_ignored_signals_stay_ignored(stoppable: Stoppable) -> None:
    """A server that was started to ignore every signal but SIGTERM serves on after them, and SIGTERM still ends it."""
    server = stoppable.with_ignored

    for number in (signal.SIGINT, signal.SIGHUP, *DRAINING):
        server.process.send_signal(number)

    # SIGTERM would end the server at once, with another exit code, if one of the signals had begun to stop it.
    assert (await server.ask("ask", "hi")).code == 0
    await expect_clean_end(server, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, *DRAINING])
async def test_a_signal_lets_a_stream_end(server_folder: ServerFolder, number: signal.Signals) -> None:
    """After a signal a stream in progress ends well, and then the server exits with 0."""
    gate = server_folder.upstream.gated("Hel", "lo")
    gate.open()
    async with (
        server_folder.serving() as server,
        server.client() as client,
        watching_readiness(server.address) as watch,
    ):
        assert await next_status(watch) == SERVING
        events = client.stream(a_wire_request())
        assert [(await anext(events)).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]

        server.process.send_signal(number)
        assert await next_status(watch) == NOT_SERVING
        gate.open_all()

        assert [event.WhichOneof("kind") async for event in events] == ["content_delta", "completed"]
        assert await wait_for_end(server.process) == 0
    assert list_stops(server) == [("info", 0)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGUSR1, signal.SIGQUIT),
    ],
    ids=lambda number: number.name,
)
async def test_a_second_signal_ends_the_server_at_once(
    server_folder: ServerFolder, first: signal.Signals, second: signal.Signals
) -> None:
    """A second signal ends the server without waiting for calls in progress, and without a traceback.

    The delay is over, so the server refuses new calls already. The client of a stream in progress loses its connection:
    its call ends as UNAVAILABLE, without a reason and without what it has used.
    """
    server_folder.upstream.hang_after(1)
    before = server_folder.upstream.disconnects
    async with (
        server_folder.serving() as server,
        server.client() as client,
        watching_readiness(server.address) as watch,
    ):
        assert await next_status(watch) == SERVING
        events = client.stream(a_wire_request())
        assert [(await anext(events)).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]
        server.process.send_signal(first)
        assert await next_status(watch) == NOT_SERVING
        await wait_until_refused(server)
        assert server.process.returncode is None

        server.process.send_signal(second)

        assert await wait_for_end(server.process) == 128 + second
        with pytest.raises(CallFailed) as failed:
            await anext(events)
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.UNAVAILABLE, "")
    assert failed.value.interruption is None
    await server_folder.upstream.disconnect(before + 1)
    assert list_stops(server) == []
    assert "Traceback" not in server.log.read_text()


async def wait_until_refused(server: ServerProcess) -> None:
    """Waits until the server refuses new calls because it stops."""
    async with asyncio.timeout(PATIENCE_SECONDS), grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = ReasoningServiceStub(channel)
        while (await expect_failure(stub.ListModels(models_pb2.ListModelsRequest()))).reason != "SERVER_SHUTTING_DOWN":
            pass  # until then it misses the token


def let_wait_for_tools(folder: ServerFolder, other_folder: Path, url: str) -> ServerFolder:
    """Returns another folder with this configuration, with which a server waits for an MCP server at the address."""
    required = f'[mcp_servers.absent]\nurl = "{url}"\nrequired = true\n'
    (other_folder / "reasoning.toml").write_text(Path(folder.config).read_text() + required)
    return ServerFolder(other_folder, folder.upstream)


async def test_a_signal_ends_a_server_during_its_start(server_folder: ServerFolder, tmp_path: Path) -> None:
    """A server that is not ready yet reports NOT_SERVING, and exits with 0 after a signal.

    It waits for an MCP server that is not there, so that it does not become ready before its health is watched.
    """
    address = f"127.0.0.1:{find_port()}"
    with refusing_api_base() as absent:
        waiting_folder = let_wait_for_tools(server_folder, tmp_path, absent)
        async with waiting_folder.starting(address) as (process, log), watching_readiness(address) as watch:
            assert await next_status(watch) == NOT_SERVING

            process.send_signal(signal.SIGTERM)

            assert process.stdout is not None
            assert await process.stdout.read() == b""
            assert await wait_for_end(process) == 0
            assert "Traceback" not in log.read_text()


async def test_ctrl_c_ends_ask(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """SIGINT ends `ask` with 130 and without a traceback, and disconnects the upstream."""
    server_folder.upstream.hang_after(1)
    before = server_folder.upstream.disconnects
    async with asking(server_process) as process:
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()

        assert process.returncode == 130
        assert out == b""
        assert err.decode() == ROUTE_LINE
    await server_folder.upstream.disconnect(before + 1)


ENDINGS = [pytest.param(signal.SIGTERM, 143, id="SIGTERM"), pytest.param(signal.SIGHUP, 129, id="SIGHUP")]


@pytest.mark.parametrize(("number", "code"), ENDINGS)
async def test_a_signal_ends_ask(
    server_folder: ServerFolder, server_process: ServerProcess, number: signal.Signals, code: int
) -> None:
    """SIGTERM and SIGHUP end `ask` with the exit code of the signal, and disconnect the upstream."""
    server_folder.upstream.hang_after(1)
    before = server_folder.upstream.disconnects
    async with asking(server_process) as process:
        process.send_signal(number)
        out, err = await process.communicate()

        assert (process.returncode, out, err.decode()) == (code, b"", ROUTE_LINE)
    await server_folder.upstream.disconnect(before + 1)


async def test_ask_ignores_what_it_was_started_to_ignore(
    server_folder: ServerFolder, server_process: ServerProcess
) -> None:
    """`ask` that was started to ignore SIGINT and SIGHUP answers to the end after them."""
    gate = server_folder.upstream.gated("word0 ", "word1")
    gate.open()
    async with asking(server_process, program=start_after("trap '' INT HUP")) as process:
        for number in (signal.SIGINT, signal.SIGHUP):
            process.send_signal(number)
        gate.open_all()
        out, _ = await process.communicate()

        assert (process.returncode, out) == (0, b"word1\n")


@asynccontextmanager
async def asking(server: ServerProcess, **options: Any) -> AsyncIterator[Process]:
    """Runs `ask`, and yields its process once it has printed the first word of the answer."""
    arguments = ("ask", "hi", "--target", server.address)
    variables = {"REASONING_TOKEN": TOKEN}
    async with running_process(
        *arguments, variables=variables, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, **options
    ) as process:
        assert process.stdout is not None
        assert await process.stdout.readexactly(6) == b"word0 "
        yield process


async def test_ctrl_c_leaves_the_cursor_on(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """SIGINT while the agent thinks ends `ask` with the cursor on and without a traceback."""
    server_folder.upstream.hang()
    requests, disconnects = len(server_folder.upstream.requests), server_folder.upstream.disconnects
    ours, theirs = os.openpty()
    try:
        async with running_process(
            *("ask", "hi", "--reason", "--target", server_process.address),
            variables={"REASONING_TOKEN": TOKEN, "TERM": "xterm"},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            output = await read_until(ours, "step 1 of 8")
            await server_folder.upstream.request(requests + 1)  # the line is printed before the request is sent

            process.send_signal(signal.SIGINT)
            output += await read_until(ours, "\x1b[?25h")

            assert await wait_for_end(process) == 130
        assert "\x1b[?25l" in output
        assert "Traceback" not in output
    finally:
        os.close(ours)
    await server_folder.upstream.disconnect(disconnects + 1)


async def read_until(terminal: int, text: str) -> str:
    """Returns the output of a terminal up to this text; raises OSError when no process writes to it any more."""
    output = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in output:
            output += (await asyncio.to_thread(os.read, terminal, 4096)).decode()
    return output
