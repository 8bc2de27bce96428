"""What signals do to the commands, and what a terminal keeps of that."""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.support.commands import PATIENCE_SECONDS, process_of
from tests.support.factories import a_wire_request
from tests.support.served_process import (
    NOT_SERVING,
    ROUTE_LINE,
    SERVING,
    TOKEN,
    Place,
    Served,
    ended,
    is_ended_while_idle,
    next_status,
    stopped_lines,
    watched,
)

# One event loop for all tests here: they share a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.process, pytest.mark.serial]


@dataclass(frozen=True)
class Stoppable:
    """Server processes to be ended, one for each way."""

    by_sigint: Served
    with_stream: Served
    twice: Served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stoppable(place: Place) -> AsyncIterator[Stoppable]:
    """Started together, which takes half as long."""
    contexts = [place.serving() for _ in range(3)]
    servers = await asyncio.gather(*(context.__aenter__() for context in contexts))
    try:
        yield Stoppable(*servers)
    finally:
        for context in contexts:
            await context.__aexit__(None, None, None)


async def test_sigint_ends_an_idle_server(stoppable: Stoppable) -> None:
    """Ctrl-C is as good as SIGTERM, with which the server of all other tests ends."""
    await is_ended_while_idle(stoppable.by_sigint, signal.SIGINT)


async def test_a_signal_lets_a_stream_end(place: Place, stoppable: Stoppable) -> None:
    """The stream that runs is answered whole, then the server exits 0."""
    server = stoppable.with_stream
    gate = place.upstream.gated("Hel", "lo")
    gate.open()
    async with server.client() as client, watched(server.address) as watch:
        assert await next_status(watch) == SERVING
        events = client.stream(a_wire_request())
        assert [(await anext(events)).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]

        server.process.send_signal(signal.SIGTERM)
        assert await next_status(watch) == NOT_SERVING
        gate.open_all()

        assert [event.WhichOneof("kind") async for event in events] == ["content_delta", "completed"]
        assert await ended(server.process) == 0
    assert stopped_lines(server) == [("info", 0)]


async def test_a_second_signal_ends_the_server_at_once(place: Place, stoppable: Stoppable) -> None:
    """It does not wait for what runs, and leaves no traceback."""
    server = stoppable.twice
    place.upstream.hang_after(1)
    before = place.upstream.disconnects
    async with server.client() as client, watched(server.address) as watch:
        assert await next_status(watch) == SERVING
        events = client.stream(a_wire_request())
        assert [(await anext(events)).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]
        server.process.send_signal(signal.SIGTERM)
        assert await next_status(watch) == NOT_SERVING
        assert server.process.returncode is None

        server.process.send_signal(signal.SIGINT)

        assert await ended(server.process) == 128 + signal.SIGINT
        await events.aclose()
    await place.upstream.disconnect(before + 1)
    assert stopped_lines(server) == []
    assert "Traceback" not in server.log.read_text()


async def test_a_signal_ends_a_server_that_still_starts(place: Place) -> None:
    """While it is not ready yet it says so, and a signal ends it with 0 all the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    async with place.starting(address) as (process, log), watched(address) as watch:
        assert await next_status(watch) == NOT_SERVING

        process.send_signal(signal.SIGTERM)

        assert process.stdout is not None
        assert await process.stdout.read() == b""
        assert await ended(process) == 0
        assert "Traceback" not in log.read_text()


async def test_ctrl_c_ends_ask(place: Place, served: Served) -> None:
    """SIGINT cancels the call up to the upstream, and leaves no traceback."""
    place.upstream.hang_after(1)
    before = place.upstream.disconnects
    arguments = ("ask", "hi", "--target", served.address)
    async with process_of(
        *arguments, variables={"REASONING_TOKEN": TOKEN}, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    ) as process:
        assert process.stdout is not None
        assert await process.stdout.readexactly(6) == b"word0 "

        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()

        assert process.returncode == 130
        assert out == b""
        assert err.decode() == ROUTE_LINE
    await place.upstream.disconnect(before + 1)


async def test_a_terminal_is_left_as_it_was(place: Place, served: Served) -> None:
    """Interrupted while the agent thinks, `ask` leaves the cursor on, and no traceback."""
    place.upstream.hang()
    requests, disconnects = len(place.upstream.requests), place.upstream.disconnects
    ours, theirs = os.openpty()
    try:
        async with process_of(
            *("ask", "hi", "--reason", "--target", served.address),
            variables={"REASONING_TOKEN": TOKEN, "TERM": "xterm"},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            shown = await _shown_until(ours, "step 1 of 8")
            await place.upstream.request(requests + 1)  # announced before it is sent

            process.send_signal(signal.SIGINT)
            shown += await _shown_until(ours, "\x1b[?25h")

            assert await ended(process) == 130
        assert "\x1b[?25l" in shown
        assert "Traceback" not in shown
    finally:
        os.close(ours)
    await place.upstream.disconnect(disconnects + 1)


async def _shown_until(terminal: int, words: str) -> str:
    """What a terminal shows up to these words; raises OSError when nobody writes to it any more."""
    shown = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while words not in shown:
            shown += (await asyncio.to_thread(os.read, terminal, 4096)).decode()
    return shown
