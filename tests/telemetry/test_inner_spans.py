"""A classification and a reading of the models of a proxy have spans of their own."""

import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest

from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.v1 import routing_pb2
from tests.support.deadlines import try_deadlines
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver, ReceivedSpan
from tests.support.serving import (
    config_for,
    judging_config,
    proxy_entry,
)
from tests.support.spans import CHAT, COMPLETE, DISCOVERY, OURS, PROMPT, Tracing, only_span
from tests.support.upstream import (
    UPSTREAM_SECRET,
    FakeUpstream,
)

AUTO: Final[dict[str, Any]] = {"routing": routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO)}


async def test_a_classification_has_a_span(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """The span of a classification is the parent of its model call, whose span the upstream continues."""
    judge.reply('{"route": "passthrough"}')

    async with tracing(judging_config(upstream, judge)) as running:
        await running.client().complete(a_wire_request(text=PROMPT, **AUTO))

        call, classify = await only_span(receiver, COMPLETE), await only_span(receiver, "classify")
        judge_call, answered = await only_span(receiver, "chat judge"), await only_span(receiver, CHAT)
    assert (classify.kind, classify.parent_id, classify.status) == ("INTERNAL", call.span_id, ("UNSET", ""))
    assert classify.attributes == {
        "openinference.span.kind": "CHAIN",
        "reasoning_grpc.route": "passthrough",
        "reasoning_grpc.classifier_model": "judge",
    }
    assert (judge_call.parent_id, answered.parent_id) == (classify.span_id, call.span_id)
    assert judge_call.is_continued_by(judge.requests[0].headers)
    assert answered.is_continued_by(upstream.requests[0].headers)
    assert call.attributes["reasoning_grpc.route_source"] == "CLASSIFIER"
    assert PROMPT not in str(receiver.spans)


@pytest.mark.parametrize(
    ("misbehave", "least_seconds", "failure_of_call", "cause"),
    [
        pytest.param(lambda fake: fake.always.reply("Hm."), 32.0, ("UNSET", ""), "NOT_JSON", id="nonsense"),
        pytest.param(
            lambda fake: fake.always.hang(), 0.1, ("ERROR", "DEADLINE_EXCEEDED"), "UPSTREAM_TIMEOUT", id="late"
        ),
    ],
)
async def test_a_failed_classification_has_its_cause(
    tracing: Tracing,
    receiver: OtlpReceiver,
    upstream: FakeUpstream,
    judge: FakeUpstream,
    misbehave: Any,
    least_seconds: float,
    failure_of_call: tuple[str, str],
    cause: str,
) -> None:
    """The span of a failed classification has the cause but no error status, because the call continues."""
    misbehave(judge)
    attempts = itertools.count(1)

    async def classify_in_vain(seconds: float) -> tuple[ReceivedSpan, ReceivedSpan] | None:
        entry, number = ClassifierEntry(model="judge", timeout_seconds=seconds), next(attempts)
        async with tracing(judging_config(upstream, judge, classifier=entry)) as running:
            await running.client().complete(a_wire_request(**AUTO))

            call = (await receiver.expect_spans(COMPLETE, number))[-1]
            classify = (await receiver.expect_spans("classify", number))[-1]
        return (call, classify) if judge.requests else None

    call, classify = await try_deadlines(classify_in_vain, least_seconds=least_seconds)
    judge_call = (await receiver.expect_spans("chat judge", len(judge.requests)))[-1]
    assert (call.status, classify.status, judge_call.status) == (("UNSET", ""), ("UNSET", ""), failure_of_call)
    assert classify.attributes["reasoning_grpc.classifier_failure"] == cause
    assert call.attributes["reasoning_grpc.classifier_failure"] == cause


async def test_discovery_has_a_span(tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream) -> None:
    """Each reading of a proxy's list is a separate trace, which the proxy can continue."""
    upstream.model_info.lists("one", "two")
    async with tracing(config_for(proxy=proxy_entry(upstream))):
        span = await only_span(receiver, DISCOVERY)
    assert (span.kind, span.parent_id, span.status, span.scope) == ("CLIENT", "", ("UNSET", ""), OURS)
    assert span.attributes == {
        "openinference.span.kind": "CHAIN",
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "reasoning_grpc.models": 2,
    }
    assert [span.is_continued_by(request.headers) for request in upstream.requests] == [True]


@pytest.mark.parametrize(
    ("misbehave", "reason", "http_status"),
    [
        pytest.param(lambda fake: fake.model_info.fail(500), "UPSTREAM_ERROR", 500, id="500"),
        pytest.param(lambda fake: fake.model_info.drop(), "UPSTREAM_UNREACHABLE", None, id="drop"),
    ],
)
async def test_a_failed_discovery_has_its_reason(
    tracing: Tracing,
    receiver: OtlpReceiver,
    upstream: FakeUpstream,
    misbehave: Callable[[FakeUpstream], Any],
    reason: str,
    http_status: int | None,
) -> None:
    """The span of a failed reading has the reason, and the next reading is another trace."""
    misbehave(upstream)
    async with tracing(config_for(proxy=proxy_entry(upstream))):
        first, second = (await receiver.expect_spans(DISCOVERY, 2))[:2]
    assert first.status == ("ERROR", reason)
    assert first.attributes["error.type"] == reason
    assert first.attributes.get("http.response.status_code") == http_status
    assert first.events == ()
    assert first.trace_id != second.trace_id
    assert UPSTREAM_SECRET.encode() not in b"".join(receiver.raw)


async def test_a_discovery_that_a_stop_cancels_is_exported(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream
) -> None:
    """A reading in progress when the server stops is exported, because telemetry closes after the server."""
    upstream.model_info.hang()
    async with tracing(config_for(proxy=proxy_entry(upstream))):
        await upstream.request()
    assert (await only_span(receiver, DISCOVERY)).status == ("ERROR", "CANCELLED")
