"""The conversation on Bedrock's wire: what Converse takes otherwise is reported, and what it refuses is not sent."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from reasoning_grpc.v1.completion_pb2 import CompleteRequest, Tool
from reasoning_grpc.v1.messages_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    Media,
    Message,
    Part,
    Reasoning,
    ToolCall,
    ToolResult,
)
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_bodies import Json, Setting, capture_body, find_refused_fields

CLAUDE, NOVA, LLAMA = (
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "amazon.nova-pro-v1:0",
    "meta.llama3-1-70b-instruct-v1:0",
)
MARK: Final = {"cachePoint": {"type": "default"}}
TOOLS: Final = [Tool(name="f")]


def say(role: Any, *parts: Part | str, name: str = "") -> Message:
    """Creates a message of texts and other parts."""
    return Message(role=role, content=[Part(text=part) if isinstance(part, str) else part for part in parts], name=name)


def call(call_id: str = "t1", name: str = "f", **part: Any) -> Part:
    """Creates a tool call."""
    return Part(tool_call=ToolCall(id=call_id, name=name, arguments='{"a":1}'), **part)


def result(call_id: str = "t1", content: str = "42", **part: Any) -> Message:
    """Creates a message with one tool result."""
    return Message(role=ROLE_TOOL, content=[Part(tool_result=ToolResult(call_id=call_id, content=content), **part)])


def media(mime_type: str, data: bytes = b"ABC", **members: Any) -> Part:
    """Creates a part that holds data."""
    return Part(media=Media(mime_type=mime_type, data=data, **members))


def turn(role: str, *blocks: Json | str) -> Json:
    """Returns a turn of the conversation."""
    return {"role": role, "content": [{"text": block} if isinstance(block, str) else block for block in blocks]}


def use(call_id: str = "t1") -> Json:
    """Returns the block of a tool call."""
    return {"toolUse": {"toolUseId": call_id, "name": "f", "input": {"a": 1}}}


RESULT: Final = {"toolResult": {"toolUseId": "t1", "content": [{"text": "42"}]}}


def document(form: str) -> Json:
    """Returns the block of a document, named as litellm names it."""
    name = f"DocumentPDFmessages_0a702913308f6ec6_{form}"
    return {"document": {"format": form, "name": name, "source": {"bytes": "QUJD"}}}


Case = tuple[str, list[Message], list[Json], list[Json], list[Setting]]
CONVERSATIONS: Final[dict[str, Case]] = {
    "empty answers and blanks": (
        CLAUDE,
        [say(ROLE_USER, "a", " "), say(ROLE_ASSISTANT), say(ROLE_USER, "b")],
        [turn("user", "a", "b")],
        [],
        [("messages[0].content[1].text", "blanks", "")],
    ),
    "the beginning of an answer": (
        CLAUDE,
        [say(ROLE_USER, "a"), say(ROLE_ASSISTANT, "b ")],
        [turn("user", "a"), turn("assistant", "b")],
        [],
        [("messages[1].content[0].text", "blanks at the end", "")],
    ),
    "a later system message": (
        NOVA,
        [
            say(ROLE_SYSTEM, "s1"),
            say(ROLE_USER, "a"),
            say(ROLE_ASSISTANT, "b"),
            say(ROLE_SYSTEM, "s2"),
            say(ROLE_USER, "c"),
        ],
        [turn("user", "a"), turn("assistant", "b"), turn("user", "c")],
        [{"text": "s1"}, {"text": "s2"}],
        [("messages[3]", "after the first turn", "in the system prompt")],
    ),
    "texts and calls": (
        CLAUDE,
        [say(ROLE_USER, "a"), say(ROLE_ASSISTANT, "b", call(), "c"), result()],
        [turn("user", "a"), turn("assistant", "b", "c", use()), turn("user", RESULT)],
        [],
        [("messages[1].content[2]", "after a tool call", "before it")],
    ),
    "cache marks": (
        CLAUDE,
        [
            say(ROLE_SYSTEM, Part(text="s", cache=True)),
            say(ROLE_USER, Part(text="a", cache=True)),
            say(ROLE_ASSISTANT, call(cache=True)),
            result(cache=True),
        ],
        [turn("user", "a", MARK), turn("assistant", use(), MARK), turn("user", RESULT, MARK)],
        [{"text": "s"}, MARK],
        [],
    ),
    "cache marks of a model that takes none": (
        LLAMA,
        [say(ROLE_USER, Part(text="a", cache=True))],
        [turn("user", "a")],
        [],
        [("messages.content.cache", "1", "0")],
    ),
    "reasoning": (
        CLAUDE,
        [
            say(ROLE_USER, "a"),
            say(
                ROLE_ASSISTANT,
                Part(reasoning=Reasoning(text="r"), signature="s"),
                Part(reasoning=Reasoning(redacted=b"x")),
                Part(reasoning=Reasoning(text="u")),
                "b",
            ),
            say(ROLE_USER, "c"),
        ],
        [
            turn("user", "a"),
            turn(
                "assistant",
                {"reasoningContent": {"reasoningText": {"text": "r", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": "x"}},
                "b",
            ),
            turn("user", "c"),
        ],
        [],
        [("messages.content.reasoning", "3", "2")],
    ),
    "a document beside a text": (
        CLAUDE,
        [say(ROLE_USER, media("text/csv"), media("image/png")), say(ROLE_USER, "a")],
        [turn("user", document("csv"), {"image": {"format": "png", "source": {"bytes": "QUJD"}}}, "a")],
        [],
        [],
    ),
    "a document alone": (
        NOVA,
        [say(ROLE_USER, media("application/pdf"))],
        [turn("user", document("pdf"), ".")],
        [],
        [("messages[0].content[0].media", "without a text", ".")],
    ),
    "a document with a name": (
        NOVA,
        [say(ROLE_USER, "a", media("text/plain", filename="a.txt"))],
        [turn("user", "a", document("txt"))],
        [],
        [("messages[0].content[1].media.filename", "a.txt", "")],
    ),
    "a name": (
        NOVA,
        [say(ROLE_USER, "a", name="bob")],
        [turn("user", "a")],
        [],
        [("messages[0].name", "bob", "")],
    ),
}
"""Conversations: the model, the messages, the turns and the system prompt that leave, and what is reported."""

REFUSED: Final[dict[str, tuple[list[Message], list[str]]]] = {
    "only a system message": ([say(ROLE_SYSTEM, "s")], ["messages"]),
    "an answer first": ([say(ROLE_SYSTEM, "s"), say(ROLE_ASSISTANT, "a"), say(ROLE_USER, "b")], ["messages[1]"]),
    "a result after another message": (
        [say(ROLE_USER, "a"), say(ROLE_ASSISTANT, call()), say(ROLE_USER, "b"), result()],
        ["messages[3]"],
    ),
    "the name of a call": (
        [say(ROLE_USER, "a"), say(ROLE_ASSISTANT, call(name="1f")), result()],
        ["messages[1].content[0].tool_call.name"],
    ),
    "an id of two calls": (
        [say(ROLE_USER, "a"), say(ROLE_ASSISTANT, call(), call()), result()],
        ["messages[1].content[1].tool_call.id"],
    ),
    "audio": ([say(ROLE_USER, "a", media("audio/wav"))], ["messages[0].content[1].media.mime_type"]),
    "an image of another type": ([say(ROLE_USER, media("image/tiff"))], ["messages[0].content[0].media.mime_type"]),
    "a document of another type": (
        [say(ROLE_USER, "a", media("application/json"))],
        ["messages[0].content[1].media.mime_type"],
    ),
    "an address": (
        [say(ROLE_USER, Part(media=Media(mime_type="image/png", uri="https://example.invalid/a.png")))],
        ["messages[0].content[0].media.uri"],
    ),
}
"""Conversations that are refused, and the fields by whose names they are refused."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of several makers on Bedrock."""
    entries = [
        provider_entry(upstream, "bedrock", name.partition(":")[0], litellm_model=f"bedrock/{name}")
        for name in (CLAUDE, NOVA, LLAMA)
    ]
    async with serving(config_for(*entries)) as running:
        yield running


def request_for(model: str, **fields: Any) -> CompleteRequest:
    """Creates a request to a model of the server."""
    return CompleteRequest(model=model.partition(":")[0], **fields)


@pytest.mark.parametrize("case", CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_a_conversation_leaves_as_it_is_meant(upstream: FakeUpstream, server: RunningServer, case: Case) -> None:
    """Each message leaves in the form of Converse, and what the provider takes otherwise is reported."""
    model, messages, turns, system, reported = case

    body, settings = await capture_body(upstream, server, request_for(model, messages=messages, tools=TOOLS))

    assert body["messages"] == turns
    assert body.get("system", []) == system
    assert settings == reported


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_what_the_provider_refuses_is_not_sent(
    upstream: FakeUpstream, server: RunningServer, case: tuple[list[Message], list[str]]
) -> None:
    """A conversation that the provider would refuse is refused before anything is sent, by the field that causes it."""
    messages, fields = case

    assert await find_refused_fields(upstream, server, request_for(CLAUDE, messages=messages, tools=TOOLS)) == fields


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_no_tool_is_invented(upstream: FakeUpstream, server: RunningServer, model: str) -> None:
    """Tool calls in a conversation without any tools are refused, because the provider requires the tools."""
    messages = [say(ROLE_USER, "a"), say(ROLE_ASSISTANT, call()), result(), say(ROLE_USER, "b")]

    assert await find_refused_fields(upstream, server, request_for(model, messages=messages)) == ["tools"]
