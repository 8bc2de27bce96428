"""Typed answers: which answers are accepted, what is wrong with the others, and the one repair."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain import (
    AnswerFlaw,
    Capability,
    FinishReason,
    ModelCallPurpose,
    ModelInfo,
    Part,
    Prices,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
    UsageSource,
)
from reasoning_grpc.domain.errors import ModelNotFound, UpstreamFailed
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    ContentDelta,
    Delta,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ToolCallDelta,
    UnshownDelta,
)
from reasoning_grpc.engine.ledger import Ledger
from reasoning_grpc.llm.port import LanguageModel, ModelCall
from reasoning_grpc.llm.structured import (
    BOOLEAN,
    STRING,
    FlawedAnswer,
    Schema,
    TypedAnswer,
    array_of,
    object_of,
    one_of,
    stream_structured_answer,
)
from tests.support.factories import a_call, a_context, a_message
from tests.support.models import USAGE, Script, ScriptedModel, a_model, answering

ROUTING: Final = ModelCallPurpose.ROUTING
STEP: Final = ModelCallPurpose.STEP
REPAIR: Final = ModelCallPurpose.REPAIR


@dataclass(frozen=True)
class Choice:
    """A typical answer of a classifier."""

    route: str
    reason: str


CHOICE: Final = Schema(
    "choice", object_of(route=one_of(["direct", "reasoning"]), reason=STRING), lambda fields: Choice(**fields)
)
GOOD: Final = '{"route": "direct", "reason": "It is short."}'
TOOL_CALL: Final = object_of(name=one_of(["search", "sum"]), arguments=STRING)
PLAN: Final = Schema[Any]("plan", object_of(thought=STRING, calls=array_of(TOOL_CALL), concurrent=BOOLEAN), dict)


async def collect(model: LanguageModel, call: ModelCall | None = None, **options: Any) -> tuple[list[Event], Any]:
    """Returns the events of the model calls, and the outcome."""
    options = {"schema": CHOICE, "purpose": ROUTING, **options}
    stream = stream_structured_answer(model, call or a_call(), context=a_context(), **options)
    *events, outcome = [event async for event in stream]
    assert not any(isinstance(event, TypedAnswer | FlawedAnswer) for event in events)
    return events, outcome  # type: ignore[return-value]


def list_calls(events: list[Event]) -> list[tuple[str, ModelCallPurpose]]:
    """Returns the model calls among the events, by their purposes."""
    calls = [event for event in events if isinstance(event, ModelCallStarted | ModelCallFinished)]
    return [(type(event).__name__.removeprefix("ModelCall"), event.purpose) for event in calls]


def list_texts(call: ModelCall) -> list[tuple[Role, str]]:
    """Returns role and text of each message of a call."""
    return [
        (message.role, "".join(part.content.text for part in message.content if isinstance(part.content, Text)))
        for message in call.messages
    ]


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
    model = ScriptedModel(answering(*deltas))

    events, outcome = await collect(model)

    assert outcome == TypedAnswer(Choice("direct", "It is short."))
    assert events == [
        ModelCallStarted(ROUTING, "fake"),
        *(UnshownDelta(delta) if isinstance(delta, str) else delta for delta in deltas),
        ModelCallFinished(ROUTING, "fake", 1, FinishReason.STOP, "stop", USAGE, 0.25),
    ]


async def test_a_value_that_ends_at_the_limit() -> None:
    """JSON that is complete was not cut, whatever the finish reason says."""
    _, outcome = await collect(ScriptedModel(answering(GOOD, finish_reason=FinishReason.LENGTH)))

    assert isinstance(outcome, TypedAnswer)


REPAIRABLE: Final[dict[str, tuple[tuple[str | Delta, ...], AnswerFlaw, str]]] = {
    "words": (("I would say direct.",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
    "refusal-in-words": (
        ("I'm sorry, but I can't help with that.",),
        AnswerFlaw.NOT_JSON,
        "It is not JSON and nothing else.",
    ),
    "fence": ((f"```json\n{GOOD}\n```",), AnswerFlaw.NOT_JSON, "It is not JSON and nothing else."),
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
    "empty": (answering(), AnswerFlaw.EMPTY),
    "white-space": (answering(" \n"), AnswerFlaw.EMPTY),
    "reasoning-alone": (answering(ReasoningDelta(GOOD)), AnswerFlaw.EMPTY),
    "reasoning-to-the-limit": (
        answering(ReasoningDelta("hm"), finish_reason=FinishReason.LENGTH),
        AnswerFlaw.TRUNCATED,
    ),
    "refusal": (answering(ContentDelta("I will not.", refusal=True)), AnswerFlaw.REFUSED),
    "refusal-after-json": (answering(GOOD, ContentDelta("No.", refusal=True)), AnswerFlaw.REFUSED),
    "filter": (answering(GOOD[:9], finish_reason=FinishReason.CONTENT_FILTER), AnswerFlaw.FILTERED),
    "filter-after-json": (answering(GOOD, finish_reason=FinishReason.CONTENT_FILTER), AnswerFlaw.FILTERED),
    "tool-call": (
        answering(ToolCallDelta("c1", 0, "f", GOOD), finish_reason=FinishReason.TOOL_CALLS),
        AnswerFlaw.WRONG_SHAPE,
    ),
}
"""Answers without a text that a repair could show, or in which the model refused."""


@pytest.mark.parametrize(
    ("deltas", "problem"), [(deltas, problem) for deltas, _, problem in REPAIRABLE.values()], ids=REPAIRABLE
)
async def test_a_bad_answer_is_repaired(deltas: tuple[str | Delta, ...], problem: str) -> None:
    """The repair shows the model its answer, what is wrong with it, and the schema; the second answer counts."""
    model = ScriptedModel(answering(*deltas), answering(GOOD))

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
    model = ScriptedModel(answering("oh"), answering(*deltas))

    events, outcome = await collect(model)

    assert outcome == FlawedAnswer(flaw, problem)
    assert [purpose for what, purpose in list_calls(events) if what == "Finished"] == [ROUTING, REPAIR]


@pytest.mark.parametrize(("deltas", "flaw", "problem"), REPAIRABLE.values(), ids=REPAIRABLE)
async def test_without_repair(deltas: tuple[str | Delta, ...], flaw: AnswerFlaw, problem: str) -> None:
    """Without a repair, the first bad answer is the outcome."""
    events, outcome = await collect(ScriptedModel(answering(*deltas)), repair=None)

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
    model = ScriptedModel(answering(GOOD[:-2], finish_reason=FinishReason.LENGTH), answering(GOOD))

    _, outcome = await collect(model)

    assert isinstance(outcome, TypedAnswer)
    assert "It was too long, and cut." in list_texts(model.calls[1])[-1][1]


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
    _, outcome = await collect(ScriptedModel(answering(json.dumps(answer))), schema=PLAN, repair=None)

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

    model = ScriptedModel(answering('{"route": "direct", "reason": ""}'), answering(GOOD))

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
    _, outcome = asyncio.run(collect(ScriptedModel(answering(text)), repair=None))

    match outcome:
        case TypedAnswer(Choice(route, reason)):
            assert route in {"direct", "reasoning"}
            assert isinstance(reason, str)
        case _:
            assert isinstance(outcome, FlawedAnswer)


SCHEMA_FORMAT: Final = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "choice", CHOICE.text, strict=True)
OBJECT_FORMAT: Final = ResponseFormat(ResponseFormatKind.JSON_OBJECT)
JSON_SCHEMA: Final = frozenset({Capability.JSON_SCHEMA})
JSON_OBJECT: Final = frozenset({Capability.JSON_OBJECT})


@pytest.mark.parametrize(
    ("models", "response_format"),
    [
        pytest.param([a_model(capabilities=JSON_SCHEMA)], SCHEMA_FORMAT, id="schema"),
        pytest.param([a_model(capabilities=JSON_SCHEMA, lacks=JSON_OBJECT)], SCHEMA_FORMAT, id="schema alone"),
        pytest.param([a_model(capabilities=JSON_OBJECT)], OBJECT_FORMAT, id="object"),
        pytest.param([a_model(lacks=JSON_SCHEMA)], OBJECT_FORMAT, id="no schema"),
        pytest.param([a_model()], OBJECT_FORMAT, id="nothing known"),
        pytest.param([a_model(lacks=JSON_OBJECT | JSON_SCHEMA)], None, id="neither"),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA), a_model(name="other", capabilities=JSON_OBJECT)],
            OBJECT_FORMAT,
            id="fallback without schema",
        ),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA), a_model(name="other", lacks=JSON_OBJECT)],
            None,
            id="fallback without both",
        ),
    ],
)
async def test_the_form_of_the_schema(models: list[ModelInfo], response_format: ResponseFormat | None) -> None:
    """The schema has the strongest form that the model and its fallbacks take.

    It is in the prompt unless it is enforced.
    """
    model = ScriptedModel(answering(GOOD), models=models)
    call = a_call(
        messages=(a_message("You route.", Role.SYSTEM), a_message()), fallback_models=tuple(m.name for m in models[1:])
    )

    await collect(model, call)

    (sent,) = model.calls
    system, user = list_texts(sent)
    assert sent.response_format == response_format
    assert user == (Role.USER, "hi")
    if response_format == SCHEMA_FORMAT:
        assert system == (Role.SYSTEM, "You route.")
    else:
        instruction = f"Answer with one JSON object of this JSON schema, and nothing else: {CHOICE.text}"
        assert system == (Role.SYSTEM, f"You route.\n\n{instruction}")


async def test_a_conversation_without_a_system_message() -> None:
    """A conversation without a system message gets one where the schema must be in the prompt."""
    model = ScriptedModel(answering(GOOD))

    await collect(model)

    roles = [role for role, _ in list_texts(model.calls[0])]
    assert roles == [Role.SYSTEM, Role.USER]
    assert CHOICE.text in list_texts(model.calls[0])[0][1]


async def test_the_system_message_keeps_its_parts() -> None:
    """The schema follows the last part of the system message, and the mark for a cache stays."""
    system = a_message("", Role.SYSTEM)
    parts = (Part(Text("One.")), Part(Text("Two."), cache=True))
    model = ScriptedModel(answering(GOOD))

    await collect(model, a_call(messages=(type(system)(Role.SYSTEM, parts), a_message())))

    one, two = model.calls[0].messages[0].content
    assert (one, two.cache) == (parts[0], True)
    assert isinstance(two.content, Text)
    assert two.content.text.startswith("Two.\n\nAnswer with")


REASONING: Final = frozenset({Capability.REASONING, Capability.JSON_SCHEMA})


@pytest.mark.parametrize(
    ("models", "requested", "sent"),
    [
        pytest.param([a_model(capabilities=JSON_SCHEMA)], Sampling(), (0.0, 1024), id="known"),
        pytest.param([a_model()], Sampling(), (None, 1024), id="unknown"),
        pytest.param([a_model(capabilities=REASONING)], Sampling(), (None, 1024), id="reasons"),
        pytest.param([a_model(max_output_tokens=500)], Sampling(), (None, 500), id="short answers"),
        pytest.param([a_model(max_output_tokens=5000)], Sampling(), (None, 1024), id="long answers"),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA), a_model(name="other", max_output_tokens=500)],
            Sampling(),
            (None, 500),
            id="fallback",
        ),
        pytest.param(
            [a_model(capabilities=JSON_SCHEMA, max_output_tokens=500)],
            Sampling(temperature=0.7, max_output_tokens=64),
            (0.7, 64),
            id="requested",
        ),
    ],
)
async def test_defaults_of_sampling(
    models: list[ModelInfo], requested: Sampling, sent: tuple[float | None, int | None]
) -> None:
    """Temperature 0 is sent where any is known to be taken, with a limit of tokens; a call may have other values."""
    model = ScriptedModel(answering(GOOD), models=models)

    await collect(model, a_call(sampling=requested, fallback_models=tuple(m.name for m in models[1:])))

    sampling = model.calls[0].sampling
    assert (sampling.temperature, sampling.max_output_tokens) == sent


async def test_an_answer_without_end_is_left() -> None:
    """An answer over our limit is closed, its tokens are estimated, and the repair shows what was read."""
    script: Script = [*(ContentDelta("x" * 40) for _ in range(3)), asyncio.Event()]
    model = ScriptedModel(script, answering(GOOD))

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
    _, outcome = await collect(ScriptedModel(answering(GOOD + " ", "!")), max_characters=len(GOOD), repair=None)

    assert outcome.flaw is AnswerFlaw.TRUNCATED


async def test_both_calls_are_accounted() -> None:
    """A ledger that sees the events counts a call, its usage and its attempt for each of both calls, and no answer."""
    ledger = Ledger(
        response_id="r",
        arrived=0.0,
        clock=asyncio.get_running_loop().time,
        prices_of=lambda _: Prices(input=0, output=0),
    )

    events, _ = await collect(ScriptedModel(answering("oh"), answering(GOOD)))
    for event in events:
        ledger.record(event)

    completed = ledger.build_completed()
    assert [(entry.call, entry.purpose) for entry in completed.model_calls] == [(1, ROUTING), (2, REPAIR)]
    assert completed.usage == USAGE + USAGE
    assert [attempt.call for attempt in completed.attempts] == [1, 2]
    assert (ledger.content_characters, ledger.anything_sent, completed.timings.first_token_seconds) == (0, False, None)


async def test_switches_are_yielded() -> None:
    """A switch to another attempt is yielded like any other event."""
    switched = AttemptSwitched("fake", "other", 2, "UPSTREAM_ERROR")
    model = ScriptedModel((switched, *answering(GOOD)))

    events, outcome = await collect(model)

    assert isinstance(outcome, TypedAnswer)
    assert events[:3] == [ModelCallStarted(ROUTING, "fake"), switched, ModelCallStarted(ROUTING, "other", 2)]


@pytest.mark.parametrize("scripts", [(), (answering("oh"),)], ids=["first", "repair"])
async def test_a_failure_of_the_upstream_is_raised(scripts: tuple[Script, ...]) -> None:
    """A failure of the upstream is raised unchanged, and is no flaw of an answer."""
    model = ScriptedModel(*scripts, (ContentDelta("{"), UpstreamFailed(model="fake")))

    with pytest.raises(UpstreamFailed):
        await collect(model)

    assert len(model.calls) == len(scripts) + 1


async def test_an_unknown_model_is_not_called() -> None:
    """An unknown model raises ModelNotFound, and nothing is called."""
    model = ScriptedModel()

    with pytest.raises(ModelNotFound):
        await collect(model, a_call(model="nope"))

    assert model.calls == []


@pytest.mark.parametrize("scripts", [(), (answering("oh"),)], ids=["first", "repair"])
async def test_closing_the_stream_closes_the_call(scripts: tuple[Script, ...]) -> None:
    """Closing the stream before its end leaves no call open."""
    model = ScriptedModel(*scripts, answering(GOOD))
    stream = stream_structured_answer(model, a_call(), CHOICE, ROUTING, a_context())

    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, ModelCallFinished) and len(model.calls) > len(scripts):
                assert model.streams_open == 1
                break

    assert model.streams_open == 0


async def test_a_cancel_closes_the_call() -> None:
    """A cancellation while the model is silent leaves no call open."""
    model = ScriptedModel((ContentDelta("{"), asyncio.Event()))
    events = stream_structured_answer(model, a_call(), CHOICE, ROUTING, a_context())
    assert isinstance(await anext(events), ModelCallStarted)
    assert isinstance(await anext(events), UnshownDelta)
    waiting = asyncio.ensure_future(anext(events))
    await model.waits.wait()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert model.streams_open == 0
