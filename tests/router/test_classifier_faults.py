"""Every fault of the classifier's upstream has the outcome of CLASSIFIER_FALLBACK, and the call is answered."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import ClassifierEntry, Config
from reasoning_grpc.domain import Capability
from reasoning_grpc.v1 import errors_pb2, routing_pb2
from tests.support.call_log import recording_calls
from tests.support.checked_server import PROMPT
from tests.support.classification import AUTO, FALLBACK, classify, collect_events
from tests.support.deadlines import try_deadlines
from tests.support.descriptors import without_descriptors
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.leftovers import leaving_nothing_behind
from tests.support.serving import RunningServer, judging_config, provider_entry, serving
from tests.support.shown_secrets import check_nothing_is_shown
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream
from tests.support.upstream_faults import EVERY_FAULT, EVERY_FAULT_OF_OTHER_WIRES, UpstreamFault
from tests.support.wire_calls import expect_failure

PATIENT: Final = ClassifierEntry(model="judge", timeout_seconds=60.0)
OPEN_FOR_A_MINUTE: Final[Mapping[str, Any]] = {
    "breaker_min_calls": 10,
    "breaker_open_seconds": 60.0,
    "breaker_max_open_seconds": 60.0,
}


def config_with(upstream: FakeUpstream, judge: FakeUpstream, settings: Mapping[str, Any]) -> Config:
    """Builds a configuration with a patient classifier, without retries, and with these settings."""
    config = judging_config(upstream, judge, classifier=PATIENT)
    return replace(config, settings=replace(config.settings, **{"max_retries": 0, **settings}))


async def decide_by_every_method(running: RunningServer) -> list[routing_pb2.RouteDecision]:
    """Returns the decisions of a stream, of a unary call, both of which must be answered, and of `Classify`."""
    events, answer, alone = await asyncio.gather(
        collect_events(running, text=PROMPT, **AUTO),
        running.client().complete(a_wire_request(PROMPT, **AUTO)),
        classify(running, text=PROMPT, **AUTO),
    )
    assert events[-1].WhichOneof("kind") == "completed"
    assert answer.message.content[0].text == "Hello world"
    return [events[0].started.route_decision, answer.route_decision, alone]


def name_failure(decision: routing_pb2.RouteDecision) -> str:
    """Returns the reason for which the classifier failed, of a decision that is a fallback."""
    assert (decision.route, decision.source) == ("passthrough", FALLBACK)
    return errors_pb2.ErrorReason.Name(decision.classification.failure).removeprefix("ERROR_REASON_")


@pytest.mark.thorough
@EVERY_FAULT
async def test_a_fault_of_the_classifiers_upstream_falls_back(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture, fault: UpstreamFault
) -> None:
    """Every method reports the reason of the fault as the cause, and calls are answered.

    No secret is shown, and no task and no connection is left behind.
    """
    await check_fallback(judge, caplog, config_with(upstream, judge, {}), fault)


@pytest.mark.thorough
@EVERY_FAULT_OF_OTHER_WIRES
async def test_a_fault_on_another_wire_falls_back(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture, fault: UpstreamFault, wire: str
) -> None:
    """A fault that any protocol can have is the cause of a fallback, whatever reads the answers of the protocol."""
    config = config_with(upstream, judge, {})
    entry = provider_entry(judge, wire, "judge", capabilities=frozenset({Capability.JSON_SCHEMA}))
    await check_fallback(judge, caplog, replace(config, models={**config.models, "judge": entry}), fault)


async def check_fallback(
    judge: FakeUpstream, caplog: pytest.LogCaptureFixture, config: Config, fault: UpstreamFault
) -> None:
    """Checks the decisions of all methods when the classifier's upstream has the fault."""
    caplog.set_level(logging.DEBUG, "reasoning_grpc")
    fault.misbehave(judge.always)

    async def decide(seconds: float) -> list[routing_pb2.RouteDecision] | None:
        judge.forget()
        settings = replace(config.settings, **fault.limit_time(seconds))
        async with leaving_nothing_behind(), serving(replace(config, settings=settings)) as running:
            try:
                decisions = await decide_by_every_method(running)
            except (CallFailed, grpc.aio.AioRpcError):
                if fault.limit:  # it ended the model call of the answer, too
                    return None
                raise
        return decisions if len(judge.requests) == 3 or not fault.limit else None

    decisions = await try_deadlines(decide, least_seconds=0.1)

    assert [name_failure(decision) for decision in decisions] == [fault.reason] * 3
    assert not any(UPSTREAM_SECRET in str(decision) for decision in decisions)
    assert len(judge.requests) == 3
    check_nothing_is_shown(caplog)


async def test_an_open_breaker_of_the_classifier_falls_back(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """While the classifier's upstream is down, every call is answered at once, and the upstream gets no request."""
    judge.always.fail(500)

    async with serving(config_with(upstream, judge, OPEN_FOR_A_MINUTE)) as running:
        causes = [name_failure(await classify(running, **AUTO)) for _ in range(10)]
        decisions = await decide_by_every_method(running)

    assert causes == ["UPSTREAM_ERROR"] * 10
    assert [name_failure(decision) for decision in decisions] == ["UPSTREAM_UNREACHABLE"] * 3
    assert not any(decision.classification.HasField("usage") for decision in decisions)
    assert len(judge.requests) == 10


async def test_a_cooldown_of_the_classifier_falls_back(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """While the classifier's upstream limits the rate, it gets no request, and every call is answered."""
    judge.always.fail(429, headers={"Retry-After": "60"})

    async with serving(config_with(upstream, judge, {"max_cooldown_seconds": 60.0})) as running:
        await classify(running, **AUTO)
        decisions = await decide_by_every_method(running)

    assert [name_failure(decision) for decision in decisions] == ["UPSTREAM_RATE_LIMITED"] * 3
    assert len(judge.requests) == 1


async def test_a_busy_upstream_of_the_classifier_falls_back(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """When the classifier's upstream has as many calls as it takes, calls are answered without it."""
    gate = judge.gated("a")
    settings = {"max_calls_per_upstream": 1, "upstream_queue_seconds": 0.05}

    async with serving(config_with(upstream, judge, settings)) as running:
        holding = asyncio.ensure_future(running.client().complete(a_wire_request(model="judge")))
        await judge.request()
        decisions = await decide_by_every_method(running)
        gate.open_all()
        await holding

    assert [name_failure(decision) for decision in decisions] == ["UPSTREAM_OVERLOADED"] * 3
    assert len(judge.requests) == 1


async def test_a_full_server_does_not_classify(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A call that is not admitted fails as SERVER_OVERLOADED before its classification, which is no fallback."""
    gate = upstream.gated("a")
    settings = {"max_calls_in_flight": 1, "max_queued_calls": 0}

    async with serving(config_with(upstream, judge, settings)) as running:
        stub: Any = running.stub
        holding = asyncio.ensure_future(stub.Complete(a_wire_request(model="fake")))
        await upstream.request()
        refusals = [
            await expect_failure(stub.Complete(a_wire_request(**AUTO))),
            await expect_failure(classify(running, **AUTO)),
            await expect_failure(collect_events(running, **AUTO)),
        ]
        gate.open_all()
        await holding

    assert {(refusal.code, refusal.reason) for refusal in refusals} == {
        (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
    }
    assert judge.requests == []


async def test_a_shortage_of_descriptors_is_no_fallback(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """When the classifier's connection cannot be opened, the call fails as SERVER_OVERLOADED before its headers.

    The answer needs a connection as well. Before the headers, a client library sends the call again by itself, to
    another server, which can classify it; a fallback would have sent them.
    """
    async with serving(config_with(upstream, judge, {})) as running:
        stub: Any = running.stub
        await running.client().complete(
            a_wire_request(model="fake")
        )  # opens the channel, and a connection to the model
        with without_descriptors():
            streams = stub.StreamComplete(a_stream_request(**AUTO))
            refusals = [
                await expect_failure(stub.Complete(a_wire_request(**AUTO))),
                await expect_failure(classify(running, **AUTO)),
                await expect_failure(streams.read()),
            ]
        answered = await decide_by_every_method(running)

    assert [(refusal.code, refusal.reason) for refusal in refusals] == [
        (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
    ] * 3
    assert [refusal.retry_after_seconds for refusal in refusals] == [1.0] * 3
    assert [refusal.interruption for refusal in refusals] == [None] * 3
    assert len(answered) == 3


async def test_a_client_repeats_a_call_after_a_shortage(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A client with the shipped service config gets its answer when the shortage has passed meanwhile."""
    with recording_calls(caplog) as call_log:
        async with serving(config_with(upstream, judge, {})) as running, ReasoningClient(running.address) as client:
            await client.list_models()
            await call_log.wait_for_line()
            with without_descriptors():
                repeated = asyncio.create_task(client.complete(a_wire_request(**AUTO)))
                refused = await call_log.wait_for_line(2)
            answer = await repeated

    assert refused["reason"] == "SERVER_OVERLOADED"
    assert answer.route_decision.source == FALLBACK
