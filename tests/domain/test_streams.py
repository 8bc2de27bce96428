"""fold and heartbeats, over plain generators."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from reasoning_grpc.domain import Part, Reasoning, Refusal, Role, Text, ToolCall
from reasoning_grpc.domain.events import (
    ContentDelta,
    Event,
    Heartbeat,
    ReasoningDelta,
    StreamEvent,
    ToolCallDelta,
)
from reasoning_grpc.domain.fold import AnswerParts, fold
from reasoning_grpc.domain.streams import with_heartbeats

TABLE: list[tuple[str, list[Event], list[Part]]] = [
    ("text", [ContentDelta("a"), ContentDelta("b")], [Part(Text("ab"))]),
    (
        "thinking-between-texts",
        [ContentDelta("a"), ReasoningDelta("t"), ContentDelta("b")],
        [Part(Text("a")), Part(Reasoning("t")), Part(Text("b"))],
    ),
    (
        "signature-ends-a-part",
        [ReasoningDelta("t"), ReasoningDelta("u", signature="s"), ReasoningDelta("v")],
        [Part(Reasoning("tu"), "s"), Part(Reasoning("v"))],
    ),
    (
        "signature-ends-a-text",
        [ContentDelta("a"), ContentDelta("", signature="s"), ContentDelta("b"), ContentDelta("c")],
        [Part(Text("a"), "s"), Part(Text("bc"))],
    ),
    (
        "signature-of-a-text-after-a-call",
        [ContentDelta("a"), ToolCallDelta("1", 0, "f", "{}"), ContentDelta("", signature="s")],
        [Part(Text("a"), "s"), Part(ToolCall("1", "f", "{}"))],
    ),
    ("signature-of-no-text", [ContentDelta("", signature="s")], [Part(Text(""), "s")]),
    (
        "redacted-stands-alone",
        [ReasoningDelta("t"), ReasoningDelta(redacted=b"x"), ReasoningDelta(redacted=b"y")],
        [Part(Reasoning("t")), Part(Reasoning(redacted=b"x")), Part(Reasoning(redacted=b"y"))],
    ),
    (
        "interleaved-calls",
        [
            ToolCallDelta("1", 0, "f", "{"),
            ToolCallDelta("2", 1, "g", "["),
            ToolCallDelta("1", 0, "", "}", "s"),
            ToolCallDelta("2", 1, "", "]"),
        ],
        [Part(ToolCall("1", "f", "{}"), "s"), Part(ToolCall("2", "g", "[]"))],
    ),
    (
        "refusal-is-a-part-of-its-own",
        [ContentDelta("a"), ContentDelta("no", refusal=True), ContentDelta("!", refusal=True)],
        [Part(Text("a")), Part(Refusal("no!"))],
    ),
    ("nothing", [Heartbeat()], []),
]


@pytest.mark.parametrize(("pieces", "parts"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_pieces_become_parts(pieces: list[Event], parts: list[Part]) -> None:
    """Neighbouring pieces of a kind are one part; the order is that in which the parts began."""
    answer = AnswerParts()

    for piece in pieces:
        answer.add(piece)

    assert answer.message().role is Role.ASSISTANT
    assert list(answer.message().content) == parts


async def test_what_has_no_end_is_not_folded() -> None:
    """A stream without `completed` is no answer."""

    async def cut() -> AsyncGenerator[StreamEvent, None]:
        yield StreamEvent(0, 0.0, 0, ContentDelta("a"))

    with pytest.raises(ValueError, match="cannot be folded"):
        await fold(cut())


async def test_heartbeats_fill_silence_and_lose_nothing() -> None:
    """While the source is silent there are heartbeats; its events come whole and in order."""
    go_on = asyncio.Event()

    async def source() -> AsyncGenerator[Event, None]:
        yield ContentDelta("a")
        await go_on.wait()
        yield ContentDelta("b")

    seen: list[Event] = []
    async for event in with_heartbeats(source(), 0.01, Heartbeat):
        seen.append(event)
        if seen.count(Heartbeat()) == 2:
            go_on.set()

    assert seen[0] == ContentDelta("a")
    assert seen[-1] == ContentDelta("b")
    assert seen.count(Heartbeat()) >= 2


async def test_closing_heartbeats_closes_the_source() -> None:
    """The source's clean-up has run when the close returns, also while it is awaited."""
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[Event, None]:
        try:
            yield ContentDelta("a")
            await asyncio.Event().wait()
        finally:
            closed.set()

    events = with_heartbeats(source(), 0.01, Heartbeat)
    assert await anext(events) == ContentDelta("a")
    assert await anext(events) == Heartbeat()

    await events.aclose()

    assert closed.is_set()
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_of_the_source_passes_through_heartbeats() -> None:
    """It is the source's own error that arrives."""

    async def source() -> AsyncGenerator[Event, None]:
        yield ContentDelta("a")
        raise LookupError("broken")

    events = with_heartbeats(source(), 10, Heartbeat)
    await anext(events)

    with pytest.raises(LookupError, match="broken"):
        await anext(events)
