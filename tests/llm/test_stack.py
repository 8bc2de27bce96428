"""The order of the wrappers around a model call, shown by what each wrapper sees of the others."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reasoning_grpc.domain import ThinkTags
from reasoning_grpc.domain.errors import UpstreamStalled, UpstreamTimeout, UpstreamUnreachable
from reasoning_grpc.domain.events import AttemptSwitched, ContentDelta, ModelEvent, ReasoningDelta
from reasoning_grpc.llm import genai
from reasoning_grpc.llm.port import LanguageModel
from reasoning_grpc.llm.retries import ResilientModel, RetryPolicy
from reasoning_grpc.llm.stack import wrap_model
from reasoning_grpc.llm.timeouts import ModelTimeouts
from tests.support.factories import a_call, a_context, a_deployment
from tests.support.models import ScriptedModel, a_model, script_answer

ONE_RETRY = RetryPolicy(max_retries=1, base_delay_seconds=0)
NO_RETRY = RetryPolicy(max_retries=0)
SHORT = ModelTimeouts(first_token_seconds=0.02, stall_seconds=0.02)


class Spans:
    """A tracer, and the spans that it made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")

    def finished(self) -> list[ReadableSpan]:
        """Returns the spans that have ended, the first one first."""
        return list(self._exporter.get_finished_spans())


def wrap(adapter: LanguageModel, **options: Any) -> LanguageModel:
    """Wraps an adapter; a test gives only the options that matter to it."""
    defaults = {
        "timeouts": ModelTimeouts(),
        "retries": NO_RETRY,
        "find_deployment": lambda _model, _caller: a_deployment(),
    }
    return wrap_model(adapter, **{**defaults, **options})


async def collect(model: LanguageModel, **call: Any) -> list[ModelEvent]:
    """Returns all events of one call."""
    async with aclosing(model.stream(a_call(**call), a_context())) as events:
        return [event async for event in events]


async def test_each_attempt_has_its_own_span() -> None:
    """The spans stand inside the retries: a failed attempt and its retry are two spans."""
    spans = Spans()
    adapter = ScriptedModel([UpstreamUnreachable(model="fake")], script_answer("hi"))

    events = await collect(wrap(adapter, retries=ONE_RETRY, tracer=spans.tracer))

    assert isinstance(events[0], AttemptSwitched)
    assert [span.status.is_ok for span in spans.finished()] == [False, True]


async def test_each_attempt_has_the_full_timeouts() -> None:
    """The timeouts stand inside the retries: when a model is silent too long, its fallback model is called."""
    adapter = ScriptedModel([asyncio.Event()], script_answer("hi"), models=[a_model(), a_model(name="backup")])

    events = await collect(wrap(adapter, timeouts=SHORT), fallback_models=("backup",))

    switch = events[0]
    assert isinstance(switch, AttemptSwitched)
    assert (switch.to_model, switch.failure) == ("backup", UpstreamTimeout.reason)
    assert ContentDelta("hi") in events


async def test_text_that_is_held_back_ends_the_wait_for_the_first_token() -> None:
    """The timeouts stand inside the think tags: half a tag is not shown yet, but the upstream was not silent."""
    adapter = ScriptedModel([ContentDelta("<thi"), asyncio.Event()], models=[a_model(think_tags=ThinkTags.PAIR)])

    with pytest.raises(UpstreamStalled):
        await collect(wrap(adapter, timeouts=SHORT))


async def test_spans_show_reasoning_as_reasoning() -> None:
    """The spans stand outside the think tags: what stands between the tags is captured as a reasoning part."""
    spans = Spans()
    adapter = ScriptedModel(script_answer("<think>two", "</think>four"), models=[a_model(think_tags=ThinkTags.PAIR)])

    events = await collect(wrap(adapter, tracer=spans.tracer, captures_content=True))

    (span,) = spans.finished()
    (message,) = json.loads(str((span.attributes or {})[genai.OUTPUT_MESSAGES]))
    assert ReasoningDelta("two") in events
    assert message["parts"] == [{"type": "reasoning", "content": "two"}, {"type": "text", "content": "four"}]


async def test_retries_stand_outside_with_and_without_a_tracer() -> None:
    """Without a tracer the spans are left out, and all else works as before."""
    adapter = ScriptedModel([UpstreamUnreachable(model="fake")], script_answer("hi"))

    model = wrap(adapter, retries=ONE_RETRY)
    events = await collect(model)

    assert isinstance(model, ResilientModel)
    assert ContentDelta("hi") in events
