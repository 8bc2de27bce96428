"""What a model writes between think tags is its reasoning, where its entry says so, wherever the text is cut."""

import re
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.domain import ResponseFormat, ResponseFormatKind, ThinkTags, UsageMeter
from reasoning_grpc.domain.errors import UpstreamStalled
from reasoning_grpc.domain.events import (
    ContentDelta,
    Delta,
    ModelEvent,
    ModelFinished,
    ReasoningDelta,
    TokenLogprob,
    ToolCallDelta,
)
from reasoning_grpc.llm import GuardPolicy, UpstreamGuards
from reasoning_grpc.llm.attempt import Attempt, AttemptSetup
from reasoning_grpc.llm.think_tags import CLOSING, OPENING
from reasoning_grpc.llm.timeouts import ModelTimeouts
from reasoning_grpc.v1 import completion_pb2, messages_pb2
from tests.support.factories import a_call, a_context, a_deployment, a_wire_request
from tests.support.models import ScriptedModel, Served, a_model, script_answer
from tests.support.received import receive_answer
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream, chunk

NONE, PAIR, OPEN = ThinkTags
WIRES: Final = ("openai", "hosted_vllm")
"""A provider that we read ourselves, and one that litellm reads."""


async def convert_stepwise(tags: ThinkTags, events: Sequence[ModelEvent], **call: Any) -> list[list[ModelEvent]]:
    """Returns the events of an answer, grouped by the events of the adapter that cause them."""
    async with attempt(ScriptedModel(events, models=[a_model(think_tags=tags)]), **call) as answer:
        return [list(await answer.next_events()) for _ in events]


def attempt(adapter: ScriptedModel, **call: Any) -> Attempt:
    """Returns an attempt at a call of the adapter."""
    requested, guards = a_call(**call), UpstreamGuards(GuardPolicy(), time.monotonic)
    served = Served(adapter.describe(requested.model), a_deployment())
    setup = AttemptSetup(adapter, ModelTimeouts(), guards, lambda _: served)
    return Attempt(setup, served, requested, a_context(), UsageMeter())


def split_whole(text: str, tags: ThinkTags) -> tuple[str, str]:
    """Returns reasoning and answer of a text that is read at once."""
    begun = re.match(rf"\s*{OPENING}", text)
    if tags is NONE or (begun is None and tags is PAIR):
        return "", text
    reasoning, _, answer = text[begun.end() if begun else 0 :].partition(CLOSING)
    return reasoning.lstrip(), answer.lstrip()


FRAGMENT: Final = st.sampled_from(
    [OPENING, CLOSING, "<", "</", ">", "<thi", "think>", "</thin", " ", "\n", "\n\n", "a", "4 < 2", "`", "\u2028", "😀"]
)
TEXT: Final = st.lists(FRAGMENT, max_size=10).map("".join)
CUTS: Final = st.lists(st.integers(0, 80), max_size=12)


@settings(max_examples=600, deadline=None, database=None)
@given(text=TEXT, cuts=CUTS, tags=st.sampled_from(ThinkTags))
async def test_a_text_may_be_cut_anywhere(text: str, cuts: list[int], tags: ThinkTags) -> None:
    """Reasoning and answer do not depend on the cuts of the text; nothing is repeated, reordered or empty."""
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    chunks = [text[start:end] for start, end in pairwise(borders)]

    groups = await convert_stepwise(tags, script_answer(*chunks))

    *deltas, finished = (event for events in groups for event in events)
    kinds = [type(delta) for delta in deltas]
    assert isinstance(finished, ModelFinished)
    assert all(isinstance(delta, ContentDelta | ReasoningDelta) and delta.text for delta in deltas)
    assert kinds == sorted(kinds, key=[ReasoningDelta, ContentDelta].index)
    assert (_join(deltas, ReasoningDelta), _join(deltas, ContentDelta)) == split_whole(text, tags)


def _join(deltas: Sequence[ModelEvent], kind: type[ContentDelta] | type[ReasoningDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, kind))


@settings(max_examples=300, deadline=None, database=None)
@given(text=TEXT, tags=st.sampled_from([PAIR, OPEN]))
async def test_nothing_is_held_back_but_what_may_be_a_tag(text: str, tags: ThinkTags) -> None:
    """Read by single characters, everything is yielded at once except for what may be a part of a tag at its end."""
    groups = await convert_stepwise(tags, script_answer(*text))

    for length, _ in enumerate(text, 1):
        so_far = [event for events in groups[:length] for event in events]
        yielded = _join(so_far, ReasoningDelta) + _join(so_far, ContentDelta)
        so_far_whole = "".join(split_whole(text[:length], tags))
        held = so_far_whole.removeprefix(yielded)
        assert so_far_whole == yielded + held
        assert OPENING.startswith(held.lstrip()) or CLOSING.startswith(held)


def content(text: str) -> ContentDelta:
    """Returns a delta of the text."""
    return ContentDelta(text)


def reasoning(text: str) -> ReasoningDelta:
    """Returns a delta of the reasoning."""
    return ReasoningDelta(text)


ROWS: Final[dict[str, tuple[ThinkTags, list[Delta], list[list[Delta]]]]] = {
    "a-tag-in-chunks": (
        PAIR,
        [content("<"), content("th"), content("ink"), content(">h"), content("m<"), content("/think"), content(">42")],
        [[], [], [], [reasoning("h")], [reasoning("m")], [], [content("42")], []],
    ),
    "all-at-once": (PAIR, [content("\n<think>\nhm\n</think>\n\n42\n")], [[reasoning("hm\n"), content("42\n")], []]),
    "white-space-in-chunks": (
        PAIR,
        [
            content("\n"),
            content("<think>"),
            content("\n"),
            content(" hm"),
            content("\n</think>"),
            content("\n"),
            content("\n 42"),
            content(" "),
        ],
        [[], [], [], [reasoning("hm")], [reasoning("\n")], [], [content("42")], [content(" ")], []],
    ),
    "no-reasoning-between": (PAIR, [content("<think>\n\n</think>\n\n"), content("42")], [[], [content("42")], []]),
    "no-tag": (PAIR, [content("4"), content("2")], [[content("4")], [content("2")], []]),
    "no-tag-after-all": (
        PAIR,
        [content("\n"), content("<thi"), content("s>"), content("</think>")],
        [[], [], [content("\n"), content("<thi"), content("s>")], [content("</think>")], []],
    ),
    "white-space-alone": (PAIR, [content("\n"), content(" ")], [[], [], [content("\n"), content(" ")]]),
    "a-tag-later": (
        PAIR,
        [content("Write `"), content("<think>hm</think>"), content("`.")],
        [[content("Write `")], [content("<think>hm</think>")], [content("`.")], []],
    ),
    "a-tag-in-code": (
        PAIR,
        [content("```\n<think>"), content("</think>")],
        [[content("```\n<think>")], [content("</think>")], []],
    ),
    "a-second-thought": (
        PAIR,
        [content("<think>a</think>b"), content("<think>c</think>")],
        [[reasoning("a"), content("b")], [content("<think>c</think>")], []],
    ),
    "a-tag-in-a-thought": (
        PAIR,
        [content("<think><think>a</think></think>")],
        [[reasoning("<think>a"), content("</think>")], []],
    ),
    "never-closed": (
        PAIR,
        [content("<think>hm, <"), content("/thin")],
        [[reasoning("hm, ")], [], [reasoning("</thin")]],
    ),
    "no-end-of-a-tag": (
        PAIR,
        [content("<think>1 <"), content("/ 2 </"), content("x")],
        [[reasoning("1 ")], [reasoning("</ 2 ")], [reasoning("</x")], []],
    ),
    "open": (
        OPEN,
        [content("\nh"), content("m</th"), content("ink>\n42")],
        [[reasoning("h")], [reasoning("m")], [content("42")], []],
    ),
    "open-and-begun-all-the-same": (
        OPEN,
        [content("<thi"), content("nk>\nhm"), content("</think>42")],
        [[], [reasoning("hm")], [content("42")], []],
    ),
    "open-and-never-closed": (
        OPEN,
        [content("4"), content("2 <")],
        [[reasoning("4")], [reasoning("2 ")], [reasoning("<")]],
    ),
    "open-and-a-tag-not-ended": (OPEN, [content("\n"), content("<thi")], [[], [], [reasoning("<thi")]]),
    "calls-after-the-answer": (
        PAIR,
        [
            content("<think>hm</think>\n"),
            ToolCallDelta("c1", 0, "f", "{"),
            ToolCallDelta("c1", 0, "", "}"),
            content("\n"),
        ],
        [[reasoning("hm")], [ToolCallDelta("c1", 0, "f", "{")], [ToolCallDelta("c1", 0, "", "}")], [content("\n")], []],
    ),
    "a-call-in-a-thought": (
        PAIR,
        [content("<think>hm <"), ToolCallDelta("c1", 0, "f"), content(" so</think>42")],
        [[reasoning("hm ")], [reasoning("<"), ToolCallDelta("c1", 0, "f")], [reasoning(" so"), content("42")], []],
    ),
    "a-call-after-what-is-held": (
        PAIR,
        [content("\n"), content("<"), ToolCallDelta("c1", 0, "f"), content("<think>")],
        [[], [], [content("\n"), content("<"), ToolCallDelta("c1", 0, "f")], [content("<think>")], []],
    ),
    "reasoning-of-its-own": (
        PAIR,
        [reasoning("hm"), content("<think>"), content("42")],
        [[reasoning("hm")], [content("<think>")], [content("42")], []],
    ),
    "open-and-reasoning-of-its-own": (
        OPEN,
        [ReasoningDelta("hm", signature="s"), content("\n\n42")],
        [[ReasoningDelta("hm", signature="s")], [content("\n\n42")], []],
    ),
    "reasoning-of-its-own-in-a-thought": (
        PAIR,
        [content("<think>a<"), ReasoningDelta(redacted=b"x"), content("b</think>42")],
        [[reasoning("a")], [reasoning("<"), ReasoningDelta(redacted=b"x")], [reasoning("b"), content("42")], []],
    ),
    "a-refusal": (
        PAIR,
        [content("<think>hm</think>"), ContentDelta("\nno", refusal=True)],
        [[reasoning("hm")], [ContentDelta("\nno", refusal=True)], []],
    ),
    "a-refusal-at-once": (OPEN, [ContentDelta("no", refusal=True)], [[ContentDelta("no", refusal=True)], []]),
    "a-signed-text": (
        PAIR,
        [ContentDelta("<think>hm</think>42", signature="s"), ContentDelta("!", signature="t")],
        [[reasoning("hm"), ContentDelta("42", signature="s")], [ContentDelta("!", signature="t")], []],
    ),
    "a-signature-ends-a-thought": (
        PAIR,
        [ContentDelta("<think>hm <", signature="s"), content("a")],
        [[reasoning("hm "), ReasoningDelta("<", signature="s")], [reasoning("a")], []],
    ),
    "a-signature-is-not-lost": (
        PAIR,
        [content("<think>hm"), ContentDelta("</think>\n", signature="s")],
        [[reasoning("hm")], [ContentDelta("", signature="s")], []],
    ),
    "a-signature-alone": (
        PAIR,
        [content("<think>hm</think>42"), ContentDelta("", signature="s")],
        [[reasoning("hm"), content("42")], [ContentDelta("", signature="s")], []],
    ),
    "none": (
        NONE,
        [content("<think>hm</think>42"), content("</think>")],
        [[content("<think>hm</think>42")], [content("</think>")], []],
    ),
}
"""Deltas of an answer, and what is yielded for each of them, and at the end before the finish."""


@pytest.mark.parametrize(("tags", "events", "expected"), ROWS.values(), ids=ROWS.keys())
async def test_what_is_yielded_and_when(tags: ThinkTags, events: list[Delta], expected: list[list[Delta]]) -> None:
    """Everything keeps its order, and events that are no text of the answer are unchanged."""
    script = script_answer(*events)

    groups = await convert_stepwise(tags, script)

    assert groups == [*expected[:-1], [*expected[-1], script[-1]]]


def token(text: str, raw_bytes: bytes = b"") -> TokenLogprob:
    """Returns a token of this text."""
    return TokenLogprob(text, -0.5, raw_bytes)


def tokens(*texts: str) -> ContentDelta:
    """Returns a delta of text that consists of these tokens."""
    return ContentDelta("".join(texts), tuple(map(token, texts)))


LOGPROBS: Final[dict[str, tuple[list[Delta], list[Delta]]]] = {
    "of-the-answer": ([tokens("<think>"), tokens("hm"), tokens("</think>"), tokens("4", "2")], [tokens("4", "2")]),
    "in-one-delta": ([tokens("<think>", "hm", "</think>", "\n\n", "4", "2")], [tokens("4", "2")]),
    "across-the-border": (
        [tokens("<think>", "hm", "</think", ">\n4", "2")],
        [ContentDelta("42", (token(">\n4"), token("2")))],
    ),
    "of-many-bytes": (
        [ContentDelta("<think></think>\né", (token("</think>\n"), token("\ufffd", b"\xc3"), token("\ufffd", b"\xa9")))],
        [ContentDelta("é", (token("\ufffd", b"\xc3"), token("\ufffd", b"\xa9")))],
    ),
    "of-no-tag": ([tokens("<", "b"), tokens(">")], [tokens("<", "b"), tokens(">")]),
    "of-what-was-held": ([tokens("<"), tokens("b>")], [tokens("<"), tokens("b>")]),
    "without-text": (
        [content("<think></think>"), ContentDelta("", (token("?"),)), content("é")],
        [ContentDelta("", (token("?"),)), content("é")],
    ),
}
"""Deltas with log probabilities, and the deltas of the answer that they become."""


@pytest.mark.parametrize(("events", "expected"), LOGPROBS.values(), ids=LOGPROBS.keys())
async def test_logprobs_stay_with_the_answer(events: list[Delta], expected: list[Delta]) -> None:
    """Log probabilities of the answer's tokens stay with it; reasoning has no field for its own."""
    groups = await convert_stepwise(PAIR, script_answer(*events))

    assert [event for events in groups for event in events if isinstance(event, ContentDelta)] == expected


JSON: Final = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "n", "{}")


@pytest.mark.parametrize(
    ("text", "response_format", "expected"),
    [
        pytest.param('\n{"a": 1}', JSON, ("", '\n{"a": 1}'), id="json"),
        pytest.param("[1]", JSON, ("", "[1]"), id="an array"),
        pytest.param("hm</think>{}", JSON, ("hm", "{}"), id="reasoning first"),
        pytest.param("{hm", None, ("{hm", ""), id="not requested"),
        pytest.param("{hm", ResponseFormat(ResponseFormatKind.TEXT), ("{hm", ""), id="text"),
    ],
)
async def test_json_at_the_beginning_is_the_answer(
    text: str, response_format: ResponseFormat | None, expected: tuple[str, str]
) -> None:
    """Where JSON was requested and comes at once, the model could not reason, whatever its template wrote."""
    groups = await convert_stepwise(OPEN, script_answer(*text), response_format=response_format)

    deltas = [event for events in groups for event in events]
    assert (_join(deltas, ReasoningDelta), _join(deltas, ContentDelta)) == expected


async def test_a_failure_ends_an_answer() -> None:
    """Text that is held back when a call fails is not yielded."""
    script = (content("<think>hm <"), UpstreamStalled(model="fake"))
    async with attempt(ScriptedModel(script, models=[a_model(think_tags=PAIR)])) as answer:
        first = await answer.next_events()
        with pytest.raises(UpstreamStalled):
            await answer.next_events()

    assert first == [reasoning("hm ")]


async def test_closing_closes_the_inner_call() -> None:
    """Leaving the attempt in the middle closes the adapter's stream."""
    inner = ScriptedModel((content("<think>hm"), content("m")), models=[a_model(think_tags=PAIR)])
    async with attempt(inner) as answer:
        first = await answer.next_events()
        open_before = inner.streams_open

    assert first == [reasoning("hm")]
    assert (open_before, inner.streams_open) == (1, 0)


def tagged_entry(upstream: FakeUpstream, wire: str = "openai", name: str = "fake", **overrides: Any) -> ModelEntry:
    """Returns a model that writes think tags, of a provider of this prefix."""
    tags = {"litellm_model": f"{wire}/{name}", "think_tags": PAIR} | overrides
    return model_entry(upstream.api_base, name, **tags)


def request_reasoning(**fields: Any) -> completion_pb2.CompleteRequest:
    """Returns a request for an answer with the model's reasoning."""
    return a_wire_request(include=completion_pb2.IncludeOptions(reasoning=True), **fields)


def reasoned_answer(reasoning: str, *parts: messages_pb2.Part) -> messages_pb2.Message:
    """Returns an answer that begins with reasoning."""
    first = messages_pb2.Part(reasoning=messages_pb2.Reasoning(text=reasoning))
    return messages_pb2.Message(role=messages_pb2.ROLE_ASSISTANT, content=[first, *parts])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("tags", "chunks"),
    [
        pytest.param(PAIR, ("<th", "ink>\nh", "m</thi", "nk>", "\n\n4", "2"), id="pair"),
        pytest.param(OPEN, ("h", "m</thi", "nk>", "\n\n4", "2"), id="open"),
    ],
)
async def test_callers_see_reasoning(
    upstream: FakeUpstream, wire: str, tags: ThinkTags, chunks: tuple[str, ...]
) -> None:
    """Reasoning between tags arrives as reasoning, streamed or whole, with the provider's usage and finish reason."""
    upstream.always.reply(*chunks, finish_reason="length")

    async with serving(config_for(tagged_entry(upstream, wire, think_tags=tags))) as running:
        streamed = await receive_answer(running.client())
        whole_answer = await running.client().complete(request_reasoning())

    assert streamed.summary() == {"reasoning": "hm", "text": "42", "ended": "LENGTH length", "tokens": [11, 7]}
    assert streamed.order == ["reasoning", "text"]
    assert whole_answer.message == reasoned_answer("hm", messages_pb2.Part(text="42"))
    assert whole_answer.finish_reason == completion_pb2.FINISH_REASON_LENGTH


@pytest.mark.parametrize("wire", WIRES)
async def test_reasoning_that_was_not_requested(upstream: FakeUpstream, wire: str) -> None:
    """Reasoning that was not requested is left out, as for every other model."""
    upstream.reply("<think>hm</think>42")

    async with serving(config_for(tagged_entry(upstream, wire))) as running:
        answer = await running.client().complete(a_wire_request())

    assert [part.text for part in answer.message.content] == ["42"]


@pytest.mark.parametrize("wire", WIRES)
async def test_calls_after_reasoning(upstream: FakeUpstream, wire: str) -> None:
    """A model may reason in its text and then call a tool."""
    upstream.reply("<think>hm</thi", "nk>\n\n", tool_calls=(FakeToolCall("c1", "f", ("{", "}")),))

    async with serving(config_for(tagged_entry(upstream, wire))) as running:
        answer = await running.client().complete(request_reasoning())

    call = messages_pb2.ToolCall(id="c1", name="f", arguments="{}")
    assert answer.message == reasoned_answer("hm", messages_pb2.Part(tool_call=call))
    assert answer.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS


@pytest.mark.parametrize("wire", WIRES)
async def test_a_server_that_separates_reasoning_itself(upstream: FakeUpstream, wire: str) -> None:
    """Where the server separates reasoning itself, content is the answer, even for an entry with think tags."""
    upstream.reply("4", "2", reasoning=("h", "m"))

    async with serving(config_for(tagged_entry(upstream, wire, think_tags=OPEN))) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text) == ("hm", "42")


async def test_each_delta_is_yielded_at_once(upstream: FakeUpstream) -> None:
    """The caller gets each delta before the next one is sent, except for what may be the beginning of a tag."""
    gate = upstream.gated("<think>a", "b", " <", "c</thi", "nk>4", "2")
    groups: list[tuple[str, int]] = []

    async with serving(config_for(tagged_entry(upstream))) as running:
        async for event in running.client().stream(request_reasoning()):
            groups.append((event.reasoning_delta.text or event.content_delta.text, gate.steps_sent))
            gate.open()

    assert groups == [("", 0), ("a", 1), ("b", 2), (" ", 3), ("<c", 4), ("4", 5), ("2", 6), ("", 7)]


async def test_a_call_with_text_held_back_is_retried(upstream: FakeUpstream) -> None:
    """A call that failed before any of its text was yielded is retried."""
    upstream.lines(chunk({"content": "\n<thi"}))
    upstream.reply("<think>hm</think>42")

    async with serving(config_for(tagged_entry(upstream))) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text) == ("hm", "42")
    assert len(upstream.requests) == 2


async def test_an_answer_that_breaks_off_in_reasoning(upstream: FakeUpstream) -> None:
    """An answer that breaks off inside its reasoning fails, and no text of it was sent."""
    upstream.lines(chunk({"content": "<think>hm"}))

    async with serving(config_for(tagged_entry(upstream))) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text, answer.error) == ("hm", "", "UPSTREAM_STREAM_TRUNCATED")
    assert answer.interruption is not None
    assert answer.interruption.content_characters == 0


async def test_a_fallback_is_read_by_its_own_entry(upstream: FakeUpstream) -> None:
    """A tag is text in the answer of a fallback model whose entry has no think tags."""
    upstream.fail(401)
    upstream.reply("<think>hm</think>42")
    first = tagged_entry(upstream, name="first", fallback_models=("second",))

    async with serving(config_for(first, model_entry(upstream.api_base, "second"), max_retries=0)) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text) == ("", "<think>hm</think>42")
    assert [request.body["model"] for request in upstream.requests] == ["first", "second"]
