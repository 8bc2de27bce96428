"""An upstream that fails, or that limits the rate of requests, gets few calls until it is well again."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.v1 import errors_pb2, models_pb2, routing_pb2
from tests.support.classification import AUTO, PASSTHROUGH, REASONING, classify, write_choice
from tests.support.deadlines import let_deadline_pass, try_deadlines
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.health import SERVING, check_health
from tests.support.serving import RunningServer, config_for, judging_config, model_entry, serving
from tests.support.upstream import FakeUpstream, Gate
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

BREAKER: Final[dict[str, Any]] = {
    "breaker_min_calls": 10,
    "breaker_open_seconds": 60.0,
    "breaker_max_open_seconds": 60.0,
}
"""A breaker that opens soon, and then stays open for the time of a test."""


async def complete(running: RunningServer, *, timeout: float | None = None, **fields: Any) -> str:  # noqa: ASYNC109
    """Makes a call, and returns its answer, or else the reason of its failure, which is empty for its own deadline."""
    stub: Any = running.stub
    try:
        answer = await stub.Complete(a_wire_request(**fields), timeout=timeout)
    except grpc.aio.AioRpcError as error:
        return CallFailed(error).reason
    return str(answer.message.content[0].text)


async def list_states(running: RunningServer) -> dict[str, str]:
    """Returns the state of each model that is listed."""
    stub: Any = running.stub
    listed = await stub.ListModels(models_pb2.ListModelsRequest())
    return {model.name: models_pb2.ModelState.Name(model.state) for model in listed.models}


async def test_when_everything_fails_an_upstream_gets_little_more_than_one_request_a_call(
    upstream: FakeUpstream,
) -> None:
    """The retries of many failing calls come out of one budget, even without a breaker."""
    upstream.always.fail(500)
    async with serving(config_for(model_entry(upstream.api_base))) as running:
        outcomes = Counter([await complete(running) for _ in range(200)])

    assert outcomes == {"UPSTREAM_ERROR": 200}
    assert len(upstream.requests) < 1.2 * 200


async def test_calls_stay_away_from_an_upstream_that_is_down(upstream: FakeUpstream) -> None:
    """They fail at once with the time of the next probe, and the model is listed as unavailable; health is not."""
    upstream.always.fail(500)
    async with serving(config_for(model_entry(upstream.api_base), **BREAKER)) as running:
        for _ in range(10):
            await complete(running)
        requests = len(upstream.requests)

        stub: Any = running.stub
        failure = await expect_failure(stub.Complete(a_wire_request()))
        states = await list_states(running)
        health = await check_health(running.channel)

    assert failure.code == grpc.StatusCode.UNAVAILABLE
    assert failure.reason == "UPSTREAM_UNREACHABLE"
    assert failure.retry_after_seconds is not None
    assert 50.0 <= failure.retry_after_seconds <= 66.0
    assert failure.interruption is None
    assert states == {"fake": "MODEL_STATE_UNAVAILABLE"}
    assert health == SERVING
    assert len(upstream.requests) == requests


async def test_calls_go_to_the_fallback_while_the_breaker_is_open(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Every call is answered, and after the first ones the failing upstream gets no more requests."""
    upstream.always.fail(503)
    judge.always.reply("from the fallback")
    entries = (
        model_entry(upstream.api_base, fallback_models=("other",)),
        model_entry(judge.api_base, "other"),
    )
    async with serving(config_for(*entries, **BREAKER)) as running:
        answers = [await complete(running) for _ in range(30)]

    assert set(answers) == {"from the fallback"}
    assert len(upstream.requests) <= 25
    assert len(judge.requests) == 30


async def test_a_call_finds_out_that_the_upstream_is_well_again(upstream: FakeUpstream) -> None:
    """After the time in the failure, a call is the probe, and then the model is available."""
    upstream.always.fail(500)
    settings = BREAKER | {"breaker_open_seconds": 0.02}
    async with serving(config_for(model_entry(upstream.api_base), **settings)) as running:
        while await complete(running) != "UPSTREAM_UNREACHABLE":
            pass
        upstream.always.reply("well")
        while await complete(running) != "well":
            pass
        states = await list_states(running)

    assert states == {"fake": "MODEL_STATE_AVAILABLE"}


async def test_an_upstream_that_hangs_is_left_alone_though_deadlines_end_the_calls(
    upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """No timer of the server ends these calls. The next ones go to the fallback, within the same deadline."""
    judge.always.reply("from the fallback")
    entries = (model_entry(upstream.api_base, fallback_models=("other",)), model_entry(judge.api_base, "other"))

    async def let_hang(seconds: float) -> tuple[dict[str, str], int] | None:
        upstream.always.reply("well")
        async with serving(config_for(*entries, **BREAKER)) as running:
            assert await complete(running) == "well"
            upstream.always.hang()
            outcomes = await asyncio.gather(*(complete(running, timeout=seconds) for _ in range(12)))
            await running.wait_for_calls(0)
            requests = len(upstream.requests)
            answer = await complete(running, timeout=seconds)
            states = await list_states(running)
        assert set(outcomes) == {""}
        return (states, len(upstream.requests) - requests) if answer else None

    states, more_requests = await try_deadlines(let_hang, least_seconds=2.0)

    assert states == {"fake": "MODEL_STATE_UNAVAILABLE", "other": "MODEL_STATE_AVAILABLE"}
    assert more_requests == 0


async def test_a_judge_that_hangs_is_left_alone_though_the_classifier_gives_up(
    upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """The classifier's timer ends its calls long before the timer of a model call; then it fails at once."""

    async def let_hang(seconds: float) -> int | None:
        judge.always.reply(write_choice("direct"))
        config = judging_config(upstream, judge, classifier=ClassifierEntry(model="judge", timeout_seconds=seconds))
        config = replace(config, settings=replace(config.settings, **BREAKER))
        async with serving(config) as running:
            await classify(running, text="first", **AUTO)
            judge.always.hang()
            await asyncio.gather(*(classify(running, text=f"question {number}", **AUTO) for number in range(12)))
            requests = len(judge.requests)
            decision = await classify(running, text="last", **AUTO)
        is_open = decision.classification.failure == errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE
        return len(judge.requests) - requests if is_open else None

    more_requests = await try_deadlines(let_hang, least_seconds=2.0)

    assert more_requests == 0


async def test_short_deadlines_do_not_keep_a_slow_model_from_others(upstream: FakeUpstream) -> None:
    """A model that has not answered yet may just be slow: calls with little time say nothing about it."""
    upstream.always.hang()
    gate = upstream.gated("at last")
    async with serving(config_for(model_entry(upstream.api_base), **BREAKER)) as running:
        patient = asyncio.create_task(complete(running))
        await upstream.request()

        await asyncio.gather(*(complete(running, timeout=1.5) for _ in range(20)))
        await running.wait_for_calls(1)
        states = await list_states(running)
        gate.open_all()
        upstream.always.reply("well")
        answers = [await patient, await complete(running)]

    assert states == {"fake": "MODEL_STATE_AVAILABLE"}
    assert answers == ["at last", "well"]


async def test_a_probe_ends_with_its_first_token(upstream: FakeUpstream) -> None:
    """Other calls reach the upstream while the answer of the probe goes on, however long it takes."""
    upstream.always.fail(500)
    settings = BREAKER | {"breaker_open_seconds": 0.02, "breaker_max_open_seconds": 0.02}
    async with serving(config_for(model_entry(upstream.api_base), **settings)) as running:
        while await complete(running) != "UPSTREAM_UNREACHABLE":
            pass
        upstream.always.reply("well")
        stub: Any = running.stub
        gate, probe = await start_probe(upstream, stub)
        states = await list_states(running)
        answers = [await complete(running) for _ in range(5)]
        gate.open_all()
        await read_to_end(probe)

    assert states == {"fake": "MODEL_STATE_AVAILABLE"}
    assert answers == ["well"] * 5


async def start_probe(upstream: FakeUpstream, stub: Any) -> tuple[Gate, Any]:
    """Makes calls until one is the probe, and returns the gate of its answer, of which it has read the first delta."""
    gate = upstream.gated("first ", "second")
    gate.open()
    while True:
        probe = stub.StreamComplete(a_stream_request())
        try:
            await read_first_delta(probe)
        except grpc.aio.AioRpcError as error:
            assert CallFailed(error).reason == "UPSTREAM_UNREACHABLE"  # noqa: PT017 - the probe comes later
        else:
            return gate, probe


async def test_a_shorter_rate_limit_does_not_end_a_longer_one(upstream: FakeUpstream) -> None:
    """Two calls in progress are refused, and the cooldown lasts as long as the longer of both."""
    gates = [upstream.fail(429, headers={"Retry-After": seconds}, gated=True) for seconds in ("50", "7")]
    async with serving(config_for(model_entry(upstream.api_base), max_cooldown_seconds=60.0)) as running:
        calls = []
        for number in (1, 2):
            calls.append(asyncio.create_task(complete(running)))
            await upstream.request(number)
        outcomes = []
        for gate, call in zip(gates, calls, strict=True):
            gate.open_all()
            outcomes.append(await call)
        stub: Any = running.stub
        failure = await expect_failure(stub.Complete(a_wire_request()))

    assert outcomes == ["UPSTREAM_RATE_LIMITED"] * 2
    assert failure.retry_after_seconds is not None
    assert 7.0 < failure.retry_after_seconds <= 50.0
    assert len(upstream.requests) == 2


async def test_a_rate_limit_holds_for_all_calls(upstream: FakeUpstream) -> None:
    """Further calls within the time that the upstream named are refused with the rest of it, and are not sent."""
    upstream.fail(429, headers={"Retry-After": "7"})
    async with serving(config_for(model_entry(upstream.api_base), max_cooldown_seconds=60.0)) as running:
        first = await complete(running)
        stub: Any = running.stub
        second = await expect_failure(stub.Complete(a_wire_request()))

    assert first == "UPSTREAM_RATE_LIMITED"
    assert second.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert second.reason == "UPSTREAM_RATE_LIMITED"
    assert second.retry_after_seconds is not None
    assert 0.0 < second.retry_after_seconds <= 7.0
    assert len(upstream.requests) == 1


async def test_calls_beyond_the_bound_of_an_upstream_wait_or_fail(upstream: FakeUpstream) -> None:
    """One call is at the upstream, the other fails after its wait, with a delay, and was never sent."""
    gate = upstream.gated("a")
    settings: dict[str, Any] = {"max_calls_per_upstream": 1, "upstream_queue_seconds": 0.05}
    async with serving(config_for(model_entry(upstream.api_base), **settings)) as running:
        first = asyncio.create_task(complete(running))
        await upstream.request()
        stub: Any = running.stub
        failure = await expect_failure(stub.Complete(a_wire_request()))
        gate.open_all()
        answer = await first

    assert answer == "a"
    assert failure.code == grpc.StatusCode.UNAVAILABLE
    assert failure.reason == "UPSTREAM_OVERLOADED"
    assert failure.retry_after_seconds == 1.0
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
@pytest.mark.parametrize("mode", [pytest.param(PASSTHROUGH, id="passthrough"), pytest.param(REASONING, id="agent")])
async def test_a_call_whose_deadline_passes_while_it_waits_for_the_bound_is_never_sent(
    upstream: FakeUpstream, method: str, mode: routing_pb2.RoutingMode.ValueType
) -> None:
    """It ends at its deadline, not as UPSTREAM_OVERLOADED; the upstream gets the calls before and after it alone."""
    gate = upstream.gated("a")
    settings: dict[str, Any] = {"max_calls_per_upstream": 1, "upstream_queue_seconds": 60.0}
    fields: dict[str, Any] = {"routing": routing_pb2.RoutingOptions(mode=mode)}
    async with serving(config_for(model_entry(upstream.api_base), **settings)) as running:
        first = asyncio.create_task(complete(running))
        await upstream.request()
        stub: Any = running.stub
        failure = await let_deadline_pass(
            running,
            lambda seconds: (
                stub.Complete(a_wire_request(**fields), timeout=seconds)
                if method == "Complete"
                else read_to_end(stub.StreamComplete(a_stream_request(**fields), timeout=seconds))
            ),
        )
        gate.open_all()
        answers = [await first, await complete(running)]

    assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    assert answers == ["a", "Hello world"]
    assert len(upstream.requests) == 2
