"""How neighbouring deltas are joined to one."""

from typing import Final

import pytest

from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, TokenLogprob, ToolCallDelta
from reasoning_grpc.litellm_model.answers import join_deltas

A_LOGPROB: Final = TokenLogprob("a", -0.5, b"a")

PIECE: Final = ContentDelta("x")
JOINED: Final[dict[str, tuple[list[Delta], list[Delta]]]] = {
    "none": ([], []),
    "one": ([ContentDelta("a")], [ContentDelta("a")]),
    "content": ([ContentDelta("a"), ContentDelta("b"), ContentDelta("c")], [ContentDelta("abc")]),
    "content-with-logprobs": (
        [ContentDelta("a", (A_LOGPROB,)), ContentDelta("b"), ContentDelta("c", (A_LOGPROB,))],
        [ContentDelta("abc", (A_LOGPROB, A_LOGPROB))],
    ),
    "refusal-after-content": (
        [ContentDelta("a"), ContentDelta("b", refusal=True), ContentDelta("c", refusal=True)],
        [ContentDelta("a"), ContentDelta("bc", refusal=True)],
    ),
    "kinds-in-turn": (
        [ReasoningDelta("a"), PIECE, ReasoningDelta("b"), PIECE],
        [ReasoningDelta("a"), PIECE, ReasoningDelta("b"), PIECE],
    ),
    "reasoning-up-to-a-signature": (
        [ReasoningDelta("a"), ReasoningDelta("b"), ReasoningDelta(signature="s"), ReasoningDelta("c")],
        [ReasoningDelta("ab", signature="s"), ReasoningDelta("c")],
    ),
    "reasoning-around-redacted": (
        [ReasoningDelta("a"), ReasoningDelta(redacted=b"r"), ReasoningDelta(redacted=b"r"), ReasoningDelta("b")],
        [ReasoningDelta("a"), ReasoningDelta(redacted=b"r"), ReasoningDelta(redacted=b"r"), ReasoningDelta("b")],
    ),
    "a-call": (
        [ToolCallDelta("c", 0, "f", "{"), ToolCallDelta("c", 0, "", '"a"'), ToolCallDelta("c", 0, "", ":1}", "gs")],
        [ToolCallDelta("c", 0, "f", '{"a":1}', "gs")],
    ),
    "calls": (
        [ToolCallDelta("c", 0, "f", "{}"), ToolCallDelta("d", 1, "f", "{"), ToolCallDelta("d", 1, "", "}")],
        [ToolCallDelta("c", 0, "f", "{}"), ToolCallDelta("d", 1, "f", "{}")],
    ),
}


@pytest.mark.parametrize(("deltas", "expected"), JOINED.values(), ids=JOINED.keys())
def test_neighbours_are_joined(deltas: list[Delta], expected: list[Delta]) -> None:
    """Neighbours of one kind become one delta, in order; different parts of the answer stay apart."""
    assert join_deltas(deltas) == expected
