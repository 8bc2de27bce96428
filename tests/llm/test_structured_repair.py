"""The one repair of a typed answer that is rejected."""

import json
from typing import Final

import pytest

from reasoning_grpc.domain import (
    AnswerFlaw,
    FinishReason,
    Role,
)
from reasoning_grpc.domain.events import (
    ContentDelta,
    Delta,
    ReasoningDelta,
    ToolCallDelta,
)
from reasoning_grpc.llm.structured import (
    FlawedAnswer,
    TypedAnswer,
)
from tests.support.models import Script, ScriptedModel, script_answer
from tests.support.typed_answers import CHOICE, GOOD, REPAIR, ROUTING, STEP, collect, list_calls, list_texts

REPAIRABLE: Final[dict[str, tuple[tuple[str | Delta, ...], AnswerFlaw, str]]] = {
    "words": (("I would say direct.",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "refusal-in-words": (
        ("I'm sorry, but I can't help with that.",),
        AnswerFlaw.NOT_JSON,
        "It is not JSON and nothing else.",
    ),
    "words-around-a-fence": (
        (f"Sure:\n```json\n{GOOD}\n```",),
        AnswerFlaw.NOT_JSON,
        "It is not JSON and nothing else.",
    ),
    "two-fences": (
        (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```",),
        AnswerFlaw.NOT_JSON,
        "It is not JSON and nothing else.",
    ),
    "fence-with-words": ((f"```json\nSure: {GOOD}\n```",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "fence-of-a-string": (
        (f"```json\n{json.dumps(GOOD)}\n```",),
        AnswerFlaw.NOT_JSON,
        "It is not JSON and nothing else.",
    ),
    "fence-without-end": ((f"```json\n{GOOD}",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "fences-alone": (("``````",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "fence-with-extra-key": (
        ('```json\n{"route": "direct", "reason": "", "x": 1}\n```',),
        AnswerFlaw.WRONG_SHAPE,
        "It has a member that is not allowed.",
    ),
    "words-before": ((f"Sure: {GOOD}",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "words-after": ((f"{GOOD} Done.",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "twice": ((GOOD + GOOD,), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "single-quotes": (("{'route': 'direct', 'reason': ''}",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "not-a-number": (('{"route": NaN, "reason": ""}',), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "lone-surrogate": (
        ('{"route": "direct", "reason": "\\ud83d"}',),
        AnswerFlaw.NOT_JSON,
        "It is not JSON and nothing else.",
    ),
    "too-deep": (("[" * 100_000,), AnswerFlaw.TRUNCATED, "It was too long, and cut."),
    "deep": (("[" * 20_000,), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "null": (("null",), AnswerFlaw.WRONG_SHAPE, "It is no object."),
    "array": ((f"[{GOOD}]",), AnswerFlaw.WRONG_SHAPE, "It is no object."),
    "string": ((json.dumps(GOOD),), AnswerFlaw.WRONG_SHAPE, "It is no object."),
    "extra-key": (
        ('{"route": "direct", "reason": "", "x": 1}',),
        AnswerFlaw.WRONG_SHAPE,
        "It has a member that is not allowed.",
    ),
    "missing-key": (('{"route": "direct"}',), AnswerFlaw.WRONG_SHAPE, "It has no reason."),
    "misspelt-key": (('{"Route": "direct", "reason": ""}',), AnswerFlaw.WRONG_SHAPE, "It has no route."),
    "label-out-of-the-enum": (
        ('{"route": "agent", "reason": ""}',),
        AnswerFlaw.WRONG_SHAPE,
        "It.route is none of the values allowed.",
    ),
    "label-in-another-case": (
        ('{"route": "Direct", "reason": ""}',),
        AnswerFlaw.WRONG_SHAPE,
        "It.route is none of the values allowed.",
    ),
    "label-null": (('{"route": null, "reason": ""}',), AnswerFlaw.WRONG_SHAPE, "It.route is no string."),
    "number-for-string": (('{"route": "direct", "reason": 1}',), AnswerFlaw.WRONG_SHAPE, "It.reason is no string."),
    "text-and-tool-call": ((GOOD, ToolCallDelta("c1", 0, "f", "{}")), AnswerFlaw.WRONG_SHAPE, "It calls a tool."),
}
"""Answers whose flaw a model can see, their flaws, and what the repair says of them."""

FINAL: Final[dict[str, tuple[Script, AnswerFlaw]]] = {
    "empty": (script_answer(), AnswerFlaw.EMPTY),
    "white-space": (script_answer(" \n"), AnswerFlaw.EMPTY),
    "reasoning-alone": (script_answer(ReasoningDelta(GOOD)), AnswerFlaw.EMPTY),
    "reasoning-to-the-limit": (
        script_answer(ReasoningDelta("hm"), finish_reason=FinishReason.LENGTH),
        AnswerFlaw.TRUNCATED,
    ),
    "refusal": (script_answer(ContentDelta("I will not.", refusal=True)), AnswerFlaw.REFUSED),
    "refusal-after-json": (script_answer(GOOD, ContentDelta("No.", refusal=True)), AnswerFlaw.REFUSED),
    "filter": (script_answer(GOOD[:9], finish_reason=FinishReason.CONTENT_FILTER), AnswerFlaw.FILTERED),
    "filter-after-json": (script_answer(GOOD, finish_reason=FinishReason.CONTENT_FILTER), AnswerFlaw.FILTERED),
    "tool-call": (
        script_answer(ToolCallDelta("c1", 0, "f", GOOD), finish_reason=FinishReason.TOOL_CALLS),
        AnswerFlaw.WRONG_SHAPE,
    ),
}
"""Answers without a text that a repair could show, or in which the model refused."""


@pytest.mark.parametrize(
    ("deltas", "problem"), [(deltas, problem) for deltas, _, problem in REPAIRABLE.values()], ids=REPAIRABLE
)
async def test_a_bad_answer_is_repaired(deltas: tuple[str | Delta, ...], problem: str) -> None:
    """The repair shows the model its answer, what is wrong with it, and the schema; the second answer counts."""
    model = ScriptedModel(script_answer(*deltas), script_answer(GOOD))

    events, outcome = await collect(model, purpose=STEP)

    rejected = "".join(delta for delta in deltas if isinstance(delta, str))
    first, second = model.calls
    assert isinstance(outcome, TypedAnswer)
    assert list_calls(events) == [("Started", STEP), ("Finished", STEP), ("Started", REPAIR), ("Finished", REPAIR)]
    assert list_texts(second)[:-2] == list_texts(first)
    assert list_texts(second)[-2][0] is Role.ASSISTANT
    assert list_texts(second)[-2][1] == rejected[: 32 * 1024 + 1]
    assert list_texts(second)[-1][0] is Role.USER
    assert problem in list_texts(second)[-1][1]
    assert CHOICE.text in list_texts(second)[-1][1]
    assert (second.response_format, second.sampling) == (first.response_format, first.sampling)


@pytest.mark.parametrize(("deltas", "flaw", "problem"), REPAIRABLE.values(), ids=REPAIRABLE)
async def test_there_is_one_repair(deltas: tuple[str | Delta, ...], flaw: AnswerFlaw, problem: str) -> None:
    """A second bad answer is the outcome, with its own flaw."""
    model = ScriptedModel(script_answer("oh"), script_answer(*deltas))

    events, outcome = await collect(model)

    assert outcome == FlawedAnswer(flaw, problem)
    assert [purpose for what, purpose in list_calls(events) if what == "Finished"] == [ROUTING, REPAIR]


@pytest.mark.parametrize(("deltas", "flaw", "problem"), REPAIRABLE.values(), ids=REPAIRABLE)
async def test_without_repair(deltas: tuple[str | Delta, ...], flaw: AnswerFlaw, problem: str) -> None:
    """Without a repair, the first bad answer is the outcome."""
    events, outcome = await collect(ScriptedModel(script_answer(*deltas)), repair=None)

    assert outcome == FlawedAnswer(flaw, problem)
    assert list_calls(events)[-1] == ("Finished", ROUTING)


@pytest.mark.parametrize(("script", "flaw"), FINAL.values(), ids=FINAL)
async def test_an_answer_that_is_not_repaired(script: Script, flaw: AnswerFlaw) -> None:
    """An empty answer or a refusal is not repaired: the model is not called again."""
    events, outcome = await collect(ScriptedModel(script))

    assert outcome.flaw is flaw
    assert list_calls(events) == [("Started", ROUTING), ("Finished", ROUTING)]


async def test_a_cut_answer_is_repaired() -> None:
    """The repair says to the model that its answer was too long."""
    model = ScriptedModel(script_answer(GOOD[:-2], finish_reason=FinishReason.LENGTH), script_answer(GOOD))

    _, outcome = await collect(model)

    assert isinstance(outcome, TypedAnswer)
    assert "It was too long, and cut." in list_texts(model.calls[1])[-1][1]
