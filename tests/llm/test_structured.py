"""Which typed answers of a model are accepted, and what is wrong with the others."""

import asyncio
import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain import (
    AnswerFlaw,
    FinishReason,
    Role,
    UsageSource,
)
from reasoning_grpc.domain.events import (
    ContentDelta,
    Delta,
    InternalDelta,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
)
from reasoning_grpc.llm.structured import (
    BOOLEAN,
    STRING,
    FlawedAnswer,
    Schema,
    TypedAnswer,
    array_of,
    object_of,
    one_of,
)
from tests.support.factories import a_call
from tests.support.models import USAGE, Script, ScriptedModel, script_answer
from tests.support.typed_answers import CHOICE, GOOD, ROUTING, Choice, collect, list_texts

TOOL_CALL: Final = object_of(name=one_of(["search", "sum"]), arguments=STRING)
PLAN: Final = Schema[Any]("plan", object_of(thought=STRING, calls=array_of(TOOL_CALL), concurrent=BOOLEAN), dict)


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param((GOOD,), id="at once"),
        pytest.param((GOOD[:9], GOOD[9:]), id="in deltas"),
        pytest.param((f"\n {GOOD} \n",), id="among white space"),
        pytest.param((ReasoningDelta("{} is not it"), GOOD), id="after reasoning"),
        pytest.param(('{"reason": "It is short.", "route": "direct"}',), id="in another order"),
    ],
)
async def test_a_good_answer_is_a_value(deltas: tuple[str | Delta, ...]) -> None:
    """A good answer takes one call; its text is yielded only to be counted, the model's own reasoning to be shown."""
    model = ScriptedModel(script_answer(*deltas))

    events, outcome = await collect(model)

    assert outcome == TypedAnswer(Choice("direct", "It is short."))
    assert events == [
        ModelCallStarted(ROUTING, "fake"),
        *(InternalDelta(delta) if isinstance(delta, str) else delta for delta in deltas),
        ModelCallFinished(ROUTING, "fake", 1, FinishReason.STOP, "stop", USAGE, 0.25),
    ]


async def test_a_value_that_ends_at_the_limit() -> None:
    """JSON that is complete was not cut, whatever the finish reason says."""
    _, outcome = await collect(ScriptedModel(script_answer(GOOD, finish_reason=FinishReason.LENGTH)))

    assert isinstance(outcome, TypedAnswer)


NESTED: Final[dict[str, tuple[Any, str]]] = {
    "good": ({"thought": "", "calls": [], "concurrent": False}, ""),
    "good-call": ({"thought": "", "calls": [{"name": "sum", "arguments": "{}"}], "concurrent": True}, ""),
    "boolean": ({"thought": "", "calls": [], "concurrent": 1}, "It.concurrent is no boolean."),
    "array": ({"thought": "", "calls": {}, "concurrent": True}, "It.calls is no array."),
    "item": ({"thought": "", "calls": ["sum"], "concurrent": True}, "It.calls[0] is no object."),
    "arguments": (
        {
            "thought": "",
            "calls": [{"name": "sum", "arguments": "{}"}, {"name": "sum", "arguments": {}}],
            "concurrent": True,
        },
        "It.calls[1].arguments is no string.",
    ),
    "name": (
        {"thought": "", "calls": [{"name": "rm", "arguments": ""}], "concurrent": True},
        "It.calls[0].name is none of the values allowed.",
    ),
    "extra": (
        {"thought": "", "calls": [{"name": "sum", "arguments": "", "x": 0}], "concurrent": True},
        "It.calls[0] has a member that is not allowed.",
    ),
}


@pytest.mark.parametrize(("answer", "problem"), NESTED.values(), ids=NESTED)
async def test_members_inside_are_checked(answer: Any, problem: str) -> None:
    """Objects in arrays are checked as strictly, and the problem names the place."""
    _, outcome = await collect(ScriptedModel(script_answer(json.dumps(answer))), schema=PLAN, repair=None)

    assert outcome == (FlawedAnswer(AnswerFlaw.WRONG_SHAPE, problem) if problem else TypedAnswer(answer))


def test_the_schema_is_minimal_and_strict() -> None:
    """Every member is required, no other is allowed, and the schema has nothing that a provider might refuse."""
    call = {
        "type": "object",
        "properties": {"name": {"type": "string", "enum": ["search", "sum"]}, "arguments": {"type": "string"}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
    assert json.loads(PLAN.text) == {
        "type": "object",
        "properties": {
            "thought": {"type": "string"},
            "calls": {"type": "array", "items": call},
            "concurrent": {"type": "boolean"},
        },
        "required": ["thought", "calls", "concurrent"],
        "additionalProperties": False,
    }


async def test_a_parser_may_reject_a_value() -> None:
    """What the schema cannot express is reported to the model in the parser's words."""

    def read(fields: Any) -> str:
        if not fields["reason"]:
            raise ValueError("The reason is empty.")
        return str(fields["route"])

    model = ScriptedModel(script_answer('{"route": "direct", "reason": ""}'), script_answer(GOOD))

    _, outcome = await collect(model, schema=Schema("choice", CHOICE.shape, read))

    assert outcome == TypedAnswer("direct")
    assert "The reason is empty." in list_texts(model.calls[1])[-1][1]


@given(
    text=st.text(max_size=40)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["route", "reason", "x"]), inner),
    ).map(json.dumps)
)
def test_any_answer_is_a_value_or_has_a_flaw(text: str) -> None:
    """No answer of a model raises an error, and every value has the right shape."""
    _, outcome = asyncio.run(collect(ScriptedModel(script_answer(text)), repair=None))

    match outcome:
        case TypedAnswer(Choice(route, reason)):
            assert route in {"direct", "reasoning"}
            assert isinstance(reason, str)
        case _:
            assert isinstance(outcome, FlawedAnswer)


async def test_an_answer_without_end_is_left() -> None:
    """An answer over our limit is closed, its tokens are estimated, and the repair shows what was read."""
    script: Script = [*(ContentDelta("x" * 40) for _ in range(3)), asyncio.Event()]
    model = ScriptedModel(script, script_answer(GOOD))

    events, outcome = await collect(model, a_call(omitted_messages=3, omitted_tokens=200), max_characters=100)

    finished = [event for event in events if isinstance(event, ModelCallFinished)]
    assert isinstance(outcome, TypedAnswer)
    assert model.streams_open == 0
    assert [(event.finish_reason, event.provider_finish_reason) for event in finished] == [
        (FinishReason.LENGTH, ""),
        (FinishReason.STOP, "stop"),
    ]
    assert finished[0].usage.source is UsageSource.ESTIMATED
    assert finished[0].usage.output_tokens == 26
    assert finished[0].usage.input_tokens == model.count_tokens(model.calls[0])
    assert {(event.omitted_messages, event.omitted_tokens) for event in finished} == {(3, 200)}
    assert list_texts(model.calls[1])[-2] == (Role.ASSISTANT, "x" * 101)


async def test_json_over_the_limit_is_cut() -> None:
    """The part that was read of a longer answer is rejected, even if it is JSON."""
    _, outcome = await collect(ScriptedModel(script_answer(GOOD + " ", "!")), max_characters=len(GOOD), repair=None)

    assert outcome.flaw is AnswerFlaw.TRUNCATED
