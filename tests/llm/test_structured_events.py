"""The events of the model calls for a typed answer, and how these calls end."""

import asyncio
from contextlib import aclosing

import pytest

from reasoning_grpc.domain.errors import ModelNotFound, UpstreamFailed
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    ContentDelta,
    InternalDelta,
    ModelCallFinished,
    ModelCallStarted,
)
from reasoning_grpc.engine.ledger import Ledger
from reasoning_grpc.llm.structured import (
    TypedAnswer,
    stream_structured_answer,
)
from tests.support.factories import a_call, a_context
from tests.support.models import USAGE, Script, ScriptedModel, a_model, make_resilient, script_answer
from tests.support.typed_answers import CHOICE, GOOD, REPAIR, ROUTING, collect


async def test_both_calls_are_accounted() -> None:
    """A ledger that sees the events counts a call, its usage and its attempt for each of both calls, and no answer."""
    ledger = Ledger(
        response_id="r",
        arrival_time=0.0,
        clock=asyncio.get_running_loop().time,
    )

    events, _ = await collect(ScriptedModel(script_answer("oh"), script_answer(GOOD)))
    for event in events:
        ledger.record(event)

    completed = ledger.build_completed()
    assert [(entry.call, entry.purpose) for entry in completed.model_calls] == [(1, ROUTING), (2, REPAIR)]
    assert completed.usage == USAGE + USAGE
    assert [attempt.call for attempt in completed.attempts] == [1, 2]
    assert (ledger.content_characters, ledger.has_sent_output, completed.timings.first_token_seconds) == (
        0,
        False,
        None,
    )


async def test_switches_are_yielded() -> None:
    """A switch to another attempt is yielded like any other event."""
    switched = AttemptSwitched("fake", "other", 2, "UPSTREAM_ERROR")
    models = (a_model(), a_model(name="other"))
    model = ScriptedModel((UpstreamFailed(model="fake"),), script_answer(GOOD), models=models)

    events, outcome = await collect(model, a_call(fallback_models=("other",)))

    assert isinstance(outcome, TypedAnswer)
    assert events[:3] == [ModelCallStarted(ROUTING, "fake"), switched, ModelCallStarted(ROUTING, "other", 2)]


@pytest.mark.parametrize("scripts", [(), (script_answer("oh"),)], ids=["first", "repair"])
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


@pytest.mark.parametrize("scripts", [(), (script_answer("oh"),)], ids=["first", "repair"])
async def test_closing_the_stream_closes_the_call(scripts: tuple[Script, ...]) -> None:
    """Closing the stream before its end leaves no call open."""
    model = ScriptedModel(*scripts, script_answer(GOOD))
    stream = stream_structured_answer(make_resilient(model), a_call(), CHOICE, ROUTING, a_context())

    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, ModelCallFinished) and len(model.calls) > len(scripts):
                assert model.streams_open == 1
                break

    assert model.streams_open == 0


async def test_a_cancel_closes_the_call() -> None:
    """A cancellation while the model is silent leaves no call open."""
    model = ScriptedModel((ContentDelta("{"), asyncio.Event()))
    events = stream_structured_answer(make_resilient(model), a_call(), CHOICE, ROUTING, a_context())
    assert isinstance(await anext(events), ModelCallStarted)
    assert isinstance(await anext(events), InternalDelta)
    waiting = asyncio.ensure_future(anext(events))
    await model.is_waiting.wait()

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert model.streams_open == 0
