"""The commands of the client's side say in plain words why gRPC itself ended a call."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.commands import Finished, run
from tests.support.serving import RunningServer

pytestmark = pytest.mark.process


@contextmanager
def reserve_port(*, listening: bool) -> Iterator[str]:
    """Reserves a port of this machine, and yields its address; a call to it is refused unless it is listening."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        if listening:
            reserved.listen()
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


async def test_a_server_that_does_not_run_is_reported() -> None:
    """Each command says in one line that nothing listens, and shows no text of gRPC."""
    with reserve_port(listening=False) as address:
        finished = await asyncio.gather(
            run("ask", "hi", "--target", address),
            run("models", "--target", address),
            run("classify", "hi", "--target", address),
            run("eval", "routing", "--limit", "1", "--target", address),
            run("models", "--tls", "--target", address),
        )

    expected = f"reasoning-grpc: UNAVAILABLE: nothing listens on {address}; is the server running?\n"
    assert set(finished) == {Finished(1, "", expected)}


async def test_a_server_that_never_answers_is_reported() -> None:
    """A call that ends by its own time limit says how long it waited."""
    with reserve_port(listening=True) as address:
        finished = await run("models", "--target", address, "--timeout-seconds", "0.5")

    assert finished == Finished(1, "", "reasoning-grpc: DEADLINE_EXCEEDED: there was no answer within 0.5 s\n")


async def test_a_server_without_tls_is_reported(running_server: RunningServer) -> None:
    """A TLS client of a server without TLS says that the handshake failed."""
    finished = await run("models", "--tls", "--target", running_server.address)

    sentence = "the TLS handshake with {} failed; does the server use TLS, with a certificate for this name?"
    assert finished == Finished(1, "", f"reasoning-grpc: UNAVAILABLE: {sentence.format(running_server.address)}\n")
