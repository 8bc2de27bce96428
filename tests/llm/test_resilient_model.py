"""The order of the duties of a model call, shown by what each of them sees of the others."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reasoning_grpc.domain import Caller, Deployment, ModelCallPurpose, ThinkTags
from reasoning_grpc.domain.errors import UpstreamRestarting, UpstreamStalled, UpstreamTimeout, UpstreamUnreachable
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    ContentDelta,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
)
from reasoning_grpc.llm import (
    AttemptSpans,
    GuardPolicy,
    ModelTimeouts,
    ResilientModel,
    RetryPolicy,
    UpstreamGuards,
    genai,
)
from tests.support.factories import a_call, a_context
from tests.support.models import ScriptedModel, Served, a_model, make_resilient, script_answer

ONE_RETRY = RetryPolicy(max_retries=1, base_delay_seconds=0)
TWO_RETRIES = RetryPolicy(max_retries=2, base_delay_seconds=0)
A_DEPLOYMENT = Deployment(name="fake", litellm_model="openai/fake", api_base="")
SHORT = ModelTimeouts(first_token_seconds=0.02, stall_seconds=0.02)


@dataclass(frozen=True)
class RestartingModel(Served):
    """A model that restarts while calls ask for it."""

    answers: Iterator[bool]
    """Whether it answers, each time it is asked for."""

    def find_deployment(self, caller: Caller) -> Deployment:
        """See `ServedModel.find_deployment`."""
        if next(self.answers):
            return super().find_deployment(caller)
        raise UpstreamRestarting(model="fake", is_upstream_reached=False, retry_after_seconds=0.001)


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


def trace(spans: Spans, *, captures_content: bool = False) -> AttemptSpans:
    """Returns what makes the spans of attempts."""
    return AttemptSpans(spans.tracer, captures_content=captures_content)


async def collect(model: ResilientModel, **call: Any) -> list[Event]:
    """Returns all events of one call but those of its beginning and its end."""
    async with aclosing(model.stream_call(a_call(**call), ModelCallPurpose.ANSWER, a_context())) as events:
        return [event async for event in events if not isinstance(event, ModelCallStarted | ModelCallFinished)]


async def test_each_attempt_has_its_own_span() -> None:
    """The spans stand inside the retries: a failed attempt and its retry are two spans."""
    spans = Spans()
    adapter = ScriptedModel([UpstreamUnreachable(model="fake")], script_answer("hi"))

    events = await collect(make_resilient(adapter, retries=ONE_RETRY, spans=trace(spans)))

    assert isinstance(events[0], AttemptSwitched)
    assert [span.status.is_ok for span in spans.finished()] == [False, True]


async def test_each_attempt_has_the_full_timeouts() -> None:
    """The timeouts stand inside the retries: when a model is silent too long, its fallback model is called."""
    adapter = ScriptedModel([asyncio.Event()], script_answer("hi"), models=[a_model(), a_model(name="backup")])

    events = await collect(make_resilient(adapter, timeouts=SHORT), fallback_models=("backup",))

    switch = events[0]
    assert isinstance(switch, AttemptSwitched)
    assert (switch.to_model, switch.failure) == ("backup", UpstreamTimeout.reason)
    assert ContentDelta("hi") in events


async def test_calls_wait_while_their_model_restarts() -> None:
    """A call that broke with its model is repeated once the model has restarted, also without a budget for retries."""
    adapter = ScriptedModel([UpstreamUnreachable(model="fake")], script_answer("hi"))
    model = RestartingModel(a_model(), A_DEPLOYMENT, iter([True, False, False, False, True]))
    guards = UpstreamGuards(GuardPolicy(retry_share=0.0), time.monotonic)
    while guards.find(A_DEPLOYMENT).retries.try_take():
        pass

    events = await collect(make_resilient(adapter, retries=TWO_RETRIES, guards=guards, find_model=lambda _: model))

    switches = [event for event in events if isinstance(event, AttemptSwitched)]
    assert [switch.is_upstream_reached for switch in switches] == [True, False]
    assert [switch.failure for switch in switches] == ["UPSTREAM_UNREACHABLE"] * 2
    assert ContentDelta("hi") in events


@pytest.mark.parametrize("is_sent", [True, False])
async def test_a_timeout_says_whether_the_request_was_sent(is_sent: bool) -> None:
    """A model call that is still waiting for a connection at its timeout has reached no upstream."""
    adapter = ScriptedModel([asyncio.Event()], is_sent=is_sent)

    with pytest.raises(UpstreamTimeout) as failed:
        await collect(make_resilient(adapter, timeouts=SHORT))

    assert failed.value.is_upstream_reached is is_sent


async def test_text_that_is_held_back_ends_the_wait_for_the_first_token() -> None:
    """The timeouts stand inside the think tags: half a tag is not shown yet, but the upstream was not silent."""
    adapter = ScriptedModel([ContentDelta("<thi"), asyncio.Event()], models=[a_model(think_tags=ThinkTags.PAIR)])

    with pytest.raises(UpstreamStalled):
        await collect(make_resilient(adapter, timeouts=SHORT))


async def test_spans_show_reasoning_as_reasoning() -> None:
    """The spans stand outside the think tags: what stands between the tags is captured as a reasoning part."""
    spans = Spans()
    adapter = ScriptedModel(script_answer("<think>two", "</think>four"), models=[a_model(think_tags=ThinkTags.PAIR)])

    events = await collect(make_resilient(adapter, spans=trace(spans, captures_content=True)))

    (span,) = spans.finished()
    (message,) = json.loads(str((span.attributes or {})[genai.OUTPUT_MESSAGES]))
    assert ReasoningDelta("two") in events
    assert message["parts"] == [{"type": "reasoning", "content": "two"}, {"type": "text", "content": "four"}]


async def test_nothing_but_spans_needs_a_tracer() -> None:
    """Without a tracer the spans are left out, and all else works as before."""
    adapter = ScriptedModel([UpstreamUnreachable(model="fake")], script_answer("hi"))

    events = await collect(make_resilient(adapter, retries=ONE_RETRY))

    assert isinstance(events[0], AttemptSwitched)
    assert ContentDelta("hi") in events


@contextmanager
def list_generators() -> Iterator[list[str]]:
    """Lists the asynchronous generators that begin within the block, by their names."""
    names: list[str] = []
    first_iter, finalizer = sys.get_asyncgen_hooks()
    assert first_iter is not None

    def record(generator: Any) -> None:
        names.append(generator.__name__)
        first_iter(generator)

    sys.set_asyncgen_hooks(record, finalizer)
    try:
        yield names
    finally:
        sys.set_asyncgen_hooks(first_iter, finalizer)


async def test_an_answer_passes_through_one_generator_above_the_adapter() -> None:
    """Retries, timeouts, think tags and spans are no generators of their own, which would cost each event time."""
    spans, models = Spans(), [a_model(think_tags=ThinkTags.PAIR)]
    model = make_resilient(ScriptedModel(script_answer("hi"), models=models), retries=ONE_RETRY, spans=trace(spans))

    with list_generators() as names:
        events = await collect(model)

    assert names == ["_stream_attempts", "stream"]
    assert events == [ContentDelta("hi")]
