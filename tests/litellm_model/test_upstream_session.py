"""Requests over our connections to upstreams that answer in every way that HTTP allows, and in some others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from reasoning_grpc.litellm_model.transport.answer import UpstreamAnswer
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.errors import NoFreeConnection
from reasoning_grpc.litellm_model.transport.exchange import Exchange, TransportLimits
from tests.support.garbage import finding_garbage

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LARGE = bytes(range(256)) * 4 * 4096
"""4 MiB, which no socket takes at once."""


@asynccontextmanager
async def _serve(handler: Handler) -> AsyncIterator[tuple[ConnectionPool, str]]:
    """Runs a server whose connections the handler serves, and a pool for it."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=16 * 1024 * 1024)
    pool = ConnectionPool(limit=4, connect_timeout_seconds=5)
    try:
        yield pool, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        await pool.aclose()
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_whole(answer: UpstreamAnswer) -> bytes:
    chunks = []
    while data := await answer.read():
        chunks.append(data)
    return b"".join(chunks)


async def _post(pool: ConnectionPool, url: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    answer = await pool.send("POST", url, headers=headers, body=body)
    try:
        return answer.status, await _read_whole(answer)
    finally:
        pool.finish(answer)


@pytest.mark.parametrize("body", [b"", b"small", LARGE])
async def test_a_body_of_any_size_arrives_whole(body: bytes) -> None:
    """A request has the length of its body, whether the body is sent in one write or in slices."""
    received: list[tuple[bytes, bytes]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            received.append((head, await reader.readexactly(len(body))))
            writer.write(WHOLE)
        assert await reader.read() == b""

    async with _serve(handler) as (pool, url):
        answers = [await _post(pool, url, body, Authorization="Bearer key") for _ in range(2)]

        assert answers == [(200, b"ok")] * 2
        assert pool.opened == 1
        assert pool.active == 0
    assert [each for _, each in received] == [body] * 2
    lines = received[0][0].decode().split("\r\n")
    assert lines[0] == "POST /v1 HTTP/1.1"
    assert f"Content-Length: {len(body)}" in lines
    assert "Authorization: Bearer key" in lines


async def test_an_answer_before_the_whole_body_is_read() -> None:
    """An upstream may refuse a large body before it has read it; the connection, in mid-request, is not used again."""
    ended = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig")
        while await reader.read(65536):
            pass
        ended.set()

    async with _serve(handler) as (pool, url):
        status, body = await _post(pool, url, LARGE * 4)
        await ended.wait()

        assert (status, body) == (413, b"big")
        assert pool.open == 0


@pytest.mark.parametrize(
    ("size", "count"), [(1, 20_000), (1000, 2000), (300_000, 8)], ids=["many tiny", "many small", "few large"]
)
async def test_chunks_of_any_size_and_number_arrive_whole(size: int, count: int) -> None:
    """More HTTP chunks, or bytes, than may wait to be read hold the upstream up, and arrive in order all the same."""
    chunks = [bytes([number % 251]) * size for number in range(count)]
    framed = b"".join(b"%x\r\n%b\r\n" % (size, chunk) for chunk in chunks)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n")
            await writer.drain()
        assert await reader.read() == b""

    async with _serve(handler) as (pool, url):
        answers = [await _post(pool, url, b"") for _ in range(2)]

        assert answers == [(200, b"".join(chunks))] * 2
        assert pool.opened == 1
        assert pool.open == 1


async def test_an_answer_that_breaks_in_a_chunk_is_no_end() -> None:
    """An answer whose connection breaks within a chunk is reported as broken, and its connection is not used again."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n5\r\nha")

    async with _serve(handler) as (pool, url):
        answer = await pool.send("POST", url, headers={}, body=b"")
        with pytest.raises(aiohttp.ClientPayloadError):
            await _read_whole(answer)
        pool.finish(answer)

        assert pool.open == 0


async def test_interim_answers_are_skipped() -> None:
    """Early hints come before the answer, and are none."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + WHOLE)

    async with _serve(handler) as (pool, url):
        assert await _post(pool, url, b"") == (200, b"ok")


async def test_a_head_that_is_not_http_is_malformed() -> None:
    """What another protocol answers is reported as a malformed answer, and its connection is closed."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 smtp.example ESMTP\r\n\r\n")
        assert await reader.read() == b""

    async with _serve(handler) as (pool, url):
        with pytest.raises(aiohttp.ClientResponseError):
            await pool.send("POST", url, headers={}, body=b"")

        assert (pool.open, pool.active) == (0, 0)


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_of_several_lines_is_never_sent(value: str) -> None:
    """A header with a line break could be read as another header or request, so nothing of the request leaves."""

    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        raise AssertionError(await reader.read())

    async with _serve(handler) as (pool, url):
        with pytest.raises(ValueError, match="line break"):
            await pool.send("POST", url, headers={"X-Client-Request-Id": value}, body=b"")

        assert (pool.opened, pool.active) == (0, 0)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "http:///v1", "http://[::1/v1"])
async def test_an_address_that_cannot_be_called(url: str) -> None:
    """An address of another protocol, or without a host, is refused before anything is connected."""
    pool = ConnectionPool(limit=1)
    try:
        with pytest.raises(aiohttp.InvalidURL):
            await pool.send("POST", url, headers={}, body=b"")

        assert (pool.opened, pool.active) == (0, 0)
    finally:
        await pool.aclose()


async def test_a_cancelled_request_closes_its_connection() -> None:
    """A request that is cancelled while its answer is awaited leaves nothing behind."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        assert await reader.read() == b""
        ended.set()

    async with _serve(handler) as (pool, url):
        task = asyncio.create_task(pool.send("POST", url, headers={}, body=b""))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended.wait()

        assert (pool.open, pool.active) == (0, 0)


@pytest.mark.parametrize("turns", range(12))
async def test_a_request_that_is_cancelled_as_its_answer_arrives_leaves_no_garbage(turns: int) -> None:
    """Whether its headers were read or not, and the rest of the answer with them."""
    arrived = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(WHOLE[:-1])
        arrived.set()
        await reader.read()

    async with _serve(handler) as (pool, url):
        with finding_garbage() as found:
            task = asyncio.create_task(pool.send("POST", url, headers={}, body=b""))
            await arrived.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                pool.finish(task.result())
            del task
            while pool.open:  # noqa: ASYNC110 - the connection is closed in one of the next turns
                await asyncio.sleep(0)

    assert found == set()


_PIECES = [f"{number:02}".encode() for number in range(40)]


@asynccontextmanager
async def _exchanging_pieces(
    end: Callable[[asyncio.StreamWriter], None], pause_seconds: float
) -> AsyncIterator[Exchange]:
    """Sends a request whose answer comes in pieces, each in a turn of its own, ends so, and is read with pauses."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in _PIECES:
            writer.write(b"2\r\n" + piece + b"\r\n")
            for _ in range(5):
                await asyncio.sleep(0)
        end(writer)

    async with _serve(handler) as (pool, url):
        pool.pace.pause_seconds = pause_seconds
        exchange = Exchange(pool, TransportLimits(), {})
        await exchange.send(url, b"", {})
        yield exchange
        exchange.close()
        assert pool.active == 0


async def _read_pieces(exchange: Exchange, reads: list[bytes]) -> None:
    while data := await exchange.read():
        reads.append(data)


def _end_well(writer: asyncio.StreamWriter) -> None:
    writer.write(b"0\r\n\r\n")


async def test_with_pauses_the_same_answer_takes_few_reads() -> None:
    """What arrives in a pause is read at once after it."""
    counts = []
    for pause_seconds in (0.0, 0.2):
        reads: list[bytes] = []
        async with _exchanging_pieces(_end_well, pause_seconds) as exchange:
            await _read_pieces(exchange, reads)
            assert exchange.is_at_end
        assert b"".join(reads) == b"".join(_PIECES)
        counts.append(len(reads))

    assert counts[0] > 20
    assert counts[1] < 10


async def test_a_connection_that_breaks_in_a_pause_is_seen_after_it() -> None:
    """What arrived before is read, and then the break is reported."""
    reads: list[bytes] = []
    async with _exchanging_pieces(lambda writer: writer.close(), 0.05) as exchange:
        with pytest.raises(aiohttp.ClientPayloadError):
            await _read_pieces(exchange, reads)

    assert b"".join(reads) == b"".join(_PIECES)


async def test_an_answer_can_be_given_up_in_a_pause() -> None:
    """Its connection is closed at once, and nothing goes on to read it."""
    reads: list[bytes] = []
    async with _exchanging_pieces(_end_well, 60.0) as exchange:
        reading = asyncio.create_task(_read_pieces(exchange, reads))
        while len(reads) < 2:  # noqa: ASYNC110 - nothing tells when a pause begins, which is after the second read
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})

    assert reading.cancelled()


async def test_a_free_connection_goes_to_the_owner_with_the_fewest() -> None:
    """The owner with the fewest connections is the next of those that wait, however many of another came before it."""
    received: list[str] = []
    arrivals: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _read_head(reader):
            received.append(head.split(b"/", 2)[1].split(b" ")[0].decode())
            gate = asyncio.Event()
            arrivals.put_nowait(gate)
            await gate.wait()
            writer.write(WHOLE)

    async with _serve(handler) as (pool, url):
        waiting: asyncio.Queue[str] = asyncio.Queue()

        async def call(owner: str) -> tuple[int, bytes]:
            def record(is_waiting: bool) -> None:
                if is_waiting:
                    waiting.put_nowait(owner)

            base = url.removesuffix("v1")
            answer = await pool.send("POST", f"{base}{owner}", headers={}, owner=owner, on_queue=record)
            try:
                return answer.status, await _read_whole(answer)
            finally:
                pool.finish(answer)

        calls = [asyncio.create_task(call("busy")) for _ in range(4)]
        gates = [await arrivals.get() for _ in range(4)]
        for owner in ("busy", "busy", "other"):
            calls.append(asyncio.create_task(call(owner)))
            assert await waiting.get() == owner
        gates[0].set()
        gates.append(await arrivals.get())
        assert received == ["busy"] * 4 + ["other"]
        for gate in gates[1:]:
            gate.set()
        for _ in range(2):
            (await arrivals.get()).set()

        assert await asyncio.gather(*calls) == [(200, b"ok")] * 7
        assert pool.active == 0


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@pytest.mark.parametrize("ending", ["cancelled", "refused", "unreachable"])
async def test_a_connection_that_was_not_used_is_free_again(ending: str) -> None:
    """A request that ends before it is sent, however it ends, leaves its place to the next one."""
    gate = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await _read_head(reader):
            await gate.wait()
            writer.write(WHOLE)

    async with _serve(handler) as (_, url):
        pool = ConnectionPool(limit=1, queue_seconds=0.01 if ending == "refused" else 60.0)
        if ending == "unreachable":
            with pytest.raises(aiohttp.ClientConnectorError):
                await pool.send("POST", "http://127.0.0.1:1/v1", headers={})
            gate.set()
        else:
            began = asyncio.Event()
            first = asyncio.create_task(_post(pool, url, b""))
            while not pool.active:  # noqa: ASYNC110 - one step of the loop
                await asyncio.sleep(0)
            second = asyncio.create_task(pool.send("POST", url, headers={}, on_queue=lambda _: began.set()))
            await began.wait()
            if ending == "cancelled":
                second.cancel()
            with pytest.raises(asyncio.CancelledError if ending == "cancelled" else NoFreeConnection):
                await second
            gate.set()
            assert await first == (200, b"ok")

        assert await _post(pool, url, b"") == (200, b"ok")
        assert pool.active == 0
        await pool.aclose()
