"""A signal drains a server process: it refuses late, cuts late, and never waits for what it does not need."""

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import reasoning_request, write_plan_without_tools
from tests.support.factories import a_wire_request
from tests.support.health import NOT_SERVING, SERVING, next_status
from tests.support.server_process import ServerFolder, list_stops, wait_for_end, watching_readiness

# All tests of the command line share an event loop, with a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process, pytest.mark.serial]

LONG_DELAY = {"REASONING_DRAIN_DELAY_SECONDS": "600"}
HELD_MODULE = "distro"
"""A module that litellm imports, by way of openai, and that nothing else does."""


async def test_sigterm_serves_on_for_the_delay(server_folder: ServerFolder) -> None:
    """After SIGTERM health is NOT_SERVING and calls are still served; a second signal in the delay ends the server."""
    async with with_variables(server_folder, LONG_DELAY).serving() as server:
        async with server.client() as client, watching_readiness(server.address) as watch:
            assert await next_status(watch) == SERVING
            server.process.send_signal(signal.SIGTERM)
            assert await next_status(watch) == NOT_SERVING

            server_folder.upstream.reply("still here")
            answer = await client.complete(a_wire_request())

            assert answer.message.content[0].text == "still here"
            assert server.process.returncode is None
            server.process.send_signal(signal.SIGTERM)
            assert await wait_for_end(server.process) == 128 + signal.SIGTERM
        assert list_stops(server) == []
        assert "Traceback" not in server.log.read_text()


async def test_sigterm_lets_calls_of_every_kind_end(server_folder: ServerFolder) -> None:
    """Health is NOT_SERVING first; then all calls end well, and an open watch does not delay the end."""
    upstream = server_folder.upstream
    gates = [upstream.gated("Hel", "lo") for _ in range(2)]
    steps = upstream.gated(write_plan_without_tools())
    before = len(upstream.requests)
    async with (
        server_folder.serving() as server,
        server.client() as client,
        watching_readiness(server.address) as watch,
    ):
        assert await next_status(watch) == SERVING
        unary = asyncio.create_task(client.complete(a_wire_request()))
        await upstream.request(before + 1)
        streamed = asyncio.create_task(read_kinds(client, a_wire_request()))
        await upstream.request(before + 2)
        reasoned = asyncio.create_task(read_kinds(client, reasoning_request()))
        await upstream.request(before + 3)

        server.process.send_signal(signal.SIGTERM)
        assert await next_status(watch) == NOT_SERVING
        for gate in (*gates, steps):
            gate.open_all()

        assert (await unary).message.content[0].text == "Hello"
        assert (await streamed)[-1] == "completed"
        assert {"step_finished", "completed"} <= set(await reasoned)
        assert await wait_for_end(server.process) == 0
    assert list_stops(server) == [("info", 0)]
    assert "Traceback" not in server.log.read_text()


async def read_kinds(client: ReasoningClient, request: completion_pb2.CompleteRequest) -> list[str | None]:
    """Returns the kinds of all events of a stream."""
    return [event.WhichOneof("kind") async for event in client.stream(request)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
async def test_a_signal_of_a_terminal_has_no_delay(server_folder: ServerFolder, number: signal.Signals) -> None:
    """A signal that a person sends at a terminal ends an idle server at once, whatever the delay is."""
    async with with_variables(server_folder, LONG_DELAY).serving() as server:
        server.process.send_signal(number)

        assert await wait_for_end(server.process) == 0
    assert list_stops(server) == [("info", 0)]


@pytest.mark.parametrize(
    ("number", "delay"),
    [
        pytest.param(signal.SIGTERM, {}, id="SIGTERM"),
        pytest.param(signal.SIGINT, LONG_DELAY, id="SIGINT"),
    ],
)
async def test_a_signal_cuts_what_outlasts_the_grace(
    server_folder: ServerFolder, number: signal.Signals, delay: Mapping[str, str]
) -> None:
    """A stream that outlasts the grace ends as SERVER_SHUTTING_DOWN with its usage, and the server exits with 0.

    The grace of SIGINT begins at once, whatever the delay is.
    """
    server_folder.upstream.hang_after(1)
    before = server_folder.upstream.disconnects
    folder = with_variables(server_folder, {"REASONING_GRACE_SECONDS": "0", **delay})
    async with folder.serving() as server, server.client() as client:
        events = client.stream(a_wire_request())
        assert [(await anext(events)).WhichOneof("kind") for _ in range(2)] == ["started", "content_delta"]

        server.process.send_signal(number)
        with pytest.raises(CallFailed) as failed:
            await anext(events)

        assert await wait_for_end(server.process) == 0
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_SHUTTING_DOWN")
    assert failed.value.interruption is not None
    assert failed.value.interruption.content_characters > 0
    await server_folder.upstream.disconnect(before + 1)
    assert list_stops(server) == [("info", 1)]
    assert "Traceback" not in server.log.read_text()


async def test_sigterm_does_not_wait_for_an_import(server_folder: ServerFolder, tmp_path: Path) -> None:
    """A server that is told to stop while it imports litellm ends although the import does not."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / f"{HELD_MODULE}.py").write_text(f"open({str(gate)!r}).read()\n")
    folder = with_variables(server_folder, {"PYTHONPATH": str(tmp_path)})
    async with folder.starting() as (process, log):
        with await asyncio.to_thread(gate.open, "w"):  # it opens when the import opens the other end
            process.send_signal(signal.SIGTERM)

            assert await wait_for_end(process) == 0
        assert "Traceback" not in log.read_text()


def with_variables(folder: ServerFolder, variables: Mapping[str, str]) -> ServerFolder:
    """Returns the same folder, whose servers have these variables in their environment."""
    return replace(folder, variables=variables)
