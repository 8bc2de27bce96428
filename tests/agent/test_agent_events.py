"""The events of the agent: each is sent when it happens, also while tools are concurrent and plans are slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from reasoning_grpc.v1 import events_pb2
from tests.support.agent import (
    agent_config,
    collect_events,
    list_kinds,
    plan_call,
    reasoning_request,
    select_payloads,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.agent_tools import ToolLog
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server with tools that makes no second attempt."""
    async with serving(agent_config(upstream, max_retries=0)) as server:
        yield server


async def test_each_event_is_sent_at_once(upstream: FakeUpstream, running: RunningServer, tool_log: ToolLog) -> None:
    """Each event reaches the caller before the test releases what comes after it."""
    step = upstream.gated(write_plan(plan_call("wait", name="one"), plan_call("wait", name="two")), reasoning=("Hm.",))
    last = upstream.gated(write_plan())
    answer = upstream.gated("It ", "rains.")
    events = running.client().stream(reasoning_request())

    async def read_until(kind: str) -> list[str]:
        """Returns the kinds of events up to the next one of this kind."""
        seen: list[str] = []
        while seen[-1:] != [kind]:
            seen += list_kinds([await anext(events)])
        return seen

    async with aclosing(events):
        assert await read_until("model_call_started") == ["started", "step_started", "model_call_started"]
        assert step.steps_sent == 0
        step.open()
        assert await read_until("reasoning_delta") == ["reasoning_delta"]
        assert step.steps_sent == 1
        step.open_all()
        assert await read_until("tool_started") == ["model_call_finished", "step_planned", "tool_started"]
        await tool_log.wait_for_starts("one")
        assert tool_log.ends == []
        tool_log.release("one")
        assert await read_until("tool_started") == ["tool_finished", "tool_started"]
        await tool_log.wait_for_starts("two")
        assert tool_log.ends == ["one"]
        tool_log.release("two")
        assert await read_until("model_call_started") == [
            *("tool_finished", "step_finished", "step_started", "model_call_started")
        ]
        assert last.steps_sent == 0
        last.open_all()
        assert await read_until("reasoning_finished") == [
            *("model_call_finished", "step_planned", "step_finished", "reasoning_finished")
        ]
        assert await read_until("model_call_started") == ["model_call_started"]
        assert answer.steps_sent == 0
        answer.open()
        assert await read_until("content_delta") == ["content_delta"]
        assert answer.steps_sent == 1
        answer.open_all()
        assert await read_until("completed") == ["content_delta", "model_call_finished", "completed"]


async def test_concurrent_tools(upstream: FakeUpstream, running: RunningServer, tool_log: ToolLog) -> None:
    """Concurrent tools run at the same time, and each reports its end when it ends."""
    names = ("one", "two", "three")
    upstream.reply(write_plan(*(plan_call("wait", name=name) for name in names), concurrent=True))
    upstream.reply(write_plan())
    upstream.reply("Done.")
    results: list[str] = []
    events = []

    async for event in running.client().stream(reasoning_request()):
        events.append(event)
        kind = event.WhichOneof("kind")
        if kind == "tool_started" and list_kinds(events).count(kind) == 3:
            await tool_log.wait_for_starts(*names)
            tool_log.release("two")
        if kind == "tool_finished":
            results.append(event.tool_finished.execution.result)
            tool_log.release({1: "three", 2: "one"}.get(len(results), ""))

    check_grammar(events, ended_well=True)
    assert results == ["two is done", "three is done", "one is done"]
    prompt_text = "".join(part["content"] for part in upstream.requests[-1].body["messages"])
    assert prompt_text.index("one is done") < prompt_text.index("two is done") < prompt_text.index("three is done")


async def test_consecutive_tools(upstream: FakeUpstream, running: RunningServer, tool_log: ToolLog) -> None:
    """Tools that are not planned to be concurrent run one after the other."""
    upstream.reply(write_plan(plan_call("wait", name="one"), plan_call("wait", name="two")))
    upstream.reply(write_plan())
    upstream.reply("Done.")
    call = asyncio.create_task(collect_events(running, reasoning_request()))

    await tool_log.wait_for_starts("one")
    assert tool_log.starts == ["one"]
    tool_log.release("one")
    await tool_log.wait_for_starts("two")
    assert tool_log.ends == ["one"]
    tool_log.release("two")

    check_grammar(await call, ended_well=True)


async def test_heartbeats_during_a_step_and_a_tool(
    upstream: FakeUpstream, running: RunningServer, tool_log: ToolLog
) -> None:
    """Heartbeats come during a slow plan and during a slow tool, with the number of their step."""
    gate = upstream.gated(write_plan(plan_call("wait", name="one")))
    upstream.reply(write_plan())
    upstream.reply("Done.")
    events: list[events_pb2.StreamCompleteResponse] = []

    async for event in running.client().stream(reasoning_request(), heartbeat_seconds=0.1):
        events.append(event)
        if event.WhichOneof("kind") == "heartbeat":
            if "tool_started" in list_kinds(events):
                tool_log.release("one")
            elif "model_call_started" in list_kinds(events):
                gate.open_all()

    check_grammar(events, ended_well=True)
    order = list_kinds(events)
    beats = [index for index, kind in enumerate(order) if kind == "heartbeat"]
    assert any(order.index("model_call_started") < beat < order.index("step_planned") for beat in beats)
    assert any(order.index("tool_started") < beat < order.index("tool_finished") for beat in beats)
    first, last = order.index("step_started"), order.index("step_finished")
    assert {events[beat].step for beat in beats if first < beat < last} == {1}


async def test_the_time_of_tools_is_not_overhead(upstream: FakeUpstream, running: RunningServer) -> None:
    """The time of tools is not counted as overhead, and a thought is not counted as the first token."""
    seconds = 0.4
    sleeps = write_plan(plan_call("sleep", seconds=seconds), plan_call("sleep", seconds=seconds), concurrent=True)
    upstream.reply(sleeps, reasoning=("Hm.",))
    upstream.reply(write_plan())
    upstream.reply("Done.")

    events = await collect_events(running, reasoning_request())

    timings = events[-1].completed.timings
    total, overhead = timings.total_duration.ToNanoseconds(), timings.overhead_duration.ToNanoseconds()
    assert all(
        each.execution.duration.ToNanoseconds() >= seconds * 1e9 for each in select_payloads(events, "tool_finished")
    )
    assert overhead <= total - seconds * 1e9
    assert timings.first_token_duration.ToNanoseconds() >= seconds * 1e9
