"""The conversation on Anthropic's wire: everything is in its place, and nothing is there that nobody said."""

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

OLDER, NEWER, BOUND, UNKNOWN = "claude-sonnet-4-5", "claude-opus-4-8", "claude-opus-5-5", "our-claude"
MARK: Final[Json] = {"cache_control": {"type": "ephemeral"}}
TOOLS: Final = [Tool(name="f")]


def say(role: Any, *parts: Part | str, name: str = "") -> Message:
    """Creates a message of texts and other parts."""
    return Message(role=role, content=[Part(text=part) if isinstance(part, str) else part for part in parts], name=name)


def system(*parts: Part | str) -> Message:
    """Creates a message of the system."""
    return say(ROLE_SYSTEM, *parts)


def user(*parts: Part | str, name: str = "") -> Message:
    """Creates a message of the user."""
    return say(ROLE_USER, *parts, name=name)


def assistant(*parts: Part | str) -> Message:
    """Creates a message of the assistant."""
    return say(ROLE_ASSISTANT, *parts)


def call(call_id: str = "t1", name: str = "f", **part: Any) -> Part:
    """Creates a tool call."""
    return Part(tool_call=ToolCall(id=call_id, name=name, arguments='{"a":1}'), **part)


def result(call_id: str = "t1", content: str = "42", *, is_error: bool = False, **part: Any) -> Message:
    """Creates a message with one tool result."""
    tool_result = ToolResult(call_id=call_id, content=content, is_error=is_error)
    return Message(role=ROLE_TOOL, content=[Part(tool_result=tool_result, **part)])


def media(mime_type: str, data: bytes = b"\x89PNG", **members: Any) -> Part:
    """Creates a part that holds data."""
    return Part(media=Media(mime_type=mime_type, data=data, **members))


def text(content: str, **members: Any) -> Json:
    """Returns a block of text."""
    return {"type": "text", "text": content, **members}


def use(call_id: str = "t1", **members: Any) -> Json:
    """Returns the block of a tool call."""
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {"a": 1}, **members}


def turn(role: str, *blocks: Json | str) -> Json:
    """Returns a turn of the conversation."""
    return {"role": role, "content": [text(block) if isinstance(block, str) else block for block in blocks]}


RESULT: Final = {"type": "tool_result", "tool_use_id": "t1", "content": "42"}

Case = tuple[list[Message], list[Json], list[str], list[Setting]]
CONVERSATIONS: Final[dict[str, Case]] = {
    "an empty answer": ([user("a"), assistant(), user("b")], [turn("user", "a", "b")], [], []),
    "an empty answer at the end": ([user("a"), assistant()], [turn("user", "a")], [], []),
    "a blank answer": (
        [user("a"), assistant(" \n"), user("b")],
        [turn("user", "a", "b")],
        [],
        [("messages[1].content[0].text", "blanks", "")],
    ),
    "a blank text between others": (
        [user("a", " ", "b")],
        [turn("user", "a", "b")],
        [],
        [("messages[0].content[1].text", "blanks", "")],
    ),
    "a mark on a blank text": (
        [user("a", Part(text=" ", cache=True), "b")],
        [turn("user", text("a", **MARK), "b")],
        [],
        [("messages[0].content[1].text", "blanks", "")],
    ),
    "blanks at the end of an answer that goes on": (
        [user("a"), assistant("b ", "c \n")],
        [turn("user", "a"), turn("assistant", "b ", "c")],
        [],
        [("messages[1].content[1].text", "blanks at the end", "")],
    ),
    "blanks at the end of an earlier answer": (
        [user("a "), assistant("b "), user("c ")],
        [turn("user", "a "), turn("assistant", "b "), turn("user", "c ")],
        [],
        [],
    ),
    "system messages that lead": (
        [system("s1"), system("s2", "s3"), user("a")],
        [turn("user", "a")],
        ["s1", "s2", "s3"],
        [],
    ),
    "a later system message": (
        [system("s1"), user("a"), assistant("b"), system("s2"), user("c")],
        [turn("user", "a"), turn("assistant", "b"), turn("user", "c")],
        ["s1", "s2"],
        [("messages[3]", "after the first turn", "in the system prompt")],
    ),
    "later system messages alone": (
        [user("a"), system("s1"), assistant("b"), user("c"), system("s2")],
        [turn("user", "a"), turn("assistant", "b"), turn("user", "c")],
        ["s1", "s2"],
        [
            ("messages[1]", "after the first turn", "in the system prompt"),
            ("messages[4]", "after the first turn", "in the system prompt"),
        ],
    ),
    "texts, calls and results in order": (
        [user("a"), assistant("b", call(), "c", call("t2")), result(), result("t2", "no", is_error=True), user("d")],
        [
            turn("user", "a"),
            turn("assistant", "b", use(), "c", use("t2")),
            turn(
                "user",
                RESULT,
                {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": True},
                "d",
            ),
        ],
        [],
        [],
    ),
    "marks on a call and on a result": (
        [user("a"), assistant(call(cache=True)), result(cache=True)],
        [turn("user", "a"), turn("assistant", use(**MARK)), turn("user", RESULT | MARK)],
        [],
        [],
    ),
    "a mark on reasoning": (
        [user("a"), assistant(Part(reasoning=Reasoning(text="r"), signature="s", cache=True), "b"), user("c")],
        [
            turn("user", "a"),
            turn("assistant", {"type": "thinking", "thinking": "r", "signature": "s"}, "b"),
            turn("user", "c"),
        ],
        [],
        [("messages.content.cache", "1", "0")],
    ),
    "five marks": (
        [
            system(Part(text="s", cache=True)),
            user(Part(text="a", cache=True)),
            assistant(call(cache=True)),
            result(cache=True),
            user(media("image/png"), Part(text="b", cache=True)),
        ],
        [
            turn("user", text("a", **MARK)),
            turn("assistant", use(**MARK)),
            turn(
                "user",
                RESULT | MARK,
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                text("b", **MARK),
            ),
        ],
        ["s"],
        [("messages.content.cache", "5", "4")],
    ),
    "ids in other characters": (
        [user("a"), assistant(call("f.1:x")), result("f.1:x")],
        [
            turn("user", "a"),
            turn("assistant", use("f_1_x_0bdc46b6")),
            turn("user", RESULT | {"tool_use_id": "f_1_x_0bdc46b6"}),
        ],
        [],
        [],
    ),
    "the names of authors": (
        [user("a"), user("b", name="bob")],
        [turn("user", "a", "b")],
        [],
        [("messages[1].name", "bob", "")],
    ),
    "documents": (
        [user("a", media("text/plain", "ä".encode(), filename="a.txt"), media("application/pdf", b"%PDF"))],
        [
            turn(
                "user",
                "a",
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "ä"},
                    "title": "a.txt",
                },
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                },
            )
        ],
        [],
        [],
    ),
}
"""Conversations with an older model: the turns and system texts that leave, and what is reported."""

REFUSED: Final[dict[str, tuple[list[Message], list[str]]]] = {
    "only a system message": ([system("s")], ["messages"]),
    "an answer first": ([system("s"), assistant("a"), user("b")], ["messages[1]"]),
    "a result after another message": ([user("a"), assistant(call()), user("b"), result()], ["messages[3]"]),
    "only blanks": ([system("s"), user(" "), assistant()], ["messages"]),
    "tool names": ([user("a"), assistant(call(name="fs.read")), result()], ["messages[1].content[0].tool_call.name"]),
    "audio": ([user("a", media("audio/wav"))], ["messages[0].content[1].media.mime_type"]),
    "an image of another type": ([user(media("image/tiff"))], ["messages[0].content[0].media.mime_type"]),
    "a document of another type": ([user("a", media("text/csv"))], ["messages[0].content[1].media.mime_type"]),
    "a text in another encoding": ([user(media("text/plain", b"\xff"))], ["messages[0].content[0].media.data"]),
}


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of Anthropic of several generations."""
    names = (OLDER, NEWER, BOUND, UNKNOWN)
    entries = [provider_entry(upstream, "anthropic", name, litellm_model=f"anthropic/{name}") for name in names]
    async with serving(config_for(*entries)) as running:
        yield running


@pytest.mark.parametrize("case", CONVERSATIONS.values(), ids=CONVERSATIONS)
async def test_a_conversation_leaves_as_it_is_meant(upstream: FakeUpstream, server: RunningServer, case: Case) -> None:
    """Each message leaves in the protocol's own form, and what the provider takes otherwise is reported."""
    messages, turns, system_texts, reported = case

    body, settings = await capture_body(upstream, server, CompleteRequest(model=OLDER, messages=messages, tools=TOOLS))

    assert body["messages"] == turns
    assert [block["text"] for block in body.get("system", [])] == system_texts
    assert settings == reported
    assert [tool["name"] for tool in body["tools"]] == ["f"]


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_what_the_provider_refuses_is_not_sent(
    upstream: FakeUpstream, server: RunningServer, case: tuple[list[Message], list[str]]
) -> None:
    """A conversation that the provider would refuse is refused before anything is sent, by the field that causes it."""
    messages, fields = case
    request = CompleteRequest(model=OLDER, messages=messages, tools=TOOLS)

    assert await find_refused_fields(upstream, server, request) == fields


@pytest.mark.parametrize(
    "messages", [[user("a"), assistant(call()), result(), user("b")], [user("a"), assistant("b"), result()]]
)
async def test_no_tool_is_invented(upstream: FakeUpstream, server: RunningServer, messages: list[Message]) -> None:
    """Tool calls or results without any tools are refused, because the provider requires the tools."""
    request = CompleteRequest(model=OLDER, messages=messages)

    assert await find_refused_fields(upstream, server, request) == ["tools"]


async def test_newer_models_take_system_messages_in_their_place(upstream: FakeUpstream, server: RunningServer) -> None:
    """A system message between the user's turn and the next answer, or at the end, stays where it is."""
    messages = [system("s1"), user("a"), system("s2"), system("s3"), assistant("b"), user("c"), system("s4")]

    body, settings = await capture_body(upstream, server, CompleteRequest(model=NEWER, messages=messages))

    assert body["system"] == [text("s1")]
    assert body["messages"] == [
        turn("user", "a"),
        turn("system", "s2", "s3"),
        turn("assistant", "b"),
        turn("user", "c"),
        turn("system", "s4"),
    ]
    assert settings == []


async def test_newer_models_refuse_system_messages_elsewhere(upstream: FakeUpstream, server: RunningServer) -> None:
    """A system message after an answer goes into the system prompt, and this is reported."""
    messages = [user("a"), assistant("b"), system("s1"), user("c"), system("s2")]

    body, settings = await capture_body(upstream, server, CompleteRequest(model=NEWER, messages=messages))

    assert body["system"] == [text("s1")]
    assert body["messages"] == [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("system", "s2")]
    assert settings == [("messages[2]", "after the first turn", "in the system prompt")]


AFTER: Final = ("before the user's turn", "after it")
MOVED: Final[dict[str, tuple[list[Message], list[Json], list[str], list[Setting]]]] = {
    "after an answer": (
        [user("a"), assistant("b"), system("s"), user("c"), assistant("d"), user("e")],
        [
            *(turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("system", "s")),
            *(turn("assistant", "d"), turn("user", "e")),
        ],
        [],
        [("messages[2]", *AFTER)],
    ),
    "before the last turn": (
        [system("p"), user("a"), assistant("b"), system("s"), system("t"), user("c")],
        [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("system", "s", "t")],
        ["p"],
        [("messages[3]", *AFTER), ("messages[4]", *AFTER)],
    ),
    "between a call and its result": (
        [user("a"), assistant(call()), system("s"), result(), user("c")],
        [turn("user", "a"), turn("assistant", use()), turn("user", RESULT, "c"), turn("system", "s")],
        [],
        [("messages[2]", *AFTER)],
    ),
    "within the user's turn": (
        [user("a"), system("s"), user("b"), assistant("c"), user("d")],
        [turn("user", "a", "b"), turn("system", "s"), turn("assistant", "c"), turn("user", "d")],
        [],
        [("messages[1]", *AFTER)],
    ),
    "beside one in its place": (
        [user("a"), assistant("b"), system("s"), user("c"), system("t")],
        [turn("user", "a"), turn("assistant", "b"), turn("user", "c"), turn("system", "s", "t")],
        [],
        [("messages[2]", *AFTER)],
    ),
}
"""Conversations with a model that binds its reasoning to them: their turns, their prompts, and what is reported."""


@pytest.mark.parametrize("case", MOVED.values(), ids=MOVED)
async def test_a_system_message_changes_nothing_before_it(
    upstream: FakeUpstream,
    server: RunningServer,
    case: tuple[list[Message], list[Json], list[str], list[Setting]],
) -> None:
    """A model that binds its reasoning gets a later system message after the user's turn, never in the prompt."""
    messages, turns, system_texts, reported = case

    body, settings = await capture_body(upstream, server, CompleteRequest(model=BOUND, messages=messages, tools=TOOLS))

    assert body["messages"] == turns
    assert [block["text"] for block in body.get("system", [])] == system_texts
    assert settings == reported


async def test_newer_models_do_not_continue_an_answer(upstream: FakeUpstream, server: RunningServer) -> None:
    """The beginning of an answer at the end of the conversation is refused where no model continues it."""
    messages = [user("a"), assistant("b"), assistant()]

    assert await find_refused_fields(upstream, server, CompleteRequest(model=NEWER, messages=messages)) == [
        "messages[1]"
    ]


async def test_a_model_that_litellm_does_not_know(upstream: FakeUpstream, server: RunningServer) -> None:
    """A model of an unknown name gets its conversation as an older model does."""
    messages = [user("a"), system("s"), assistant("b ")]

    body, settings = await capture_body(upstream, server, CompleteRequest(model=UNKNOWN, messages=messages))

    assert body["system"] == [text("s")]
    assert body["messages"] == [turn("user", "a"), turn("assistant", "b")]
    assert [field for field, _, _ in settings] == ["messages[2].content[0].text", "messages[1]"]
