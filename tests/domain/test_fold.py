"""The fold builds the parts of an answer from its deltas."""

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
from reasoning_grpc.domain.fold import CompletionBuilder, MessageBuilder

TABLE: list[tuple[str, list[Event], list[Part]]] = [
    ("text", [ContentDelta("a"), ContentDelta("b")], [Part(Text("ab"))]),
    (
        "reasoning-between-texts",
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
    ("signature-without-text", [ContentDelta("", signature="s")], [Part(Text(""), "s")]),
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


@pytest.mark.parametrize(("deltas", "parts"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_deltas_become_parts(deltas: list[Event], parts: list[Part]) -> None:
    """Consecutive deltas of one kind become one part, and the parts are in the order in which they began."""
    answer = MessageBuilder()

    for delta in deltas:
        answer.record(delta)

    assert answer.build_message().role is Role.ASSISTANT
    assert list(answer.build_message().content) == parts


def test_a_stream_without_an_end_is_not_folded() -> None:
    """The fold of a stream without `completed` raises ValueError, because the answer is not whole."""
    builder = CompletionBuilder()

    builder.record(StreamEvent(0, 0.0, 0, ContentDelta("a")))

    with pytest.raises(ValueError, match="cannot be folded"):
        builder.build()
