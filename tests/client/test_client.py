"""The calls of the Python client, and its texts."""

import asyncio
import subprocess
import sys
import textwrap
from contextlib import aclosing
from typing import Any, Final

import pytest

from reasoning_grpc.client import ReasoningClient, text_message, text_of, text_request
from reasoning_grpc.v1 import completion_pb2, messages_pb2
from tests.support.commands import PATIENCE_SECONDS
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream


async def test_a_unary_call_sends_its_headers_once_its_route_is_decided(
    running_server: RunningServer, upstream: FakeUpstream
) -> None:
    """A unary call sends its headers when its route is decided, so that no client retries it at double cost."""
    gate = upstream.gated("Hello")
    async with ReasoningClient(running_server.address) as client:
        # The test calls it as a stream: for a unary call, grpc.aio returns the headers only with the answer.
        method: Any = client.channel.unary_stream(
            "/reasoning_grpc.v1.ReasoningService/Complete",
            request_serializer=completion_pb2.CompleteRequest.SerializeToString,
            response_deserializer=completion_pb2.CompleteResponse.FromString,
        )
        call = method(text_request("hi"))

        await call.initial_metadata()

        gate.open_all()
        assert [answer.message.content[0].text async for answer in call] == ["Hello"]


@pytest.mark.parametrize("token", ["two words", "a-line\n", "caf\u00e9"])
def test_an_invalid_token_is_rejected(token: str) -> None:
    """A token that cannot be sent in a header is rejected at once, and the error does not repeat it."""
    with pytest.raises(ValueError, match="visible ASCII") as rejected:
        ReasoningClient("127.0.0.1:1", token=token)

    assert token not in str(rejected.value)


async def test_closing_the_stream_stops_the_upstream(running_server: RunningServer, upstream: FakeUpstream) -> None:
    """Leaving the loop and closing the generator cancels the call, and the server abandons the upstream."""
    upstream.hang_after(1)

    async with ReasoningClient(running_server.address) as client:
        async with aclosing(client.stream(text_request("hi"))) as events:
            async for each in events:
                if each.HasField("content_delta"):
                    break
        await upstream.disconnect()


ANYWHERE = {
    "in a module": """
        client = ReasoningClient(sys.argv[1])
        asyncio.run(ask())
        """,
    "in several event loops": """
        client = ReasoningClient(sys.argv[1])
        asyncio.run(ask())
        asyncio.run(ask(closes=False))
        asyncio.run(ask())
        """,
    "after an event loop has ended": """
        asyncio.run(asyncio.sleep(0))
        client = ReasoningClient(sys.argv[1])
        asyncio.run(ask())
        """,
    "used again after it was closed": """
        client = ReasoningClient(sys.argv[1])
        async def ask_twice():
            await ask()
            await ask()
        asyncio.run(ask_twice())
        """,
}
"""Programs that use a client in ways that a channel of grpc.aio does not allow, by what they show."""

PRELUDE: Final = """
import asyncio, sys
from reasoning_grpc.client import ReasoningClient, text_of, text_request

async def ask(closes=True):
    print(text_of((await client.complete(text_request("hi"))).message))
    print("".join([event.content_delta.text async for event in client.stream(text_request("hi"))]))
    if closes:
        await client.aclose()
"""


@pytest.mark.process
@pytest.mark.parametrize("program", [pytest.param(program, id=name) for name, program in ANYWHERE.items()])
async def test_a_client_can_be_made_and_used_anywhere(running_server: RunningServer, program: str) -> None:
    """A client works wherever it is created, and in one event loop after another."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(program), running_server.address),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()

    assert (err.decode(), process.returncode) == ("", 0)
    assert set(out.decode().splitlines()) == {"Hello world"}


def test_text_of_joins_the_parts_of_text() -> None:
    """`text_of` joins the parts of text, and leaves out parts of other kinds before and between them."""
    parts = [
        messages_pb2.Part(reasoning=messages_pb2.Reasoning(text="hm")),
        messages_pb2.Part(text="One"),
        messages_pb2.Part(refusal="no"),
        messages_pb2.Part(tool_call=messages_pb2.ToolCall(name="x")),
        messages_pb2.Part(text=" two"),
    ]

    assert text_of(messages_pb2.Message(content=parts)) == "One two"


def test_text_request_creates_its_messages() -> None:
    """`text_request` puts a system message before the message of the user."""
    request = text_request("hi", system="Be brief.", model="m")

    assert request == completion_pb2.CompleteRequest(
        model="m",
        messages=[
            text_message(messages_pb2.ROLE_SYSTEM, "Be brief."),
            messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text="hi")]),
        ],
    )
