"""Tool calls are told apart whatever index and id a server gives them, because both are only labels."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain.events import ToolCallDelta
from reasoning_grpc.domain.fold import MessageBuilder
from reasoning_grpc.litellm_model.answers import AnswerReader
from reasoning_grpc.litellm_model.answers.json_progress import JsonProgress
from reasoning_grpc.v1 import completion_pb2
from tests.support.answer_events import Json, read_events
from tests.support.checked_server import BOTH_RPCS, CheckedServer
from tests.support.received import receive_answer
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream, chunk

Call = tuple[str, str]
"""The name and the arguments of a call."""


@dataclass(frozen=True)
class SentCall:
    """A call as a server sends it."""

    name: str
    pieces: tuple[str, ...]
    """The arguments, of which the first delta has the first piece."""
    labels: Json
    """Index and id, as far as the server gives them."""
    repeats_labels: bool
    repeats_name: bool

    @property
    def content(self) -> Call:
        """Returns what must arrive."""
        return self.name, "".join(self.pieces)

    def deltas(self) -> Iterator[Json]:
        """Yields the call as a server streams it."""
        for number, piece in enumerate(self.pieces):
            labels = self.labels if number == 0 or self.repeats_labels else {}
            name = {"name": self.name} if number == 0 or self.repeats_name else {}
            yield {**labels, "function": {**name, "arguments": piece}}


@st.composite
def sent_calls(draw: st.DrawFn) -> list[SentCall]:
    """Draws calls of one answer, with missing, repeated and shared labels."""
    calls = []
    for number in range(draw(st.integers(1, 4))):
        arguments = json.dumps(draw(st.dictionaries(st.text(max_size=3), st.text(max_size=6), max_size=2)))
        cuts = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
        bounds = [0, *cuts, len(arguments)]
        index = draw(st.sampled_from([None, 0, number, number + 5]))
        call_id = draw(st.sampled_from([None, "", "shared", f"c{number}"]))
        calls.append(
            SentCall(
                name=draw(st.sampled_from(["get", "put"])),
                pieces=tuple(arguments[start:end] for start, end in pairwise(bounds)),
                labels={name: value for name, value in {"index": index, "id": call_id}.items() if value is not None},
                repeats_labels=draw(st.booleans()),
                repeats_name=draw(st.booleans()),
            )
        )
    return calls


@given(calls=sent_calls(), in_one_chunk=st.booleans())
def test_calls_are_told_apart_whatever_their_labels(calls: list[SentCall], *, in_one_chunk: bool) -> None:
    """Each call arrives once and whole, with an id that no other call of the answer has."""
    deltas = [list(call.deltas()) for call in calls]
    parts = [[part] for each in deltas for part in each]
    if in_one_chunk and len(parts) == len(calls):
        parts = [[part for (part,) in deltas]]
    reader = AnswerReader()

    read = read_events(reader, *(chunk({"tool_calls": each}) for each in parts))

    received = join_calls(read)
    assert [content for _, content in received] == [call.content for call in calls]
    assert len({call_id for call_id, _ in received}) == len(calls)


def join_calls(deltas: list[Any]) -> list[tuple[str, Call]]:
    """Returns the id, the name and the arguments of each call that these deltas amount to."""
    builder = MessageBuilder()
    for delta in deltas:
        assert isinstance(delta, ToolCallDelta)
        builder.record(delta)
    contents: Any = [part.content for part in builder.build_message().content]
    return [(call.id, (call.name, call.arguments)) for call in contents]


def part(name: str | None, arguments: str, **labels: Any) -> Json:
    """Returns one part of a call."""
    return {**labels, "function": {"name": name, "arguments": arguments}}


ANSWERS: Final[dict[str, tuple[list[list[Json]], list[Call]]]] = {
    "whole-calls-of-index-0": (
        [[part("get", '{"a":1}', index=0)], [part("put", '{"b":2}', index=0)]],
        [("get", '{"a":1}'), ("put", '{"b":2}')],
    ),
    "whole-calls-of-index-0-in-one-chunk": (
        [[part("get", '{"a":1}', index=0), part("put", '{"b":2}', index=0)]],
        [("get", '{"a":1}'), ("put", '{"b":2}')],
    ),
    "the-same-name-twice": (
        [[part("get", '{"a":1}', index=0)], [part("get", '{"a":2}', index=0)]],
        [("get", '{"a":1}'), ("get", '{"a":2}')],
    ),
    "one-id-for-all": (
        [[part("get", '{"a":1}', index=0, id="c")], [part("put", "{}", index=1, id="c")]],
        [("get", '{"a":1}'), ("put", "{}")],
    ),
    "two-parts-without-arguments": (
        [[part("get", "", index=0), part("get", "", index=0)]],
        [("get", ""), ("get", "")],
    ),
    "a-name-without-arguments-at-the-end": (
        [[part("get", '{"a":1}', index=0, id="c")], [part("get", "", index=0, id="c")]],
        [("get", '{"a":1}')],
    ),
    "deltas-counted-as-calls": (
        [[part("get", '{"a":', index=0, id="c")], [part(None, "1}", index=1, id="c")]],
        [("get", '{"a":1}')],
    ),
    "an-index-from-the-second-delta-on": (
        [[part("get", "")], [part(None, '{"a":', index=0)], [part(None, "1}", index=0)]],
        [("get", '{"a":1}')],
    ),
    "an-id-of-each-delta": (
        [[part("get", '{"a":', id="c1")], [part(None, "1}", id="c2")]],
        [("get", '{"a":1}')],
    ),
    "an-index-of-text": (
        [
            [part("get", "", index="0", id="a"), part("put", "", index="1", id="b")],
            [part(None, '{"a":1}', index="0")],
            [part(None, '{"b":2}', index="1")],
        ],
        [("get", '{"a":1}'), ("put", '{"b":2}')],
    ),
    "an-index-with-a-fraction-of-zero": (
        [
            [part("get", "", index=0.0, id="a"), part("put", "", index=1.0, id="b")],
            [part(None, '{"a":1}', index=0.0)],
            [part(None, '{"b":2}', index=1.0)],
        ],
        [("get", '{"a":1}'), ("put", '{"b":2}')],
    ),
    "parts-without-labels-in-the-order-of-the-calls": (
        [
            [part("get", "", index=0, id="a"), part("put", "", index=1, id="b")],
            [part(None, '{"a":1}'), part(None, '{"b":2}')],
        ],
        [("get", '{"a":1}'), ("put", '{"b":2}')],
    ),
    "another-id-and-the-name-in-each-delta": (
        [[part("get", '{"a":', index=0, id="c1")], [part("get", "1}", index=0, id="c2")]],
        [("get", '{"a":1}')],
    ),
    "a-call-after-one-that-was-cut": (
        [[part("get", '{"a":', index=0, id="c1")], [part("get", '{"a":1}', index=0, id="c2")]],
        [("get", '{"a":'), ("get", '{"a":1}')],
    ),
    "the-name-after-the-arguments": (
        [[part(None, '{"a":', index=0, id="c1")], [part("get", "1}", index=0)]],
        [("get", '{"a":1}')],
    ),
    "arguments-by-another-name": (
        [[{"index": 0, "id": "c", "function": {"name": "get", "parameters": {"a": 1}}}]],
        [("get", '{"a": 1}')],
    ),
    "a-bracket-too-many": (
        [[part("get", '{"a":1}', index=0)], [part(None, "}", index=0)]],
        [("get", '{"a":1}}')],
    ),
}


@BOTH_RPCS
@pytest.mark.parametrize(("calls_of_chunks", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_callers_get_each_call(
    upstream: FakeUpstream,
    checked_server: CheckedServer,
    rpc: str,
    calls_of_chunks: list[list[Json]],
    expected: list[Call],
) -> None:
    """Callers of both RPCs get each call once, whole, with an id of its own."""
    chunks = [chunk({"tool_calls": calls}) for calls in calls_of_chunks]
    upstream.chunks(*chunks, chunk({}, "tool_calls"), done=True)

    answer = await checked_server.answer(rpc)

    received: dict[str, list[str]] = {}
    if rpc == "Complete":
        assert isinstance(answer.end, completion_pb2.CompleteResponse)
        for each in answer.end.message.content:
            received[each.tool_call.id] = [each.tool_call.name, each.tool_call.arguments]
    for event in answer.events:
        if event.HasField("tool_call_delta"):
            call = received.setdefault(event.tool_call_delta.call_id, ["", ""])
            call[0] += event.tool_call_delta.name
            call[1] += event.tool_call_delta.arguments
    assert [tuple(call) for call in received.values()] == expected


MEMBERS_OF_OTHER_TYPES: Final[dict[str, list[Json]]] = {
    "an-index-of-text": [part("get", "{}", index="0", id="c")],
    "an-index-with-a-fraction": [part("get", "{}", index=0.5, id="c")],
    "an-id-that-is-a-number": [part("get", "{}", index=0, id=7)],
    "no-function-first": [{"index": 0, "id": "c", "function": None}, part("get", "{}", index=0)],
    "arguments-that-are-an-object": [{"index": 0, "id": "c", "function": {"name": "get", "arguments": {}}}],
}


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
@pytest.mark.parametrize("parts", MEMBERS_OF_OTHER_TYPES.values(), ids=MEMBERS_OF_OTHER_TYPES)
async def test_both_readers_take_members_of_other_types(
    upstream: FakeUpstream, parts: list[Json], provider: str
) -> None:
    """A member of another type than the protocol's breaks neither our reader nor litellm's."""
    upstream.chunks(*(chunk({"tool_calls": [each]}) for each in parts), chunk({}, "tool_calls"), done=True)

    async with serving(config_for(model_entry(upstream.api_base, litellm_model=f"{provider}/fake"))) as running:
        answer = await receive_answer(running.client())

    assert [(name, arguments) for _, name, arguments, _ in answer.calls] == [("get", "{}")]
    assert answer.finish == "TOOL_CALLS"


async def test_a_call_without_a_name_never_reaches_the_caller(
    checked_server: CheckedServer, upstream: FakeUpstream
) -> None:
    """Nothing of a call is sent before its name, so that each call begins with a delta that has the name."""
    upstream.chunks(chunk({"content": "Hi"}, "stop"), chunk({"tool_calls": [part(None, "{}", index=0)]}), done=True)

    failure = await checked_server.failure("StreamComplete")

    assert failure.error.reason == "UPSTREAM_MALFORMED_RESPONSE"
    assert failure.kinds == ["started", "content_delta"]


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
async def test_a_call_after_the_finish_reason(upstream: FakeUpstream, provider: str) -> None:
    """An answer whose call comes after the finish reason "stop" ends with TOOL_CALLS, too."""
    upstream.chunks(chunk({"content": "Hi"}, "stop"), chunk({"tool_calls": [part("get", "{}", index=0)]}), done=True)

    async with serving(config_for(model_entry(upstream.api_base, litellm_model=f"{provider}/fake"))) as running:
        answer = await receive_answer(running.client())

    assert (answer.text, answer.finish, len(answer.calls)) == ("Hi", "TOOL_CALLS", 1)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
    st.lists(st.integers(0, 200)),
)
def test_json_is_whole_at_its_end(value: Any, cuts: list[int]) -> None:
    """An object is whole exactly when its last bracket has arrived, wherever it is cut."""
    text = json.dumps({"value": value}, ensure_ascii=False)
    bounds = [0, *sorted(min(cut, len(text) - 1) for cut in cuts), len(text)]
    progress = JsonProgress()

    states = []
    for start, end in pairwise(bounds):
        progress.read(text[start:end])
        states.append(progress.is_whole)

    assert states == [False] * (len(states) - 1) + [True]
