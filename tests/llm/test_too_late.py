"""No attempt of a model call starts when the deadline of its caller is over."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

import pytest

from reasoning_grpc.domain import ModelCallPurpose
from reasoning_grpc.domain.errors import UpstreamFailed
from reasoning_grpc.domain.events import AttemptSwitched, Event, ModelCallStarted
from reasoning_grpc.llm import RetryPolicy
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_call, a_context
from tests.support.models import ScriptedModel, a_model, make_resilient, script_answer

ANSWER: Final = ModelCallPurpose.ANSWER


async def expect_nothing(stream: AsyncGenerator[Event, None]) -> None:
    """Waits a moment for an event that must not come."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(stream)


async def test_no_attempt_starts_after_the_deadline() -> None:
    """A call whose deadline is over waits for its end without calling the model."""
    model = ScriptedModel(script_answer("Hello"))
    context = a_context(deadline=asyncio.get_running_loop().time())

    stream = make_resilient(model, retries=RetryPolicy()).stream_call(a_call(), ANSWER, context)

    assert isinstance(await anext(stream), ModelCallStarted)
    await expect_nothing(stream)

    assert model.calls == []


async def test_no_fallback_starts_after_the_deadline() -> None:
    """A fallback model is not called when the first attempt has taken all of the time."""
    models = (a_model(), a_model(name="backup"))

    async def fail_late(seconds: float) -> ScriptedModel | None:
        model = ScriptedModel((UpstreamFailed(model="fake"),), script_answer("Hello"), models=models)
        context = a_context(deadline=asyncio.get_running_loop().time() + seconds)
        stream = make_resilient(model).stream_call(a_call(fallback_models=("backup",)), ANSWER, context)
        begun: list[Event] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                begun = [await anext(stream) for _ in range(3)]
        if not begun:
            return None
        assert [type(event) for event in begun] == [ModelCallStarted, AttemptSwitched, ModelCallStarted]
        await asyncio.sleep(context.remaining_seconds() or 0)
        await expect_nothing(stream)
        return model

    model = await try_deadlines(fail_late, least_seconds=0.1)

    assert [call.model for call in model.calls] == ["fake"]
