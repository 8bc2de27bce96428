"""What a model writes between think tags is its reasoning, where its entry says so, however the text is cut."""

import re
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.domain import ResponseFormat, ResponseFormatKind, ThinkTags
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
from reasoning_grpc.llm.think_tags import CLOSING, OPENING, UntaggedModel
from reasoning_grpc.v1 import completion_pb2, messages_pb2
from tests.support.factories import a_call, a_context, a_wire_request
from tests.support.models import ScriptedModel, a_model, answering
from tests.support.received import receive_answer
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream, chunk

NONE, PAIR, OPEN = ThinkTags
WIRES: Final = ("openai", "hosted_vllm")
"""A provider that we read ourselves, and one that litellm reads."""


async def told_after_each(tags: ThinkTags, events: Sequence[ModelEvent], **call: Any) -> list[list[ModelEvent]]:
    """What is told of an answer, by the events of the inner model upon which it is told."""
    told: list[list[ModelEvent]] = []

    def script() -> Iterator[ModelEvent]:
        for event in events:
            told.append([])
            yield event

    model = UntaggedModel(ScriptedModel(script(), models=[a_model(think_tags=tags)]))
    async with aclosing(model.stream(a_call(**call), a_context())) as stream:
        async for event in stream:
            told[-1].append(event)
    return told


def whole(text: str, tags: ThinkTags) -> tuple[str, str]:
    """Reasoning and answer of a text, read at once."""
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
async def test_however_a_text_is_cut(text: str, cuts: list[int], tags: ThinkTags) -> None:
    """Reasoning and answer are those of the whole text; none comes twice, none before the other, no piece is empty."""
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(borders)]

    told = await told_after_each(tags, answering(*pieces))

    *deltas, finished = (event for events in told for event in events)
    kinds = [type(delta) for delta in deltas]
    assert isinstance(finished, ModelFinished)
    assert all(isinstance(delta, ContentDelta | ReasoningDelta) and delta.text for delta in deltas)
    assert kinds == sorted(kinds, key=[ReasoningDelta, ContentDelta].index)
    assert (_joined(deltas, ReasoningDelta), _joined(deltas, ContentDelta)) == whole(text, tags)


def _joined(deltas: Sequence[ModelEvent], kind: type[ContentDelta] | type[ReasoningDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, kind))


@settings(max_examples=300, deadline=None, database=None)
@given(text=TEXT, tags=st.sampled_from([PAIR, OPEN]))
async def test_nothing_is_held_back_but_what_may_be_a_tag(text: str, tags: ThinkTags) -> None:
    """A character at a time, what was told so far is what the text so far is, but for a part of a tag at its end."""
    told = await told_after_each(tags, answering(*text))

    for length, _ in enumerate(text, 1):
        so_far = [event for events in told[:length] for event in events]
        shown = _joined(so_far, ReasoningDelta) + _joined(so_far, ContentDelta)
        so_far_whole = "".join(whole(text[:length], tags))
        held = so_far_whole.removeprefix(shown)
        assert so_far_whole == shown + held
        assert OPENING.startswith(held.lstrip()) or CLOSING.startswith(held)


def said(text: str) -> ContentDelta:
    """A piece of the text."""
    return ContentDelta(text)


def thought(text: str) -> ReasoningDelta:
    """A piece of the reasoning."""
    return ReasoningDelta(text)


ROWS: Final[dict[str, tuple[ThinkTags, list[Delta], list[list[Delta]]]]] = {
    "a-tag-in-pieces": (
        PAIR,
        [said("<"), said("th"), said("ink"), said(">h"), said("m<"), said("/think"), said(">42")],
        [[], [], [], [thought("h")], [thought("m")], [], [said("42")], []],
    ),
    "all-at-once": (PAIR, [said("\n<think>\nhm\n</think>\n\n42\n")], [[thought("hm\n"), said("42\n")], []]),
    "white-space-in-pieces": (
        PAIR,
        [
            said("\n"),
            said("<think>"),
            said("\n"),
            said(" hm"),
            said("\n</think>"),
            said("\n"),
            said("\n 42"),
            said(" "),
        ],
        [[], [], [], [thought("hm")], [thought("\n")], [], [said("42")], [said(" ")], []],
    ),
    "no-reasoning-between": (PAIR, [said("<think>\n\n</think>\n\n"), said("42")], [[], [said("42")], []]),
    "no-tag": (PAIR, [said("4"), said("2")], [[said("4")], [said("2")], []]),
    "no-tag-after-all": (
        PAIR,
        [said("\n"), said("<thi"), said("s>"), said("</think>")],
        [[], [], [said("\n"), said("<thi"), said("s>")], [said("</think>")], []],
    ),
    "white-space-alone": (PAIR, [said("\n"), said(" ")], [[], [], [said("\n"), said(" ")]]),
    "a-tag-later": (
        PAIR,
        [said("Write `"), said("<think>hm</think>"), said("`.")],
        [[said("Write `")], [said("<think>hm</think>")], [said("`.")], []],
    ),
    "a-tag-in-code": (PAIR, [said("```\n<think>"), said("</think>")], [[said("```\n<think>")], [said("</think>")], []]),
    "a-second-thought": (
        PAIR,
        [said("<think>a</think>b"), said("<think>c</think>")],
        [[thought("a"), said("b")], [said("<think>c</think>")], []],
    ),
    "a-tag-in-a-thought": (
        PAIR,
        [said("<think><think>a</think></think>")],
        [[thought("<think>a"), said("</think>")], []],
    ),
    "never-closed": (PAIR, [said("<think>hm, <"), said("/thin")], [[thought("hm, ")], [], [thought("</thin")]]),
    "no-end-of-a-tag": (
        PAIR,
        [said("<think>1 <"), said("/ 2 </"), said("x")],
        [[thought("1 ")], [thought("</ 2 ")], [thought("</x")], []],
    ),
    "open": (OPEN, [said("\nh"), said("m</th"), said("ink>\n42")], [[thought("h")], [thought("m")], [said("42")], []]),
    "open-and-begun-all-the-same": (
        OPEN,
        [said("<thi"), said("nk>\nhm"), said("</think>42")],
        [[], [thought("hm")], [said("42")], []],
    ),
    "open-and-never-closed": (OPEN, [said("4"), said("2 <")], [[thought("4")], [thought("2 ")], [thought("<")]]),
    "open-and-a-tag-not-ended": (OPEN, [said("\n"), said("<thi")], [[], [], [thought("<thi")]]),
    "calls-after-the-answer": (
        PAIR,
        [said("<think>hm</think>\n"), ToolCallDelta("c1", 0, "f", "{"), ToolCallDelta("c1", 0, "", "}"), said("\n")],
        [[thought("hm")], [ToolCallDelta("c1", 0, "f", "{")], [ToolCallDelta("c1", 0, "", "}")], [said("\n")], []],
    ),
    "a-call-in-a-thought": (
        PAIR,
        [said("<think>hm <"), ToolCallDelta("c1", 0, "f"), said(" so</think>42")],
        [[thought("hm ")], [thought("<"), ToolCallDelta("c1", 0, "f")], [thought(" so"), said("42")], []],
    ),
    "a-call-after-what-is-held": (
        PAIR,
        [said("\n"), said("<"), ToolCallDelta("c1", 0, "f"), said("<think>")],
        [[], [], [said("\n"), said("<"), ToolCallDelta("c1", 0, "f")], [said("<think>")], []],
    ),
    "reasoning-of-its-own": (
        PAIR,
        [thought("hm"), said("<think>"), said("42")],
        [[thought("hm")], [said("<think>")], [said("42")], []],
    ),
    "open-and-reasoning-of-its-own": (
        OPEN,
        [ReasoningDelta("hm", signature="s"), said("\n\n42")],
        [[ReasoningDelta("hm", signature="s")], [said("\n\n42")], []],
    ),
    "reasoning-of-its-own-in-a-thought": (
        PAIR,
        [said("<think>a<"), ReasoningDelta(redacted=b"x"), said("b</think>42")],
        [[thought("a")], [thought("<"), ReasoningDelta(redacted=b"x")], [thought("b"), said("42")], []],
    ),
    "a-refusal": (
        PAIR,
        [said("<think>hm</think>"), ContentDelta("\nno", refusal=True)],
        [[thought("hm")], [ContentDelta("\nno", refusal=True)], []],
    ),
    "a-refusal-at-once": (OPEN, [ContentDelta("no", refusal=True)], [[ContentDelta("no", refusal=True)], []]),
    "a-signed-text": (
        PAIR,
        [ContentDelta("<think>hm</think>42", signature="s"), ContentDelta("!", signature="t")],
        [[thought("hm"), ContentDelta("42", signature="s")], [ContentDelta("!", signature="t")], []],
    ),
    "a-signature-ends-a-thought": (
        PAIR,
        [ContentDelta("<think>hm <", signature="s"), said("a")],
        [[thought("hm "), ReasoningDelta("<", signature="s")], [thought("a")], []],
    ),
    "a-signature-is-not-lost": (
        PAIR,
        [said("<think>hm"), ContentDelta("</think>\n", signature="s")],
        [[thought("hm")], [ContentDelta("", signature="s")], []],
    ),
    "a-signature-alone": (
        PAIR,
        [said("<think>hm</think>42"), ContentDelta("", signature="s")],
        [[thought("hm"), said("42")], [ContentDelta("", signature="s")], []],
    ),
    "none": (
        NONE,
        [said("<think>hm</think>42"), said("</think>")],
        [[said("<think>hm</think>42")], [said("</think>")], []],
    ),
}
"""Pieces of an answer, and what is told upon each, and at the end before the finish."""


@pytest.mark.parametrize(("tags", "events", "expected"), ROWS.values(), ids=ROWS.keys())
async def test_what_is_told_and_when(tags: ThinkTags, events: list[Delta], expected: list[list[Delta]]) -> None:
    """Everything keeps its order; what is no text of the answer stays as it is."""
    script = answering(*events)

    told = await told_after_each(tags, script)

    assert told == [*expected[:-1], [*expected[-1], script[-1]]]


def token(text: str, raw_bytes: bytes = b"") -> TokenLogprob:
    """A token of this text."""
    return TokenLogprob(text, -0.5, raw_bytes)


def tokens(*texts: str) -> ContentDelta:
    """A piece of text made of these tokens."""
    return ContentDelta("".join(texts), tuple(map(token, texts)))


LOGPROBS: Final[dict[str, tuple[list[Delta], list[Delta]]]] = {
    "of-the-answer": ([tokens("<think>"), tokens("hm"), tokens("</think>"), tokens("4", "2")], [tokens("4", "2")]),
    "in-one-piece": ([tokens("<think>", "hm", "</think>", "\n\n", "4", "2")], [tokens("4", "2")]),
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
        [said("<think></think>"), ContentDelta("", (token("?"),)), said("é")],
        [ContentDelta("", (token("?"),)), said("é")],
    ),
}
"""Pieces with log-probabilities, and the pieces of the answer that are told of them."""


@pytest.mark.parametrize(("events", "expected"), LOGPROBS.values(), ids=LOGPROBS.keys())
async def test_logprobs(events: list[Delta], expected: list[Delta]) -> None:
    """Those of the answer's tokens stay with it; reasoning has no place for its own."""
    told = await told_after_each(PAIR, answering(*events))

    assert [event for events in told for event in events if isinstance(event, ContentDelta)] == expected


JSON: Final = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "n", "{}")


@pytest.mark.parametrize(
    ("text", "response_format", "expected"),
    [
        pytest.param('\n{"a": 1}', JSON, ("", '\n{"a": 1}'), id="json"),
        pytest.param("[1]", JSON, ("", "[1]"), id="an array"),
        pytest.param("hm</think>{}", JSON, ("hm", "{}"), id="reasoning first"),
        pytest.param("{hm", None, ("{hm", ""), id="not asked for"),
        pytest.param("{hm", ResponseFormat(ResponseFormatKind.TEXT), ("{hm", ""), id="text"),
    ],
)
async def test_json_that_a_server_holds_a_model_to(
    text: str, response_format: ResponseFormat | None, expected: tuple[str, str]
) -> None:
    """Where JSON was asked for, and comes at once, the model had no chance to reason, whatever its template wrote."""
    told = await told_after_each(OPEN, answering(*text), response_format=response_format)

    deltas = [event for events in told for event in events]
    assert (_joined(deltas, ReasoningDelta), _joined(deltas, ContentDelta)) == expected


async def test_a_failure_ends_an_answer() -> None:
    """What is held back by then may be anything, and is not told."""
    script = (said("<think>hm <"), UpstreamStalled(model="fake"))
    stream = UntaggedModel(ScriptedModel(script, models=[a_model(think_tags=PAIR)])).stream(a_call(), a_context())

    first = await anext(stream)
    with pytest.raises(UpstreamStalled):
        await anext(stream)

    assert first == thought("hm ")


async def test_closing_goes_down() -> None:
    """Who stops reading in the middle closes the inner call."""
    inner = ScriptedModel((said("<think>hm"), said("m")), models=[a_model(think_tags=PAIR)])
    stream = UntaggedModel(inner).stream(a_call(), a_context())

    first = await anext(stream)
    open_before = inner.streams_open
    await stream.aclose()

    assert first == thought("hm")
    assert (open_before, inner.streams_open) == (1, 0)


def entry(upstream: FakeUpstream, wire: str = "openai", name: str = "fake", **overrides: Any) -> ModelEntry:
    """A model that writes think tags, of a provider of this prefix."""
    tags = {"litellm_model": f"{wire}/{name}", "think_tags": PAIR} | overrides
    return model_entry(upstream.api_base, name, **tags)


def included(**fields: Any) -> completion_pb2.CompleteRequest:
    """A request for an answer with the model's reasoning."""
    return a_wire_request(include=completion_pb2.IncludeOptions(reasoning=True), **fields)


def reasoned(reasoning: str, *parts: messages_pb2.Part) -> messages_pb2.Message:
    """An answer that begins with reasoning."""
    first = messages_pb2.Part(reasoning=messages_pb2.Reasoning(text=reasoning))
    return messages_pb2.Message(role=messages_pb2.ROLE_ASSISTANT, content=[first, *parts])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("tags", "pieces"),
    [
        pytest.param(PAIR, ("<th", "ink>\nh", "m</thi", "nk>", "\n\n4", "2"), id="pair"),
        pytest.param(OPEN, ("h", "m</thi", "nk>", "\n\n4", "2"), id="open"),
    ],
)
async def test_callers_see_reasoning(
    upstream: FakeUpstream, wire: str, tags: ThinkTags, pieces: tuple[str, ...]
) -> None:
    """It comes as reasoning, in a stream and in a whole message; usage and finish are the provider's."""
    upstream.always.reply(*pieces, finish_reason="length")

    async with serving(config_for(entry(upstream, wire, think_tags=tags))) as running:
        streamed = await receive_answer(running.client())
        whole_answer = await running.client().complete(included())

    assert streamed.summary() == {"reasoning": "hm", "text": "42", "ended": "LENGTH length", "tokens": [11, 7]}
    assert streamed.order == ["reasoning", "text"]
    assert whole_answer.message == reasoned("hm", messages_pb2.Part(text="42"))
    assert whole_answer.finish_reason == completion_pb2.FINISH_REASON_LENGTH


@pytest.mark.parametrize("wire", WIRES)
async def test_reasoning_that_was_not_asked_for(upstream: FakeUpstream, wire: str) -> None:
    """It is left out, as it is of every other model."""
    upstream.reply("<think>hm</think>42")

    async with serving(config_for(entry(upstream, wire))) as running:
        answer = await running.client().complete(a_wire_request())

    assert [part.text for part in answer.message.content] == ["42"]


@pytest.mark.parametrize("wire", WIRES)
async def test_calls_after_reasoning(upstream: FakeUpstream, wire: str) -> None:
    """A model may reason in its text and then call a tool."""
    upstream.reply("<think>hm</thi", "nk>\n\n", tool_calls=(FakeToolCall("c1", "f", ("{", "}")),))

    async with serving(config_for(entry(upstream, wire))) as running:
        answer = await running.client().complete(included())

    call = messages_pb2.ToolCall(id="c1", name="f", arguments="{}")
    assert answer.message == reasoned("hm", messages_pb2.Part(tool_call=call))
    assert answer.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS


@pytest.mark.parametrize("wire", WIRES)
async def test_a_server_that_tells_reasoning_itself(upstream: FakeUpstream, wire: str) -> None:
    """Its content is the answer, also of an entry that says otherwise."""
    upstream.reply("4", "2", reasoning=("h", "m"))

    async with serving(config_for(entry(upstream, wire, think_tags=OPEN))) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text) == ("hm", "42")


async def test_each_piece_is_told_at_once(upstream: FakeUpstream) -> None:
    """The next piece comes only when the caller has the one before, but for what of it may begin a tag."""
    gate = upstream.gated("<think>a", "b", " <", "c</thi", "nk>4", "2")
    told: list[tuple[str, int]] = []

    async with serving(config_for(entry(upstream))) as running:
        async for event in running.client().stream(included()):
            told.append((event.reasoning_delta.text or event.content_delta.text, gate.steps_sent))
            gate.open()

    assert told == [("", 0), ("a", 1), ("b", 2), (" ", 3), ("<c", 4), ("4", 5), ("2", 6), ("", 7)]


async def test_what_is_held_back_may_be_asked_for_again(upstream: FakeUpstream) -> None:
    """A call that failed before anything of it was told is retried."""
    upstream.lines(chunk({"content": "\n<thi"}))
    upstream.reply("<think>hm</think>42")

    async with serving(config_for(entry(upstream))) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text) == ("hm", "42")
    assert len(upstream.requests) == 2


async def test_an_answer_that_breaks_off_in_reasoning(upstream: FakeUpstream) -> None:
    """It failed, and no text of it was sent."""
    upstream.lines(chunk({"content": "<think>hm"}))

    async with serving(config_for(entry(upstream))) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text, answer.error) == ("hm", "", "UPSTREAM_STREAM_TRUNCATED")
    assert answer.interruption is not None
    assert answer.interruption.content_characters == 0


async def test_a_fallback_is_read_by_its_own_entry(upstream: FakeUpstream) -> None:
    """A tag is text in what another model answers."""
    upstream.fail(401)
    upstream.reply("<think>hm</think>42")
    first = entry(upstream, name="first", fallback_models=("second",))

    async with serving(config_for(first, model_entry(upstream.api_base, "second"), max_retries=0)) as running:
        answer = await receive_answer(running.client())

    assert (answer.reasoning, answer.text) == ("", "<think>hm</think>42")
    assert [request.body["model"] for request in upstream.requests] == ["first", "second"]
