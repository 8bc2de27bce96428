"""The limits of the agent: each ends the thinking with its own reason, and the answer still comes."""

import json
from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Prices
from tests.support.agent import (
    Events,
    agent_config,
    build_usage,
    collect_events,
    find_finish,
    join_text,
    list_executions,
    list_kinds,
    list_outcomes,
    list_purposes,
    name_end,
    plan_call,
    read_texts,
    reasoning_request,
    script_steps,
    select_payloads,
    write_plan,
)
from tests.support.deadlines import try_deadlines
from tests.support.serving import model_entry, serving
from tests.support.upstream import FakeUpstream

STEP_COST: Final = 11 * 1000 + 7 * 2000
"""The nano-dollars of one model call of the fake upstream, at the prices of these tests."""


@pytest.mark.parametrize(
    ("agent", "settings", "reason", "steps"),
    [
        pytest.param({"max_steps": 3}, {}, "MAX_STEPS", 3, id="steps"),
        pytest.param({}, {"agent_max_steps": 2}, "MAX_STEPS", 2, id="the-servers-steps"),
        pytest.param({"max_cost_nano_usd": STEP_COST + 1}, {}, "COST_BUDGET", 2, id="cost"),
        pytest.param({"max_cost_nano_usd": 1}, {}, "COST_BUDGET", 1, id="least-cost"),
        pytest.param({}, {"agent_max_cost_usd": 1e-6}, "COST_BUDGET", 1, id="the-servers-cost"),
        pytest.param({"max_tokens": 1}, {}, "TOKEN_BUDGET", 0, id="least-tokens"),
        pytest.param({}, {"agent_max_tokens": 1}, "TOKEN_BUDGET", 0, id="the-servers-tokens"),
    ],
)
@pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])
async def test_a_budget_ends_the_thinking(
    upstream: FakeUpstream, agent: dict[str, Any], settings: dict[str, Any], reason: str, steps: int, rpc: str
) -> None:
    """A model that would never finish is stopped by the budget, which is the reported reason, and answers."""
    script_steps(upstream, write_plan(action="continue"))
    request = reasoning_request(agent=agent)

    async with serving(agent_config(upstream, **settings)) as running:
        if rpc == "Complete":
            answer = await running.client().complete(request)
            finish, reply, calls = answer.reasoning_finished, answer.message.content[0].text, answer.model_calls
        else:
            events = await collect_events(running, request)
            finish, reply, calls = find_finish(events), join_text(events), events[-1].completed.model_calls

    assert (name_end(finish), finish.step_count, reply) == (reason, steps, "The answer.")
    assert list_purposes(calls) == ["STEP"] * steps + ["SYNTHESIS"]
    assert finish.usage.total_tokens == steps * 18
    assert finish.cost.total_nano_usd == steps * STEP_COST


async def test_the_token_budget_limits_the_next_step(upstream: FakeUpstream) -> None:
    """A plan may have the tokens that the budget leaves after its prompt; no step starts when none are left."""
    script_steps(upstream, write_plan(action="continue"), usage=build_usage(3000, 500))

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"max_tokens": 5000}))

    first, second, _ = (upstream_request.body for upstream_request in upstream.requests)
    assert (name_end(find_finish(events)), find_finish(events).step_count) == ("TOKEN_BUDGET", 2)
    assert first["max_tokens"] == 1024
    assert 1 <= second["max_tokens"] < 1024
    assert find_finish(events).usage.total_tokens == 2 * 3500


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        pytest.param({"max_tokens": 4000}, "TOKEN_BUDGET", id="tokens"),
        pytest.param({"max_cost_nano_usd": 1}, "COST_BUDGET", id="cost"),
    ],
)
async def test_a_repair_beyond_a_budget_is_not_made(upstream: FakeUpstream, agent: dict[str, Any], reason: str) -> None:
    """A bad plan is not repaired beyond a budget, which is the reason of the end, and the answer comes."""
    upstream.reply("no plan", usage=build_usage(3000, 500))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent=agent))

    assert list_purposes(events[-1].completed.model_calls) == ["STEP", "SYNTHESIS"]
    assert (name_end(find_finish(events)), list_outcomes(events), join_text(events)) == (
        reason,
        ["STOPPED"],
        "The answer.",
    )


async def test_the_token_budget_limits_a_repair(upstream: FakeUpstream) -> None:
    """A repaired plan may have the tokens that the budget leaves after its prompt."""
    upstream.reply("no plan", usage=build_usage(3000, 500))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"max_tokens": 5200}))

    step, repair, _ = (upstream_request.body for upstream_request in upstream.requests)
    assert name_end(find_finish(events)) == "FINISHED"
    assert 1 <= repair["max_tokens"] < step["max_tokens"] == 1024


@pytest.mark.parametrize(
    ("max_tool_calls", "first", "second", "runs"),
    [
        pytest.param(1, 1, 1, 1, id="one"),
        pytest.param(3, 2, 2, 3, id="some-of-a-step"),
        pytest.param(2, 3, 0, 2, id="some-of-the-first"),
    ],
)
async def test_calls_beyond_the_budget_are_not_run(
    upstream: FakeUpstream, max_tool_calls: int, first: int, second: int, runs: int
) -> None:
    """The tool calls within the budget are run, and the model reads that the others were not."""
    for count in (first, second):
        if count:
            upstream.reply(write_plan(*(plan_call("note", text=f"{count} {number}") for number in range(count))))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"max_tool_calls": max_tool_calls}))

    assert (name_end(find_finish(events)), find_finish(events).tool_call_count) == ("MAX_TOOL_CALLS", runs)
    assert len(list_executions(events)) == list_kinds(events).count("tool_started") == runs
    assert list_outcomes(events)[-1] == "STOPPED"
    assert sum(len(planned.tool_calls) for planned in select_payloads(events, "step_planned")) == first + second
    (prompt_text,) = read_texts(upstream.requests[-1].body["messages"])
    assert prompt_text.count("It was not run.") == first + second - runs
    assert join_text(events) == "The answer."


async def test_a_used_up_budget_alone_does_not_end_the_thinking(upstream: FakeUpstream) -> None:
    """A model that finishes when its tool calls are used up has the reason FINISHED."""
    upstream.reply(write_plan(plan_call("note", text="a")))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"max_tool_calls": 1}))

    assert (name_end(find_finish(events)), find_finish(events).tool_call_count) == ("FINISHED", 1)


async def test_a_budget_of_no_tool_calls_hides_the_tools(upstream: FakeUpstream) -> None:
    """With a budget of no tool calls, the instructions list no tool."""
    upstream.reply(json.dumps({"thought": "I know.", "next_action": "finish"}))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request(agent={"max_tool_calls": 0}))

    assert "weather" not in next(read_texts(upstream.requests[0].body["messages"]))
    assert name_end(find_finish(events)) == "FINISHED"


async def test_a_step_has_a_time_limit(upstream: FakeUpstream) -> None:
    """A step that exceeds its time limit is stopped, its model call has failed, and the answer comes."""

    async def stop_second_step(seconds: float) -> Events | None:
        upstream.forget()
        upstream.reply(write_plan(plan_call("note", text="a")))
        upstream.hang_after(3)
        upstream.reply("The answer.")
        timeout = Duration()
        timeout.FromMilliseconds(round(seconds * 1000))
        async with serving(agent_config(upstream)) as running:
            events = await collect_events(running, reasoning_request(agent={"step_timeout": timeout}))
        return events if len(upstream.requests) == 3 else None

    events = await try_deadlines(stop_second_step, least_seconds=0.1)

    (failed,) = select_payloads(events, "model_call_failed")
    assert (name_end(find_finish(events)), list_outcomes(events)) == ("STEP_TIMEOUT", ["DONE", "STOPPED"])
    assert [call.usage.source for call in events[-1].completed.model_calls] == [1, 2, 1]
    assert [(attempt.call, attempt.failure) for attempt in events[-1].completed.attempts] == [
        (1, 0),
        (2, failed.failure),
        (3, 0),
    ]
    assert (await upstream.disconnect()).body == upstream.requests[1].body
    assert join_text(events) == "The answer."


async def test_a_cost_budget_needs_prices(upstream: FakeUpstream) -> None:
    """A request with a cost budget for a model without prices is refused before any model call."""
    config = agent_config(upstream, entry=model_entry(upstream.api_base, prices=Prices(input=5)))

    async with serving(config) as running:
        with pytest.raises(CallFailed) as failed:
            await collect_events(running, reasoning_request(agent={"max_cost_nano_usd": 5}))

    assert failed.value.reason == "UNSUPPORTED_PARAMETER"
    assert [violation.field for violation in failed.value.violations] == ["agent.max_cost_nano_usd"]
    assert upstream.requests == []


async def test_limits_of_the_server_are_effective_settings(upstream: FakeUpstream) -> None:
    """A requested limit beyond that of the server is reported as an effective setting, in exact numbers."""
    upstream.always.reply(write_plan())
    settings: dict[str, Any] = {
        "agent_max_steps": 2,
        "agent_max_tool_calls": 3,
        "agent_max_tokens": 1_234_567,
        "agent_max_cost_usd": 1.5,
        "agent_step_timeout_seconds": 2.5,
        "agent_tool_timeout_seconds": 4.0,
    }
    requested = {
        "max_steps": 9,
        "max_tool_calls": 9,
        "max_tokens": 7_654_321,
        "max_cost_nano_usd": 2_000_000_001,
        "step_timeout": Duration(seconds=9),
        "tool_timeout": Duration(seconds=3),
    }

    async with serving(agent_config(upstream, **settings)) as running:
        events = await collect_events(running, reasoning_request(agent=requested))

    settings_by_field = {each.field: (each.requested, each.effective) for each in events[0].started.effective_settings}
    assert settings_by_field == {
        "agent.max_steps": ("9", "2"),
        "agent.max_tool_calls": ("9", "3"),
        "agent.max_tokens": ("7654321", "1234567"),
        "agent.max_cost_nano_usd": ("2000000001", "1500000000"),
        "agent.step_timeout": ("9s", "2.5s"),
    }
    assert select_payloads(events, "step_started")[0].max_steps == 2
