"""Requests to models that Bedrock reaches through its Invoke API: in Anthropic's protocol, or as a single text."""

import base64
import json
from typing import Any, Final

import pytest

from reasoning_grpc.v1.completion_pb2 import TOOL_CHOICE_MODE_NONE, CompleteRequest, Tool, ToolChoice
from reasoning_grpc.v1.messages_pb2 import ROLE_ASSISTANT, ROLE_SYSTEM, ROLE_USER, Media, Message, Part, ToolCall
from tests.support.native_events import STOP, anthropic_stream, finish_event, text_block
from tests.support.serving import config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.upstream.bedrock import event_message
from tests.support.wire_bodies import Json, Setting, capture_body, find_refused_fields


def carry(event: Any) -> bytes:
    """Returns the message of a chunk with this event."""
    return event_message("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()})


CLAUDE: Final = "bedrock/invoke/anthropic.claude-3-5-sonnet-20240620-v1:0"
TITAN: Final = "bedrock/amazon.titan-text-express-v1"
TITANS_ANSWER: Final = carry({"outputText": "Hello", "index": 0, "completionReason": "FINISH"})
CLAUDES_ANSWER: Final = tuple(map(carry, anthropic_stream(text_block(0, "Hello"), finish_event("end_turn"), STOP)))
PNG: Final = Part(media=Media(mime_type="image/png", data=b"ABC"))


def say(role: Any, *parts: Part | str) -> Message:
    """Creates a message of texts and other parts."""
    return Message(role=role, content=[Part(text=part) if isinstance(part, str) else part for part in parts])


async def send(
    upstream: FakeUpstream, model: str, answer: tuple[bytes, ...], **fields: Any
) -> tuple[Json, list[Setting]]:
    """Returns the body of a request to a model that gives this answer, and the reported settings."""
    upstream.lines(*answer)
    async with serving(config_for(provider_entry(upstream, "bedrock", litellm_model=model))) as server:
        return await capture_body(upstream, server, CompleteRequest(**fields))


async def find_refused(upstream: FakeUpstream, model: str, **fields: Any) -> list[str]:
    """Returns the fields for which a request to a model is refused."""
    async with serving(config_for(provider_entry(upstream, "bedrock", litellm_model=model))) as server:
        return await find_refused_fields(upstream, server, CompleteRequest(**fields))


async def test_claude_gets_its_own_protocol(upstream: FakeUpstream) -> None:
    """A model of Anthropic gets the end user, and the rule that it must not call tools."""
    body, settings = await send(
        upstream,
        CLAUDE,
        CLAUDES_ANSWER,
        messages=[say(ROLE_SYSTEM, "s"), say(ROLE_USER, "a"), say(ROLE_ASSISTANT), say(ROLE_USER, PNG)],
        tools=[Tool(name="f", description="d")],
        tool_choice=ToolChoice(mode=TOOL_CHOICE_MODE_NONE),
        end_user="user-7",
    )

    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a"}, image]}]
    assert body["system"] == [{"type": "text", "text": "s"}]
    assert body["tool_choice"] == {"type": "none"}
    assert body["metadata"] == {"user_id": "user-7"}
    assert settings == []


async def test_the_route_stands_in_the_own_name_of_the_model(upstream: FakeUpstream) -> None:
    """The base model says what the model takes, and the own name says in which protocol it gets it."""
    upstream.lines(*CLAUDES_ANSWER)
    entry = provider_entry(
        upstream,
        "bedrock",
        litellm_model="bedrock/invoke/our-profile",
        base_model="bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
    )
    request = CompleteRequest(messages=[say(ROLE_USER, "a")], end_user="user-7")

    async with serving(config_for(entry)) as server:
        body, settings = await capture_body(upstream, server, request)

    assert upstream.requests[0].path == "/model/our-profile/invoke-with-response-stream"
    assert body["metadata"] == {"user_id": "user-7"}
    assert settings == []


async def test_a_model_of_prompts_gets_one_text(upstream: FakeUpstream) -> None:
    """The texts of a message are joined with a break; the end user is not sent, and this is reported."""
    body, settings = await send(
        upstream, TITAN, (TITANS_ANSWER,), messages=[say(ROLE_USER, "one", "two")], end_user="user-7"
    )

    assert body == {"inputText": "\n\nUser: one\n\ntwo\n\nBot: ", "textGenerationConfig": {}}
    assert settings == [("end_user", "user-7", "")]


REFUSED: Final[dict[str, tuple[str, Json, list[str]]]] = {
    "an image for a model of prompts": (
        TITAN,
        {"messages": [say(ROLE_USER, "a", PNG)]},
        ["messages[0].content[1].media"],
    ),
    "tools for a model of prompts": (TITAN, {"messages": [say(ROLE_USER, "a")], "tools": [Tool(name="f")]}, ["tools"]),
    "a text document": (
        CLAUDE,
        {"messages": [say(ROLE_USER, Part(media=Media(mime_type="text/plain", data=b"a")))]},
        ["messages[0].content[0].media.mime_type"],
    ),
    "calls without tools": (
        CLAUDE,
        {
            "messages": [
                say(ROLE_USER, "a"),
                say(ROLE_ASSISTANT, Part(tool_call=ToolCall(id="t", name="f", arguments="{}"))),
            ]
        },
        ["tools"],
    ),
}


@pytest.mark.parametrize(("model", "fields", "refused"), REFUSED.values(), ids=REFUSED)
async def test_what_would_be_lost_is_refused(
    upstream: FakeUpstream, model: str, fields: Json, refused: list[str]
) -> None:
    """What litellm would leave out, invent or write as a text is refused before anything is sent."""
    assert await find_refused(upstream, model, **fields) == refused
