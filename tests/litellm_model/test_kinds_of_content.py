"""How callers of both RPCs get reasoning, think tags and tool calls of an answer."""

import pytest

from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.checked_server import BOTH_RPCS, EVERY_PROTOCOL, PROMPT, CheckedServer, collect_events, content_texts
from tests.support.factories import a_wire_request
from tests.support.upstream import FakeToolCall, FakeUpstream


@EVERY_PROTOCOL
@pytest.mark.parametrize("wire_field", ["reasoning_content", "reasoning"])
async def test_reasoning_included(upstream: FakeUpstream, checked_server: CheckedServer, wire_field: str) -> None:
    """Reasoning streams as its own kind, before the content, under either field name of the upstream."""
    gate = upstream.gated("4", "2", reasoning=("let me ", "see"), reasoning_field=wire_field)
    request = a_wire_request(PROMPT, include=completion_pb2.IncludeOptions(reasoning=True))
    events: list[events_pb2.StreamCompleteResponse] = []

    await collect_events(checked_server.running.client(), request, events, gate=gate)

    kinds = ["started", "reasoning_delta", "reasoning_delta", "content_delta", "content_delta", "completed"]
    assert [event.WhichOneof("kind") for event in events] == kinds
    assert [event.reasoning_delta.text for event in events[1:3]] == ["let me ", "see"]
    assert content_texts(events) == ["4", "2"]


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_reasoning_not_included(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """Reasoning that was not requested is left out, but its tokens are counted."""
    upstream.reply("42", reasoning=("let me ", "see"))

    answer = await checked_server.answer(rpc)

    assert answer.text == "42"
    assert {event.WhichOneof("kind") for event in answer.events} <= {"started", "content_delta", "completed"}
    assert answer.end.usage.reasoning_tokens == 2


@EVERY_PROTOCOL
@BOTH_RPCS
async def test_think_tags_stay_content(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str) -> None:
    """`<think>` inside content is text as the model wrote it, wherever it is split."""
    upstream.reply("<th", "ink>hm</thi", "nk>42")

    answer = await checked_server.answer(rpc)

    assert answer.text == "<think>hm</think>42"


@EVERY_PROTOCOL
@BOTH_RPCS
@pytest.mark.parametrize("indexed", [pytest.param(True, id="index"), pytest.param(False, id="no-index")])
async def test_tool_calls(upstream: FakeUpstream, checked_server: CheckedServer, rpc: str, indexed: bool) -> None:
    """Deltas of tool calls are joined, with and without the upstream's index, after the content."""
    upstream.reply(
        "Looking.",
        tool_calls=(
            FakeToolCall("call_a", "find", ('{"q"', ': "x"}'), indexed=indexed),
            FakeToolCall("call_b", "count", ("{", "}"), indexed=indexed),
        ),
    )

    answer = await checked_server.answer(rpc)

    if isinstance(answer.end, completion_pb2.CompleteResponse):
        _, *parts = answer.end.message.content
        calls = [(part.tool_call.id, part.tool_call.name, part.tool_call.arguments) for part in parts]
    else:
        deltas = [event.tool_call_delta for event in answer.events if event.WhichOneof("kind") == "tool_call_delta"]
        ids = dict.fromkeys(delta.call_id for delta in deltas)
        calls = [
            (
                call_id,
                "".join(delta.name for delta in deltas if delta.call_id == call_id),
                "".join(delta.arguments for delta in deltas if delta.call_id == call_id),
            )
            for call_id in ids
        ]
        assert [delta.index for delta in deltas] == sorted(delta.index for delta in deltas)
    assert answer.text == "Looking."
    assert calls == [("call_a", "find", '{"q": "x"}'), ("call_b", "count", "{}")]
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
