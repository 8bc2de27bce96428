"""The fake upstream follows its scripts, as a plain aiohttp client sees it."""

import asyncio
import io
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.upstream import (
    DEFAULT_USAGE,
    PATIENCE_SECONDS,
    UPSTREAM_SECRET,
    FakeToolCall,
    FakeUpstream,
    Gate,
    chunk,
    numbered,
    refusing_api_base,
    usage_chunk,
)

pytestmark = pytest.mark.asyncio

STREAM = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}


class Client:
    """Sends requests to the fake, and stores nothing."""

    def __init__(self, session: aiohttp.ClientSession, api_base: str) -> None:
        self._session = session
        self._url = f"{api_base}/chat/completions"

    def post(self, body: Any = STREAM, **options: Any) -> Any:
        """Returns the response, as a context manager."""
        return self._session.post(self._url, json=body, **options)

    async def text(self, body: Any = STREAM) -> str:
        """Returns the whole body of an answer."""
        async with self.post(body) as response:
            return str(await response.text())

    async def events(self, body: Any = STREAM) -> AsyncGenerator[Any, None]:
        """Yields the parsed events of a stream, and [DONE] as text."""
        async with self.post(body) as response:
            async for line in response.content:
                if line.strip():
                    data = line.decode().removeprefix("data: ").strip()
                    yield data if data == "[DONE]" else json.loads(data)

    async def deltas(self) -> list[dict[str, Any]]:
        """Returns every delta of a stream."""
        chunks = [event async for event in self.events() if event != "[DONE]"]
        return [choice["delta"] for event in chunks for choice in event["choices"]]


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """Provides a fake for each test, and checks that it leaves no task."""
    async with FakeUpstream() as fake:
        yield fake
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest_asyncio.fixture
async def client(upstream: FakeUpstream) -> AsyncIterator[Client]:
    """Provides a client of the fake."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, upstream.api_base)


async def test_default_stream(client: Client) -> None:
    """Without a script a request gets "Hello", " world", a finish, the usage and [DONE]."""
    hello, world, finish, usage, done = [event async for event in client.events()]

    assert hello["choices"][0]["delta"] == {"role": "assistant", "content": "Hello"}
    assert world["choices"][0]["delta"] == {"content": " world"}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]) == ([], DEFAULT_USAGE)
    assert done == "[DONE]"


async def test_usage_is_sent_only_when_asked_for(upstream: FakeUpstream, client: Client) -> None:
    """Only include_usage brings a usage chunk, and then the usage may be null or absent."""
    upstream.reply("a")
    upstream.reply("a", usage="null")
    upstream.reply("a", usage=None)

    unasked = await client.text({"stream": True})
    null = await client.text()
    absent = await client.text()

    assert '"usage"' not in unasked
    assert '"usage": null' in null
    assert '"usage"' not in absent


async def test_whole_completion(upstream: FakeUpstream, client: Client) -> None:
    """A request that does not stream gets the answer of the script as one completion."""
    call = FakeToolCall("id1", "f", ('{"a"', ":1}"))
    upstream.reply("Hel", "lo", reasoning=("hm",), tool_calls=(call,), logprobs=(-0.5, -1.0), extra={"id": "x"})

    completion = json.loads(await client.text({"model": "m"}))

    assert completion["object"] == "chat.completion"
    assert (completion["id"], completion["usage"]) == ("x", DEFAULT_USAGE)
    (choice,) = completion["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert (choice["message"]["content"], choice["message"]["reasoning_content"]) == ("Hello", "hm")
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert [token["logprob"] for token in choice["logprobs"]["content"]] == [-0.5, -1.0]


async def test_kinds_of_deltas(upstream: FakeUpstream, client: Client) -> None:
    """Reasoning, content, refusal and tool calls are sent in this order, and each delta is an event."""
    calls = (FakeToolCall("id1", "f", ("{", "}")), FakeToolCall("id2", "g", indexed=False))
    upstream.reply("a", reasoning=("hm",), refusal="no", tool_calls=calls, reasoning_field="reasoning")

    reasoning, content, refusal, first, more, second, _ = await client.deltas()

    assert reasoning == {"role": "assistant", "reasoning": "hm"}
    assert (content, refusal) == ({"content": "a"}, {"refusal": "no"})
    assert first["tool_calls"][0]["id"] == "id1"
    assert more["tool_calls"] == [{"index": 0, "function": {"arguments": "}"}}]
    assert "index" not in second["tool_calls"][0]


async def test_scripts_queue_and_always(upstream: FakeUpstream, client: Client) -> None:
    """Each queued script answers one request; `always` answers all later ones."""
    upstream.always.fail(503)
    upstream.reply("once", together=True)

    first = await client.text()
    second = json.loads(await client.text())
    third = json.loads(await client.text())

    assert first.endswith("data: [DONE]\n\n")
    assert second == third
    assert second["error"]["type"] == "server_error"


async def test_raw_streams(upstream: FakeUpstream, client: Client) -> None:
    """Chunks and lines are sent unchanged."""
    proxy_usage = usage_chunk(None, choices=[{"delta": {}}])
    upstream.chunks(chunk({"content": None}), {"choices": []}, proxy_usage, finish="stop", done=True)
    upstream.lines("data: {bad", ": comment", "data:", b"raw\n", {"choices": []})

    chunks = [event async for event in client.events()]
    lines = await client.text()

    assert chunks[1:3] == [{"choices": []}, proxy_usage]
    assert chunks[3]["choices"][0]["finish_reason"] == "stop"
    assert chunks[4] == "[DONE]"
    assert lines == 'data: {bad\n\n: comment\n\ndata:\n\nraw\ndata: {"choices": []}\n\n'


@pytest.mark.parametrize("done", [True, False])
async def test_truncated_stream(upstream: FakeUpstream, client: Client, done: bool) -> None:
    """A stream may lack its finish reason, its [DONE], or both."""
    upstream.reply("a", finish_reason=None, usage=None, done=done)

    text = await client.text()

    assert "stop" not in text
    assert ("[DONE]" in text) is done


@pytest.mark.parametrize("error", [{"code": 429, "message": "slow"}, {"code": None}, None])
async def test_error_in_stream(upstream: FakeUpstream, client: Client, error: dict[str, Any] | None) -> None:
    """An error event follows the deltas and is the last event."""
    upstream.error_in_stream(after=2, error=error)

    *pieces, last = [event async for event in client.events()]

    assert len(pieces) == 2
    assert last == {"error": error}


async def test_http_error(upstream: FakeUpstream, client: Client) -> None:
    """An error has the status, the headers and the OpenAI body that fits its code."""
    upstream.fail(429, code="insufficient_quota", headers={"Retry-After": "7"})
    upstream.fail(500, message="rate limit")
    upstream.fail(529, body=b"<html>")

    async with client.post() as response:
        error = (await response.json())["error"]
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    other = json.loads(await client.text())["error"]
    html = await client.text()

    assert (error["code"], error["type"]) == ("insufficient_quota", "insufficient_quota")
    assert UPSTREAM_SECRET in error["message"]
    assert (other["message"], other["type"]) == ("rate limit", "server_error")
    assert html == "<html>"


async def test_redirect(upstream: FakeUpstream, client: Client) -> None:
    """A redirect has the address of its target."""
    upstream.redirect("http://127.0.0.1:9/elsewhere")

    async with client.post(allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (307, "http://127.0.0.1:9/elsewhere")


async def test_short_body(upstream: FakeUpstream, client: Client) -> None:
    """A body that is shorter than its Content-Length ends when the connection closes."""
    upstream.body(b'{"half', content_length=100)

    async with client.post() as response:
        with pytest.raises(aiohttp.ClientPayloadError, match="ContentLength"):
            await response.read()
        assert (response.status, response.headers["Content-Length"]) == (200, "100")


async def test_reset_after_pieces(upstream: FakeUpstream, client: Client) -> None:
    """A gated cut resets the TCP connection after the client has read every delta."""
    gate = upstream.cut_after(3, gated=True)
    gate.open(3)

    async with aclosing(client.events()) as events:
        pieces = [(await anext(events))["choices"][0]["delta"]["content"] for _ in range(3)]
        gate.open()
        with pytest.raises(aiohttp.ClientPayloadError, match="Connection reset by peer"):
            await anext(events)

    assert tuple(pieces) == numbered(3)


async def test_closed_in_the_body(upstream: FakeUpstream, client: Client) -> None:
    """A closed connection leaves a chunked body without its last chunk."""
    upstream.cut_after(1, "close")

    with pytest.raises(aiohttp.ClientPayloadError, match="TransferEncoding"):
        await client.text()


async def test_cut_cleanly(upstream: FakeUpstream, client: Client) -> None:
    """A clean cut ends the body properly, without a finish reason or [DONE]."""
    upstream.cut_after(2, "end")

    events = [event async for event in client.events()]

    assert [event["choices"][0]["finish_reason"] for event in events] == [None, None]


async def test_no_answer_at_all(upstream: FakeUpstream, client: Client) -> None:
    """The fake can drop a request, and a port can refuse a connection."""
    upstream.drop()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.text()
    upstream.drop("reset")
    with pytest.raises(aiohttp.ClientOSError):
        await client.text()
    with refusing_api_base() as api_base:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await Client(session, api_base).text()


async def test_close_on_accept(upstream: FakeUpstream, client: Client) -> None:
    """After `close_on_accept` no connection takes a request until `accept`."""
    await client.text()
    await upstream.idle()
    assert upstream.open_connections == 1

    upstream.close_on_accept()
    for _ in range(2):
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.text()
    assert len(upstream.requests) == 1
    assert upstream.connections >= 2

    upstream.accept()
    assert "Hello" in await client.text()


async def test_own_cuts_are_no_disconnects(upstream: FakeUpstream, client: Client) -> None:
    """A cut by the fake itself does not count as a disconnect of the client."""
    for how in ("reset", "close", "end"):
        upstream.cut_after(1, how)
        async with client.post() as response:
            try:
                await response.read()
            except aiohttp.ClientError:
                continue
    await client.text()
    await upstream.idle()

    assert upstream.disconnects == 0


@pytest.mark.parametrize(
    "script",
    [
        FakeUpstream.hang,
        lambda upstream: upstream.hang_after(0),
        lambda upstream: upstream.hang_after(3),
        lambda upstream: upstream.comments_forever(after=1),
        lambda upstream: upstream.drip(interval_seconds=0.001),
        lambda upstream: upstream.gated("a", "b"),
        lambda upstream: upstream.reply(*["x" * 2**20] * 32),
        lambda upstream: upstream.reply("x" * 2**25, together=True),
    ],
    ids=["hang", "headers", "pieces", "comments", "drip", "gated", "blocked", "blocked together"],
)
async def test_disconnect_is_seen(upstream: FakeUpstream, script: Callable[[FakeUpstream], Gate]) -> None:
    """The fake notices that a client has left, whatever its answer is waiting for."""
    script(upstream)
    session = aiohttp.ClientSession(read_bufsize=1024)
    asking = asyncio.create_task(session.post(f"{upstream.api_base}/chat/completions", json=STREAM))
    await upstream.request()
    assert upstream.active == 1

    asking.cancel()
    await asyncio.wait([asking])
    await session.close()

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await upstream.disconnect()).body == STREAM
        await upstream.idle()
        await upstream.all_closed()


@pytest.mark.parametrize("script", [FakeUpstream.hang, FakeUpstream.drip, lambda upstream: upstream.gated("a")])
async def test_closing_ends_what_hangs(script: Callable[[FakeUpstream], Gate]) -> None:
    """`aclose` ends answers that hang, which do not count as disconnects."""
    upstream = await FakeUpstream().start()
    script(upstream)
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(Client(session, upstream.api_base).text())
        await upstream.request()

        async with asyncio.timeout(PATIENCE_SECONDS):
            await upstream.aclose()

        with pytest.raises(aiohttp.ClientError):
            await asking
    assert (upstream.active, upstream.open_connections, upstream.disconnects) == (0, 0, 0)


async def test_endless_streams_are_valid(upstream: FakeUpstream, client: Client) -> None:
    """The bytes of a drip make valid chunks, and comments are valid comments."""
    upstream.drip(interval_seconds=0)
    async with aclosing(client.events()) as events:
        contents = [(await anext(events))["choices"][0]["delta"]["content"] for _ in range(2)]
    upstream.comments_forever(interval_seconds=0)
    async with client.post() as response:
        comment = await response.content.readline()

    assert contents == ["0 ", "1 "]
    assert comment == b": keep-alive\n"


async def test_gate(upstream: FakeUpstream, client: Client) -> None:
    """A gated answer sends its headers at once, and each delta and the ending when the gate opens."""
    gate = upstream.gated("a", "b")

    async with client.post() as response:
        assert response.status == 200
        assert gate.steps_sent == 0
        gate.open()
        await gate.sent(1)
        assert b'"content": "a"' in await response.content.readline()
        assert gate.steps_sent == 1
        gate.open_all()
        await gate.sent(3)
        assert (await response.text()).endswith("[DONE]\n\n")


@pytest.mark.parametrize("stream", [True, False])
async def test_compressed_bomb(upstream: FakeUpstream, client: Client, stream: bool) -> None:
    """The small gzip body of a bomb expands to a large valid answer."""
    upstream.compressed_bomb(megabytes=8)

    text = await client.text({"stream": stream})

    assert len(text) > 8 * 2**20
    assert text.endswith("data: [DONE]\n\n") if stream else json.loads(text)["object"] == "chat.completion"


async def test_compressed_bomb_is_small(upstream: FakeUpstream) -> None:
    """A bomb has less than a megabyte on the wire, and a correct checksum."""
    upstream.compressed_bomb()

    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(f"{upstream.api_base}/chat/completions", json=STREAM) as response,
    ):
        packed = await response.read()
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    size = len(unpacker.decompress(packed))

    assert len(packed) < 2**20
    assert size > 128 * 2**20
    assert unpacker.eof


async def test_captured_request(upstream: FakeUpstream) -> None:
    """Requests are recorded unchanged, also large ones and those to unknown paths."""
    large = {"messages": [{"role": "user", "content": "x" * 2**22}]}
    data = io.BytesIO(json.dumps(large).encode())
    async with aiohttp.request("POST", f"{upstream.api_base}/chat/completions", data=data, headers={"X-A": "1"}):
        pass
    async with aiohttp.request("GET", f"{upstream.api_base}/nothing?a=b") as response:
        status = response.status

    first = await upstream.request(1)
    second = await upstream.request(2)

    assert (first.method, first.path, first.headers["x-a"]) == ("POST", "/v1/chat/completions", "1")
    assert first.body == large == json.loads(first.raw)
    assert (second.method, second.path, second.body, status) == ("GET", "/v1/nothing?a=b", None, 404)


async def test_connections_are_counted(upstream: FakeUpstream, client: Client) -> None:
    """Two answers at the same time need two connections, which stay open for later requests."""
    gates = [upstream.gated("a"), upstream.gated("b")]
    asking = [asyncio.create_task(client.text()) for _ in gates]
    await upstream.request(2)
    assert (upstream.active, upstream.connections) == (2, 2)

    for gate in gates:
        gate.open_all()
    await asyncio.gather(*asking)
    await upstream.idle()
    await client.text()

    assert (upstream.connections, upstream.open_connections) == (2, 2)
