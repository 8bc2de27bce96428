"""The agent's steps keep away from an upstream that is down, that limits the rate, or that has enough calls."""

import asyncio
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from tests.support.agent import (
    PRICES,
    agent_config,
    collect_events,
    collect_until_failure,
    join_text,
    list_kinds,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.agent_tools import ToolLog
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, model_entry, serving
from tests.support.upstream import FakeUpstream

BREAKER: Final[dict[str, Any]] = {
    "breaker_min_calls": 10,
    "breaker_open_seconds": 60.0,
    "breaker_max_open_seconds": 60.0,
    "max_retries": 0,
}


async def complete(running: RunningServer, **fields: Any) -> CallFailed:
    """Makes a unary call of the agent that must fail."""
    with pytest.raises(CallFailed) as failed:
        await running.client().complete(reasoning_request(**fields))
    return failed.value


async def fail_calls(running: RunningServer, count: int) -> None:
    """Makes this many plain calls, which must fail."""
    for _ in range(count):
        with pytest.raises(CallFailed):
            await running.client().complete(a_wire_request())


async def test_a_run_does_not_begin_at_an_upstream_that_is_down(upstream: FakeUpstream) -> None:
    """Both RPCs fail with the time of the next probe, and without an interruption, because nothing was sent."""
    upstream.always.fail(500)
    async with serving(agent_config(upstream, **BREAKER)) as running:
        await fail_calls(running, 10)
        _, streamed = await collect_until_failure(running, reasoning_request())
        unary = await complete(running)

    assert streamed is not None
    for failure in (streamed, unary):
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")
        assert failure.retry_after_seconds is not None
        assert failure.interruption is None
    assert len(upstream.requests) == 10


async def test_a_run_uses_the_fallback_of_an_upstream_that_is_down(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """Every step and the answer go to the fallback model at once, and the upstream gets no request."""
    upstream.always.fail(500)
    judge.reply(write_plan())
    judge.reply("Hello")
    config = agent_config(upstream, **BREAKER)
    config = replace(config, models={**config.models, "other": model_entry(judge.api_base, "other", prices=PRICES)})
    async with serving(config) as running:
        await fail_calls(running, 10)
        events = await collect_events(running, reasoning_request(fallback_models=["other"]))

    assert join_text(events) == "Hello"
    assert [call.model for call in events[-1].completed.model_calls] == ["other", "other"]
    assert len(upstream.requests) == 10


async def test_a_breaker_that_opens_during_a_run_ends_it(upstream: FakeUpstream, tool_log: ToolLog) -> None:
    """The next step fails and is not sent; no retry is recommended, because a tool has run."""
    upstream.reply(write_plan(plan_call("wait", name="a")))
    async with serving(agent_config(upstream, **BREAKER)) as running:
        run = asyncio.create_task(collect_until_failure(running, reasoning_request()))
        await tool_log.wait_for_starts("a")
        upstream.always.fail(500)
        await fail_calls(running, 10)
        requests = len(upstream.requests)
        tool_log.release("a")
        events, failure = await run

    assert failure is not None
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")
    assert failure.retry_after_seconds is None
    assert failure.interruption is not None
    assert failure.interruption.model_call_count == 2
    assert list_kinds(events).count("tool_finished") == 1
    assert len(upstream.requests) == requests


async def test_a_rate_limit_of_another_call_ends_a_run(upstream: FakeUpstream, tool_log: ToolLog) -> None:
    """While the upstream limits the rate, the next step of any run fails, and is not sent."""
    upstream.reply(write_plan(plan_call("wait", name="a")))
    upstream.fail(429, headers={"Retry-After": "60"})
    async with serving(agent_config(upstream, max_cooldown_seconds=60.0)) as running:
        run = asyncio.create_task(collect_until_failure(running, reasoning_request()))
        await tool_log.wait_for_starts("a")
        await fail_calls(running, 1)
        tool_log.release("a")
        _, later = await run
        at_once = await complete(running)

    assert later is not None
    for failure in (later, at_once):
        assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED")
    assert later.retry_after_seconds is None
    assert later.interruption is not None
    assert at_once.retry_after_seconds is not None
    assert at_once.interruption is None
    assert len(upstream.requests) == 2


async def test_a_run_is_refused_by_a_full_upstream(upstream: FakeUpstream) -> None:
    """When the upstream has as many calls as it takes, a run fails with a delay, and is not sent."""
    gate = upstream.gated("a")
    async with serving(agent_config(upstream, max_calls_per_upstream=1, upstream_queue_seconds=0.05)) as running:
        holding = asyncio.ensure_future(running.client().complete(a_wire_request()))
        await upstream.request()
        failure = await complete(running)
        gate.open_all()
        await holding

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED")
    assert failure.retry_after_seconds is not None
    assert failure.interruption is None
    assert len(upstream.requests) == 1


async def test_a_run_is_refused_by_a_full_server(upstream: FakeUpstream) -> None:
    """A run that is not admitted fails as SERVER_OVERLOADED with a delay before its first step."""
    gate = upstream.gated("a")
    async with serving(agent_config(upstream, max_calls_in_flight=1, max_queued_calls=0)) as running:
        holding = asyncio.ensure_future(running.client().complete(a_wire_request()))
        await upstream.request()
        events, streamed = await collect_until_failure(running, reasoning_request())
        unary = await complete(running)
        gate.open_all()
        await holding

    assert events == []
    assert streamed is not None
    for failure in (streamed, unary):
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
        assert failure.retry_after_seconds is not None
    assert len(upstream.requests) == 1
