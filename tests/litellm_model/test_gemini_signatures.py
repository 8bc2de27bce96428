"""Signatures of Gemini's answers: each goes back at the part at which it came, also at one without any text.

Source: Google's documentation of thought signatures ("Don't merge one part with a signature with another part without a
signature"), whose signature of a streamed text comes at a part without text.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from reasoning_grpc.client import fold
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, IncludeOptions, Tool
from reasoning_grpc.v1.messages_pb2 import ROLE_TOOL, ROLE_USER, Message, Part, ToolResult
from tests.support.native_events import Json, google_response, google_text
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream

MODEL, OTHER = "gemini-3.1-pro-preview", "gemini-3.5-flash"
SIGNED: Final = {"thoughtSignature": "c2lnbmVk"}
AGAIN: Final = {"thoughtSignature": "YWdhaW4="}
UNKNOWN: Final = {"thoughtSignature": "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="}
"""Google's signature for calls that have none."""


def call(call_id: str, **members: Any) -> Json:
    """Returns the part of a call, as Google streams it."""
    return {"functionCall": {"name": "f", "args": {}, "id": call_id}, **members}


def made(call_id: str, **members: Any) -> Json:
    """Returns the part of a call, as our server sends it back."""
    return {"function_call": {"name": "f", "args": {}, "id": call_id}, **members}


TEXT, EMPTY, CALL, MADE = google_text("x"), google_text(""), call("a"), made("a")
ANSWERS: Final[dict[str, tuple[list[Json], list[Json]]]] = {
    "a text": ([TEXT | SIGNED], [TEXT | SIGNED]),
    "after a text": ([TEXT, EMPTY | SIGNED], [TEXT, EMPTY | SIGNED]),
    "after two deltas of a text": ([TEXT, TEXT, EMPTY | SIGNED], [google_text("xx"), EMPTY | SIGNED]),
    "a call": ([CALL | SIGNED, call("b")], [MADE | SIGNED, made("b")]),
    "a text and a call": ([TEXT | SIGNED, CALL | AGAIN], [TEXT | SIGNED, MADE | AGAIN]),
    "after a text and before a call": ([TEXT, EMPTY | SIGNED, CALL | AGAIN], [TEXT, EMPTY | SIGNED, MADE | AGAIN]),
    "after a call": ([CALL, EMPTY | SIGNED], [MADE | UNKNOWN, EMPTY | SIGNED]),
    "after a text and a call": ([TEXT, CALL, EMPTY | SIGNED], [TEXT, MADE | UNKNOWN, EMPTY | SIGNED]),
    "after thoughts": (
        [google_text("t", thought=True), EMPTY | SIGNED],
        [{"thought": True, "text": "t"}, EMPTY | SIGNED],
    ),
    "alone": ([EMPTY | SIGNED], [EMPTY | SIGNED]),
}
"""The parts of an answer, as Google streams them, and the parts that go back."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with two models of Gemini."""
    entries = [provider_entry(upstream, "gemini", name, litellm_model=f"gemini/{name}") for name in (MODEL, OTHER)]
    async with serving(config_for(*entries, max_retries=0)) as running:
        yield running


async def send_back(upstream: FakeUpstream, server: RunningServer, parts: list[Json], model: str, rpc: str) -> Any:
    """Returns the parts of the model's turn in the request that follows an answer of these parts."""
    upstream.forget()
    upstream.lines(*(google_response(part, responseId="r") for part in parts), google_response(word="STOP"))
    request = CompleteRequest(model=MODEL, tools=[Tool(name="f")], include=IncludeOptions(reasoning=True))
    request.messages.append(Message(role=ROLE_USER, content=[Part(text="q")]))
    client = server.client()
    answer = (await client.complete(request) if rpc == "Complete" else await fold(client.stream(request))).message
    request.messages.append(answer)
    ids = [part.tool_call.id for part in answer.content if part.HasField("tool_call")]
    if ids:
        results = [Part(tool_result=ToolResult(call_id=call_id, content="1")) for call_id in ids]
        request.messages.append(Message(role=ROLE_TOOL, content=results))
    else:
        request.messages.append(Message(role=ROLE_USER, content=[Part(text="r")]))
    request.model = model

    await client.complete(request)

    return upstream.requests[1].body["contents"][1]["parts"]


@pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])
@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS)
async def test_a_signature_goes_back_at_its_part(
    upstream: FakeUpstream, server: RunningServer, case: tuple[list[Json], list[Json]], rpc: str
) -> None:
    """A signature goes back at the text, the call, or the part without text at which it came."""
    parts, expected = case

    assert await send_back(upstream, server, parts, MODEL, rpc) == expected


async def test_a_signature_without_text_is_not_for_another_model(upstream: FakeUpstream, server: RunningServer) -> None:
    """A part without text is left out with its signature in a request to another model."""
    assert await send_back(upstream, server, [TEXT, EMPTY | SIGNED], OTHER, "Complete") == [TEXT]
