"""`serve` as a person runs it: its log, its end by signals, and why it does not start."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from reasoning_grpc.config import hash_token
from tests.support.commands import run
from tests.support.factories import a_wire_request
from tests.support.served_process import (
    KEY,
    NOT_SERVING,
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
from tests.support.upstream import UPSTREAM_SECRET

# One event loop for all tests here: they share a server process and the upstream behind it.
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_log_holds_no_secret(served: Served) -> None:
    """Each call has one line with its facts; prompt, token, key and the upstream's words are in none."""
    finished = await served.ask("ask", "a-confidential-prompt", "--json")

    answer = json.loads(finished.out.splitlines()[-1])["completed"]
    (line,) = [line for line in served.lines() if line["message"] == "call"][-1:]
    assert answer["finish_reason"] == "FINISH_REASON_STOP"
    assert {name: line[name] for name in ("level", "method", "code", "caller", "model", "finish_reason")} == {
        "level": "info",
        "method": "StreamComplete",
        "code": "OK",
        "caller": "alice",
        "model": "fake",
        "finish_reason": "STOP",
    }
    log = served.log.read_text()
    for secret in ("a-confidential-prompt", TOKEN, hash_token(TOKEN), KEY, UPSTREAM_SECRET, "Traceback"):
        assert secret not in log


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


async def test_a_server_that_cannot_start_says_why(place: Place, served: Served, tmp_path: Path) -> None:
    """A port in use, a bad configuration, a missing key and a missing file: exit 1 and a clear line each."""
    (tmp_path / "bad.toml").write_text('max_retries = -1\n[models.m]\nlitellm_model = "gpt"\n')
    (tmp_path / "wiring.toml").write_text('[models.m]\nlitellm_model = "azure/m"\n')
    (tmp_path / "provider.toml").write_text('listen = "127.0.0.1:0"\n[models.m]\nlitellm_model = "nobody/m"\n')
    key = {"FAKE_KEY": KEY}

    in_use, bad, no_key, no_file, wiring, provider = await asyncio.gather(
        run("serve", "--config", place.config, "--listen", served.address, variables=key),
        run("serve", "--config", str(tmp_path / "bad.toml")),
        run("serve", "--config", place.config),
        run("serve", "--config", str(tmp_path / "none.toml")),
        run("serve", "--config", str(tmp_path / "wiring.toml")),
        run("serve", "--config", str(tmp_path / "provider.toml")),
    )

    for finished in (in_use, bad, no_key, no_file, wiring, provider):
        assert (finished.code, finished.out) == (1, "")
    assert in_use.err.splitlines()[-1] == (
        f"reasoning-grpc: {served.address} cannot be listened on: it is in use or not ours"
    )
    assert "Traceback" not in in_use.err
    assert bad.err.splitlines() == [
        "reasoning-grpc: max_retries: must be at least 0 and at most 10",
        'reasoning-grpc: models.m.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
    ]
    assert no_key.err == ("reasoning-grpc: models.fake.api_key_env: the environment variable FAKE_KEY is not set\n")
    assert no_file.err == f"reasoning-grpc: {tmp_path / 'none.toml'}: there is no such file\n"
    assert wiring.err == "reasoning-grpc: models.m.api_base: is missing; azure has no address of its own\n"
    assert provider.err.splitlines()[-1] == "reasoning-grpc: models.m.litellm_model: litellm has no provider 'nobody'"
    assert "Traceback" not in provider.err
