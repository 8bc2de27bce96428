"""The Python client's helpers: connecting, folding, reading errors."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.client import (
    CHANNEL_OPTIONS,
    SERVICE_CONFIG,
    CallFailed,
    Folder,
    IncompleteStream,
    ReasoningClient,
    connect,
    fold,
    text_message,
    text_of,
    text_request,
)
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceServicer,
    ReasoningServiceStub,
    add_ReasoningServiceServicer_to_server,
)
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

ROOT = Path(__file__).resolve().parents[2]
PUSHBACK = "grpc-retry-pushback-ms"


SERVICER: Any = ReasoningServiceServicer
"""Abstract to mypy: a test needs one method of four."""


class Unavailable(SERVICER):  # type: ignore[misc]
    """A server that is unavailable so many times, with a pushback, and counts its calls."""

    def __init__(self, name: str = "", times: int = 0, pushback: str = "10") -> None:
        self.name, self.calls = name, 0
        self._times, self._pushback = times, pushback

    async def Complete(self, _request: Any, context: Any) -> completion_pb2.CompleteResponse:
        self.calls += 1
        if self.calls <= self._times:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "come back", ((PUSHBACK, self._pushback),))
        return completion_pb2.CompleteResponse(model=self.name)


@pytest.fixture
async def listen() -> AsyncIterator[Any]:
    """Serves a servicer on a port of its own; gives the port."""
    servers = []

    async def start(servicer: Any) -> int:
        server = grpc.aio.server()
        add_ReasoningServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        servers.append(server)
        return port

    yield start
    for server in servers:
        await server.stop(None)


def event(**fields: Any) -> events_pb2.StreamCompleteResponse:
    """An event of a stream."""
    return events_pb2.StreamCompleteResponse(**fields)


START = event(started=events_pb2.Started(response_id="r", model="m"))
END = event(completed=events_pb2.Completed(model="m"))


async def test_a_call_that_may_be_sent_again_is(listen: Any) -> None:
    """By gRPC itself, as the server's pushback says; the caller does not notice."""
    servicer = Unavailable("here", times=2)

    async with ReasoningClient(f"127.0.0.1:{await listen(servicer)}") as client:
        answer = await client.complete(text_request("hi"), timeout_seconds=60)

    assert (answer.model, servicer.calls) == ("here", 3)


async def test_a_call_that_must_not_be_sent_again_is_not(listen: Any) -> None:
    """The server's pushback is -1: it has tried already."""
    servicer = Unavailable(times=1, pushback="-1")

    async with ReasoningClient(f"127.0.0.1:{await listen(servicer)}") as client:
        with pytest.raises(CallFailed) as failed:
            await client.complete(text_request("hi"), timeout_seconds=60)

    assert (failed.value.code, servicer.calls) == (grpc.StatusCode.UNAVAILABLE, 1)


def failed_with(details: bytes) -> CallFailed:
    """A failure whose status has these details, as they came over the wire."""
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", details))
    return CallFailed(grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailers, "broken"))


def test_details_that_cannot_be_read_do_not_hide_the_status() -> None:
    """Such as what a proxy between has cut."""
    failed = failed_with(b"\xff\xff")

    assert (failed.code, failed.message, failed.reason) == (grpc.StatusCode.INTERNAL, "broken", "")


def test_a_detail_that_cannot_be_read_hides_no_other() -> None:
    """Each is read by itself."""
    broken, request = Packed(), Packed()
    broken.Pack(RetryInfo())
    broken.value = b"\xff\xff"
    request.Pack(RequestInfo(request_id="req_1"))

    failed = failed_with(Status(details=[broken, request]).SerializeToString())

    assert (failed.retry_after_seconds, failed.request_id) == (None, "req_1")


@pytest.mark.parametrize(("characters", "calls"), [(1_000_000, 2), (1_100_000, 1)])
async def test_large_requests_are_sent_once(listen: Any, characters: int, calls: int) -> None:
    """What is over 1 MiB the library does not keep."""
    servicer = Unavailable(times=1)

    async with ReasoningClient(f"127.0.0.1:{await listen(servicer)}") as client:
        with suppress(CallFailed):
            await client.complete(text_request("x" * characters), timeout_seconds=60)

    assert servicer.calls == calls


async def test_a_unary_call_has_begun_once_its_route_is_decided(
    running_server: RunningServer, upstream: FakeUpstream
) -> None:
    """Its headers come then, so that no client sends it, and pays it, again when the connection breaks."""
    gate = upstream.gated("Hello")
    async with ReasoningClient(running_server.address) as client:
        # Called as a stream: for a unary call the Python library shows the headers with the answer.
        method: Any = client.channel.unary_stream(
            "/reasoning_grpc.v1.ReasoningService/Complete",
            request_serializer=completion_pb2.CompleteRequest.SerializeToString,
            response_deserializer=completion_pb2.CompleteResponse.FromString,
        )
        call = method(text_request("hi"))

        await call.initial_metadata()

        gate.open_all()
        assert [answer.message.content[0].text async for answer in call] == ["Hello"]


async def test_calls_go_round_the_addresses(listen: Any) -> None:
    """Of a name with two addresses, each gets half of the calls."""
    ports = [await listen(Unavailable(name)) for name in ("one", "two")]
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)

    async with ReasoningClient(target) as client:
        names: Counter[str] = Counter()
        while len(names) < 2:  # until both are connected
            names[(await client.complete(text_request("hi"), timeout_seconds=60)).model] += 1
        names.clear()
        for _ in range(10):
            names[(await client.complete(text_request("hi"), timeout_seconds=60)).model] += 1

    assert names == {"one": 5, "two": 5}


async def test_options_of_ones_own_override_the_defaults(listen: Any) -> None:
    """Such as a service config without retries."""
    servicer = Unavailable(times=1)
    target = f"127.0.0.1:{await listen(servicer)}"

    async with connect(target, options=[("grpc.service_config", "{}")]) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await ReasoningServiceStub(channel).Complete(text_request("hi"), timeout=60)

    assert servicer.calls == 1


async def test_a_silent_call_is_pinged_for_as_long_as_it_lasts() -> None:
    """By default gRPC stops after two pings, and a server that is gone would never be noticed."""
    pings: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    listening = await asyncio.start_server(partial(answer_pings, pings), "127.0.0.1", 0)
    target = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"

    async with listening, connect(target, options=[("grpc.keepalive_time_ms", 1000)]) as channel:
        call = ReasoningServiceStub(channel).Complete(text_request("hi"), timeout=60)
        for _ in range(4):
            connection = await pings.get()
        call.cancel()

    connection.close()
    await connection.wait_closed()


async def answer_pings(
    pings: "asyncio.Queue[asyncio.StreamWriter]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Speaks as much HTTP/2 as keeps a connection alive, settings and the answers to pings; tells each ping."""
    settings, ping, ack = 4, 6, 1
    await reader.readexactly(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    writer.write(bytes([0, 0, 0, settings, 0, 0, 0, 0, 0]))
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            header = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(header[:3]))
            if header[3] == settings and not header[4]:
                writer.write(bytes([0, 0, 0, settings, ack, 0, 0, 0, 0]))
            elif header[3] == ping and not header[4]:
                writer.write(bytes([0, 0, 8, ping, ack, 0, 0, 0, 0]) + payload)
                pings.put_nowait(writer)


@pytest.mark.parametrize("token", ["two words", "a-line\n", "caf\u00e9"])
def test_what_cannot_stand_in_a_header_is_no_token(token: str) -> None:
    """It is refused at once, and not repeated."""
    with pytest.raises(ValueError, match="visible ASCII") as refused:
        ReasoningClient("127.0.0.1:1", token=token)

    assert token not in str(refused.value)


async def test_closing_the_stream_stops_the_upstream(running_server: RunningServer, upstream: FakeUpstream) -> None:
    """Leaving the loop and closing the generator cancels the call."""
    upstream.hang_after(1)

    async with ReasoningClient(running_server.address) as client:
        async with aclosing(client.stream(text_request("hi"))) as events:
            async for each in events:
                if each.HasField("content_delta"):
                    break
        await upstream.disconnect()


def test_every_client_has_the_same_service_config() -> None:
    """The file, what the package embeds, and what READMEs show."""
    config = ROOT.joinpath("clients", "service_config.json").read_text("utf-8")
    readmes = sorted(ROOT.glob("clients/*/README.md"))
    shown = {
        path.parent.name: [json.loads(block) for block in re.findall(r"```json\n(.*?)```", path.read_text(), re.DOTALL)]
        for path in readmes
        if path.parent.name != "conformance"
    }

    assert config == SERVICE_CONFIG
    assert dict(CHANNEL_OPTIONS)["grpc.service_config"] == SERVICE_CONFIG
    assert shown["python"]
    for blocks in shown.values():
        assert json.loads(config) in blocks


TEXT = st.text(max_size=3)
DELTAS = st.one_of(
    st.builds(events_pb2.ContentDelta, text=TEXT, refusal=st.booleans(), signature=st.sampled_from(["", "", "s"])),
    st.builds(events_pb2.ReasoningDelta, text=TEXT, signature=st.sampled_from(["", "", "s"])),
    st.builds(events_pb2.ToolCallDelta, call_id=st.sampled_from(["a", "b"]), name=TEXT, arguments=TEXT, signature=TEXT),
)
FIELDS = {
    events_pb2.ContentDelta: "content_delta",
    events_pb2.ReasoningDelta: "reasoning_delta",
    events_pb2.ToolCallDelta: "tool_call_delta",
}


@settings(max_examples=200)
@given(st.lists(DELTAS, max_size=12))
async def test_a_fold_loses_nothing(deltas: list[Any]) -> None:
    """Whatever comes in whatever order: every piece stands in the parts of its kind, in its order."""
    folded = await fold([START, *(event(**{FIELDS[type(delta)]: delta}) for delta in deltas), END])

    def joined(kind: str, refusal: bool = False) -> str:
        pieces = [delta for delta in deltas if FIELDS[type(delta)] == kind]
        return "".join(each.text for each in pieces if getattr(each, "refusal", False) == refusal)

    parts = folded.message.content
    assert "".join(part.text for part in parts) == joined("content_delta")
    assert "".join(part.refusal for part in parts) == joined("content_delta", refusal=True)
    assert "".join(part.reasoning.text for part in parts) == joined("reasoning_delta")
    for call_id in ("a", "b"):
        arguments = [each.arguments for each in deltas if getattr(each, "call_id", "") == call_id]
        assert [part.tool_call.arguments for part in parts if part.tool_call.id == call_id] == (
            ["".join(arguments)] if arguments else []
        )


async def test_a_fold_takes_streams_as_they_come(running_server: RunningServer) -> None:
    """The generator of a client, without a list between."""
    async with ReasoningClient(running_server.address) as client:
        answer = await fold(client.stream(text_request("hi")))

    assert answer.message == messages_pb2.Message(
        role=messages_pb2.ROLE_ASSISTANT, content=[messages_pb2.Part(text="Hello world")]
    )


@pytest.mark.parametrize("events", [[], [START], [END], [event(heartbeat=events_pb2.Heartbeat())]])
async def test_half_a_stream_is_not_folded(events: list[events_pb2.StreamCompleteResponse]) -> None:
    """What lacks its beginning or its end is no answer."""
    with pytest.raises(IncompleteStream):
        await fold(events)


def test_the_text_of_an_answer_is_its_text_alone() -> None:
    """Whatever stands before it and between."""
    parts = [
        messages_pb2.Part(reasoning=messages_pb2.Reasoning(text="hm")),
        messages_pb2.Part(text="One"),
        messages_pb2.Part(refusal="no"),
        messages_pb2.Part(tool_call=messages_pb2.ToolCall(name="x")),
        messages_pb2.Part(text=" two"),
    ]

    assert text_of(messages_pb2.Message(content=parts)) == "One two"


def test_a_request_of_text_is_its_messages() -> None:
    """What the system says stands first."""
    request = text_request("hi", system="Be brief.", model="m")

    assert request == completion_pb2.CompleteRequest(
        model="m",
        messages=[
            text_message(messages_pb2.ROLE_SYSTEM, "Be brief."),
            messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text="hi")]),
        ],
    )


def test_a_folder_shows_the_answer_so_far() -> None:
    """Before the stream has ended, and more of it later."""
    folder = Folder()
    folder.add(START)
    folder.add(event(content_delta=events_pb2.ContentDelta(text="Hel")))
    before = folder.message()
    folder.add(event(content_delta=events_pb2.ContentDelta(text="lo")))

    assert [before.content[0].text, folder.message().content[0].text] == ["Hel", "Hello"]
