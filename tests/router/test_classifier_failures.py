"""Failures of the classifier's model call, its deadline and its cancellation."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import ClassifierEntry, ProxyEntry
from reasoning_grpc.v1 import completion_pb2, errors_pb2, events_pb2, usage_pb2
from tests.support.classification import (
    AUTO,
    CALLERS,
    FALLBACK,
    ROUTES,
    ROUTING,
    classify,
    collect_events,
    list_kinds,
    write_choice,
)
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import config_for, judging_config, model_entry, serving
from tests.support.upstream import FakeUpstream, refusing_api_base


def script_failure(status: int, **options: Any) -> Callable[[FakeUpstream], object]:
    """Returns a function that scripts a judge to answer with this HTTP status."""
    return lambda judge: judge.always.fail(status, **options)


FAILURES: Final[dict[str, tuple[Callable[[FakeUpstream], object], str, bool]]] = {
    "400": (script_failure(400), "UPSTREAM_REJECTED_REQUEST", False),
    "401": (script_failure(401), "UPSTREAM_CREDENTIALS_REJECTED", False),
    "404": (script_failure(404), "UPSTREAM_MODEL_MISSING", False),
    "429": (script_failure(429, headers={"Retry-After": "3600"}), "UPSTREAM_RATE_LIMITED", False),
    "503": (script_failure(503), "UPSTREAM_OVERLOADED", False),
    "context window": (script_failure(400, code="context_length_exceeded"), "CONTEXT_WINDOW_EXCEEDED", False),
    "malformed": (
        lambda judge: judge.always.body(b"<html>", content_type="text/html"),
        "UPSTREAM_MALFORMED_RESPONSE",
        True,
    ),
    "truncated": (lambda judge: judge.always.cut_after(1, "end"), "UPSTREAM_STREAM_TRUNCATED", True),
    "dropped": (lambda judge: judge.always.drop(), "UPSTREAM_UNREACHABLE", True),
    "silent": (lambda judge: judge.always.hang(), "UPSTREAM_TIMEOUT", True),
    "stalled": (lambda judge: judge.always.hang_after(1), "UPSTREAM_TIMEOUT", True),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failing_upstream_falls_back(upstream: FakeUpstream, judge: FakeUpstream, name: str) -> None:
    """When the classifier's upstream fails, the default mode answers, and cause, attempts and usage are reported."""
    misbehave, reason, estimated = FAILURES[name]
    misbehave(judge)
    is_silent = reason == "UPSTREAM_TIMEOUT"

    async def fall_back(seconds: float) -> list[events_pb2.StreamCompleteResponse] | None:
        config = judging_config(upstream, judge, classifier=ClassifierEntry(model="judge", timeout_seconds=seconds))
        async with serving(replace(config, settings=replace(config.settings, max_retries=0))) as running:
            events = await collect_events(running, **AUTO)
        if is_silent and judge.requests:
            await judge.disconnect()
        return events if judge.requests else None

    events = await try_deadlines(fall_back, least_seconds=0.1 if is_silent else 32.0)

    decision, completed = events[0].started.route_decision, events[-1].completed
    assert (decision.route, decision.source) == ("passthrough", FALLBACK)
    assert errors_pb2.ErrorReason.Name(decision.classification.failure) == f"ERROR_REASON_{reason}"
    assert decision.classification.failure_detail
    assert decision.classification.HasField("latency")
    assert decision.classification.flaw == errors_pb2.ANSWER_FLAW_UNSPECIFIED
    assert list_kinds(events)[-6:] == [
        "model_call_failed",
        "model_call_started",
        *("content_delta",) * 2,
        "model_call_finished",
        "completed",
    ]
    failed = events[-6].model_call_failed
    assert (failed.purpose, failed.model, failed.failure) == (ROUTING, "judge", decision.classification.failure)
    assert failed.http_status == (0 if estimated else read_status(name))
    last = completed.attempts[-2]
    assert (last.model, last.failure, last.call) == ("judge", decision.classification.failure, 1)
    assert decision.classification.HasField("usage") == estimated
    if estimated:
        assert decision.classification.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
        assert decision.classification.usage.input_tokens > 50
    assert completed.timings.overhead_duration.ToTimedelta() < completed.timings.total_duration.ToTimedelta()


def read_status(name: str) -> int:
    """Returns the HTTP status of this failure."""
    return int(name) if name.isdigit() else 400


async def test_an_unreachable_classifier_falls_back(upstream: FakeUpstream) -> None:
    """A classifier whose connections are refused is retried and costs nothing, and the default mode answers."""
    with refusing_api_base() as api_base:
        down = model_entry(api_base, "judge")
        config = config_for(model_entry(upstream.api_base), down)
        async with serving(replace(config, classifier=ClassifierEntry(model="judge", timeout_seconds=60.0))) as running:
            events = await collect_events(running, **AUTO)

    decision = events[0].started.route_decision
    assert (decision.source, decision.classification.failure) == (
        FALLBACK,
        errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE,
    )
    assert decision.classification.failure_detail == 'The upstream of the model "judge" cannot be reached.'
    assert not decision.classification.HasField("usage")
    assert "attempt_switched" in list_kinds(events)
    assert events[-1].completed.usage.input_tokens == 11


async def test_a_classifier_without_a_model_falls_back(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where requests must name a model and no entry names that of the classifier, the default mode answers."""
    config = config_for(model_entry(upstream.api_base), proxy=ProxyEntry(base_url=f"http://127.0.0.1:{judge.port}"))
    config = replace(config, settings=replace(config.settings, default_model=""))
    judge.model_list.lists("one", "two")
    async with serving(config) as running:
        decision = await classify(running, model="fake", **AUTO)

    assert (decision.route, decision.model, decision.source) == ("passthrough", "fake", FALLBACK)
    assert decision.classification.failure == errors_pb2.ERROR_REASON_MODEL_NOT_FOUND


async def test_the_fallback_is_an_allowed_route(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Where the caller may not use the default mode, the fallback is the first route that it may use."""
    judge.always.fail(400)

    async with serving(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS)) as running:
        decision = await classify(running, "thinking", **AUTO)

    assert (decision.route, decision.source) == ("reasoning", FALLBACK)
    assert decision.reason == "The classifier failed; this is the first route that the caller may take."


@pytest.mark.slow
async def test_the_callers_deadline_leaves_time_to_answer(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A classifier that would use the whole deadline is stopped early enough for the answer to come in time."""
    judge.always.hang()
    entry = ClassifierEntry(model="judge", timeout_seconds=600)

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:

        async def answer_in_time(seconds: float) -> tuple[completion_pb2.CompleteResponse, float] | None:
            try:
                return await running.client().complete(a_wire_request(**AUTO), timeout_seconds=seconds), seconds
            except CallFailed:
                return None

        answer, deadline_seconds = await try_deadlines(answer_in_time, least_seconds=8.0)

    assert answer.route_decision.source == FALLBACK
    assert answer.message.content[0].text == "Hello world"
    assert answer.route_decision.classification.latency.ToTimedelta().total_seconds() < deadline_seconds


async def test_a_cancel_reaches_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A caller that cancels while the classifier works ends its model call, and no answer is made."""
    judge.always.hang()
    entry = ClassifierEntry(model="judge", timeout_seconds=600)

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        call: Any = running.stub.StreamComplete(a_stream_request(**AUTO))
        await judge.request()
        call.cancel()
        await judge.disconnect()

    assert upstream.requests == []


async def test_no_heartbeat_comes_before_started(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """However long the classifier takes, `started` is the first event."""
    gate = judge.gated(write_choice("passthrough"))
    options = events_pb2.StreamOptions(heartbeat_interval=Duration(nanos=100_000_000))
    request = events_pb2.StreamCompleteRequest(request=a_wire_request(**AUTO), stream_options=options)
    entry = ClassifierEntry(model="judge", timeout_seconds=600)
    waits = upstream.gated("Hello")

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        call: Any = running.stub.StreamComplete(request)
        first = asyncio.ensure_future(call.read())
        await judge.request()
        await asyncio.wait({first}, timeout=0.5)
        assert not first.done()
        gate.open_all()
        assert (await first).HasField("started")
        assert (await call.read()).HasField("heartbeat")
        waits.open_all()
        last = await call.read()
        while last is not grpc.aio.EOF:
            event, last = last, await call.read()
        assert event.HasField("completed")
