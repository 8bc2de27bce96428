"""The commands of the client's side say in plain words why gRPC itself ended a call."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import grpc
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


@asynccontextmanager
async def running_proxy(message: str) -> AsyncIterator[str]:
    """Runs a proxy that ends each call as UNAVAILABLE with this message, and yields its address."""

    async def refuse(_: object, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNAVAILABLE, message)

    class Refusals(grpc.GenericRpcHandler):
        """Refuses each call."""

        def service(self, _: object) -> Any:
            """See grpc."""
            return grpc.unary_unary_rpc_method_handler(refuse)

    server = grpc.aio.server(handlers=[Refusals()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


RESET: Final = "upstream connect error or disconnect/reset before headers. reset reason: "


async def call_through_proxy(message: str) -> str:
    """Calls a proxy that ends each call with this message, and returns what the command reports of it."""
    async with running_proxy(message) as address:
        finished = await run("models", "--target", address)
    assert (finished.code, finished.out) == (1, "")
    return finished.err.replace(address, "ADDRESS")


async def test_a_proxy_without_servers_is_reported() -> None:
    """What the proxy says of its servers is quoted, without control characters, and is not said of the proxy itself."""
    quoted_by_message = {
        "no healthy upstream": "no healthy upstream",
        '{"message":"no healthy upstream"}': "no healthy upstream",
        **{text: text for text in (RESET + "Connection refused", RESET + "TLS handshake", RESET + "timeout")},
        "upstream says \x1b[2J\x07 bell": "upstream says [2J bell",
    }

    reports = await asyncio.gather(*map(call_through_proxy, quoted_by_message))

    sentence = "reasoning-grpc: UNAVAILABLE: a proxy on ADDRESS answers in place of a server: "
    hint = "; are the servers behind it running and healthy?\n"
    assert reports == [f"{sentence}{quoted}{hint}" for quoted in quoted_by_message.values()]


async def answer_bad_gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request of HTTP/2 with headers that have the status 502 alone and end the stream."""
    headers, settings, ends = 1, 4, 5
    await reader.readexactly(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    writer.write(bytes([0, 0, 0, settings, 0, 0, 0, 0, 0]))
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            frame = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(frame[:3]))
            if frame[3] == headers:
                writer.write(bytes([0, 0, 5, headers, ends, *frame[5:], 8, 3, *b"502"]))
    writer.close()


async def test_a_proxy_that_answers_as_http_is_reported() -> None:
    """A proxy that is not set up for gRPC answers with an HTTP status, which the report names."""
    server = await asyncio.start_server(answer_bad_gateway, "127.0.0.1", 0)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finished = await run("models", "--target", address)

    sentence = f"a proxy or web server on {address} answers with HTTP 502"
    hint = "is it set up for gRPC, with servers behind it?"
    assert finished == Finished(1, "", f"reasoning-grpc: UNAVAILABLE: {sentence}; {hint}\n")
