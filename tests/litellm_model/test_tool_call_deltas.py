"""How deltas of tool calls find their call, whichever way a server tells them apart."""

from typing import Final

import pytest

from reasoning_grpc.domain.events import ToolCallDelta
from reasoning_grpc.litellm_model.answers import AnswerReader
from tests.support.answer_events import Json, a_call_json, read_events
from tests.support.upstream import chunk

CALLS: Final[dict[str, tuple[list[list[Json]], list[ToolCallDelta]]]] = {
    "indexed": (
        [[a_call_json(0, "c1", "f", "")], [a_call_json(0, None, None, '{"a"')], [a_call_json(0, None, None, ":1}")]],
        [ToolCallDelta("c1", 0, "f"), ToolCallDelta("c1", 0, "", '{"a"'), ToolCallDelta("c1", 0, "", ":1}")],
    ),
    "indexed-and-interleaved": (
        [
            [a_call_json(0, "c1", "f", "{")],
            [a_call_json(1, "c2", "g", "{")],
            [a_call_json(0, None, None, "}")],
            [a_call_json(1, None, None, "}")],
        ],
        [
            ToolCallDelta("c1", 0, "f", "{"),
            ToolCallDelta("c2", 1, "g", "{"),
            ToolCallDelta("c1", 0, "", "}"),
            ToolCallDelta("c2", 1, "", "}"),
        ],
    ),
    "indices-from-5": (
        [[a_call_json(5, "c1", "f", "{}")], [a_call_json(9, "c2", "g", "{}")]],
        [ToolCallDelta("c1", 0, "f", "{}"), ToolCallDelta("c2", 1, "g", "{}")],
    ),
    "id-empty-after-the-first": (
        [[a_call_json(0, "c1", "f", "{")], [a_call_json(0, "", "", "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "id-and-name-in-every-delta": (
        [[a_call_json(0, "c1", "f", "{")], [a_call_json(0, "c1", "f", "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "not-indexed": (
        [
            [a_call_json(None, "c1", "f", "{")],
            [a_call_json(None, None, None, "}")],
            [a_call_json(None, "c2", "g", "{}")],
        ],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}"), ToolCallDelta("c2", 1, "g", "{}")],
    ),
    "not-indexed-but-named-by-id": (
        [[a_call_json(None, "c1", "f", "{"), a_call_json(None, "c2", "g", "{")], [a_call_json(None, "c1", None, "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c2", 1, "g", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "index-null": (
        [[a_call_json(None, "c1", "f", "{") | {"index": None}], [a_call_json(None, None, None, "}") | {"index": None}]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}")],
    ),
    "whole-in-one-chunk": (
        [[a_call_json(0, "c1", "f", '{"a":1}'), a_call_json(1, "c2", "f", "{}")]],
        [ToolCallDelta("c1", 0, "f", '{"a":1}'), ToolCallDelta("c2", 1, "f", "{}")],
    ),
    "all-of-index-0": (
        [[a_call_json(0, "c1", "f", "{}")], [a_call_json(0, "c2", "f", "{")], [a_call_json(0, None, None, "}")]],
        [ToolCallDelta("c1", 0, "f", "{}"), ToolCallDelta("c2", 1, "f", "{"), ToolCallDelta("c2", 1, "", "}")],
    ),
    "arguments-null": (
        [[a_call_json(0, "c1", "f") | {"function": {"name": "f", "arguments": None}}]],
        [ToolCallDelta("c1", 0, "f")],
    ),
    "function-null": (
        [[a_call_json(0, "c1", "f", "{")], [{"index": 0, "function": None}], [a_call_json(0, None, None, "}")]],
        [ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0), ToolCallDelta("c1", 0, "", "}")],
    ),
    "name-of-another-type": (
        [[{"index": 0, "id": "c1", "function": {"name": 7, "arguments": 7}}]],
        [],
    ),
    "name-after-arguments": (
        [[a_call_json(0, "c1", None, '{"a"')], [a_call_json(0, None, "f", ":1")], [a_call_json(0, None, None, "}")]],
        [ToolCallDelta("c1", 0, "f", '{"a":1'), ToolCallDelta("c1", 0, "", "}")],
    ),
    "arguments-of-another-type": (
        [[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": [7]}}]],
        [ToolCallDelta("c1", 0, "f", "[7]")],
    ),
}


@pytest.mark.parametrize(("calls_of_deltas", "expected"), CALLS.values(), ids=CALLS.keys())
def test_deltas_find_their_tool_call(calls_of_deltas: list[list[Json]], expected: list[ToolCallDelta]) -> None:
    """Deltas find their call by index, id or order.

    Each has the id, only one has the name, and indices count from 0.
    """
    reader = AnswerReader()

    deltas = read_events(reader, *(chunk({"tool_calls": calls}) for calls in calls_of_deltas))

    assert deltas == expected


@pytest.mark.parametrize(
    "calls_of_deltas",
    [
        [[a_call_json(0, None, "f", "{")], [a_call_json(0, None, None, "}")], [a_call_json(1, None, "g", "{}")]],
        [
            [a_call_json(None, None, "f", "{")],
            [a_call_json(None, None, None, "}")],
            [a_call_json(None, None, "g", "{}")],
        ],
        [[a_call_json(0, "", "f", "{")], [a_call_json(0, "", "", "}")], [a_call_json(1, "", "g", "{}")]],
        [[a_call_json(None, 7, "f", "{")], [a_call_json(None, 7, None, "}")], [a_call_json(None, 7, "g", "{}")]],  # type: ignore[arg-type]
    ],
    ids=["indexed", "not-indexed", "empty-ids", "ids-of-another-type"],
)
def test_calls_without_an_id_get_one(calls_of_deltas: list[list[Json]]) -> None:
    """A call without an id gets one, which all its deltas share."""
    reader = AnswerReader()

    deltas = read_events(reader, *(chunk({"tool_calls": calls}) for calls in calls_of_deltas))

    first, more, second = (delta for delta in deltas if isinstance(delta, ToolCallDelta))
    assert first.call_id.startswith("call_")
    assert second.call_id.startswith("call_")
    assert second.call_id != first.call_id
    assert more == ToolCallDelta(first.call_id, 0, "", "}")
    assert (first.index, first.name, second.index, second.name) == (0, "f", 1, "g")
