"""The fold makes the parts of an answer from its deltas, in their order."""

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
from reasoning_grpc.domain.fold import MessageBuilder, fold

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
    answer = MessageBuilder()

    for piece in pieces:
        answer.record(piece)

    assert answer.build_message().role is Role.ASSISTANT
    assert list(answer.build_message().content) == parts


async def test_what_has_no_end_is_not_folded() -> None:
    """A stream without `completed` is no answer."""

    async def cut() -> AsyncGenerator[StreamEvent, None]:
        yield StreamEvent(0, 0.0, 0, ContentDelta("a"))

    with pytest.raises(ValueError, match="cannot be folded"):
        await fold(cut())
