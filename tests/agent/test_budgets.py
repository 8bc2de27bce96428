"""What ends the agent's thinking: each budget by its name, and the answer comes all the same."""

import json
from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Prices
from tests.support import agent_tools
from tests.support.agent import (
    Call,
    agent_config,
    end,
    executions,
    finished,
    kinds,
    of_kind,
    outcomes,
    plan,
    purposes,
    reasoning_request,
    shown,
    stream,
    text,
    tokens,
    using,
)
from tests.support.agent_tools import Bench
from tests.support.serving import model_entry, serving
from tests.support.upstream import FakeUpstream, Standing

STEP_COST: Final = 11 * 1000 + 7 * 2000
"""Of one model call of the fake upstream, by the prices of the tests."""


def always(upstream: FakeUpstream, said: str, **options: Any) -> None:
    """Every step says this; whatever else is asked is answered."""
    step, answer = Standing(), Standing()
    step.reply(said, **options)
    answer.reply("The answer.")
    upstream.always.choose(lambda body: step if "response_format" in body else answer)


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
async def test_budgets(
    upstream: FakeUpstream, agent: dict[str, Any], settings: dict[str, Any], reason: str, steps: int, rpc: str
) -> None:
    """A model that would think for ever is stopped by the budget, which is named, and answers."""
    always(upstream, plan(action="continue"))
    request = reasoning_request(agent=agent)

    async with serving(agent_config(upstream, **settings)) as running:
        if rpc == "Complete":
            answer = await running.client().complete(request)
            finish, said, calls = answer.reasoning_finished, answer.message.content[0].text, answer.model_calls
        else:
            events = await stream(running, request)
            finish, said, calls = finished(events), text(events), events[-1].completed.model_calls

    assert (end(finish), finish.step_count, said) == (reason, steps, "The answer.")
    assert purposes(calls) == ["STEP"] * steps + ["SYNTHESIS"]
    assert finish.usage.total_tokens == steps * 18
    assert finish.cost.total_nano_usd == steps * STEP_COST


async def test_tokens_left_bound_the_next_step(upstream: FakeUpstream) -> None:
    """A step may say no more than the budget leaves after its prompt, and none begins when nothing is left."""
    always(upstream, plan(action="continue"), usage=tokens(3000, 500))

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"max_tokens": 5000}))

    first, second, _ = (asked.body for asked in upstream.requests)
    assert (end(finished(events)), finished(events).step_count) == ("TOKEN_BUDGET", 2)
    assert first["max_tokens"] == 1024
    assert 1 <= second["max_tokens"] < 1024
    assert finished(events).usage.total_tokens == 2 * 3500


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        pytest.param({"max_tokens": 4000}, "TOKEN_BUDGET", id="tokens"),
        pytest.param({"max_cost_nano_usd": 1}, "COST_BUDGET", id="cost"),
    ],
)
async def test_no_repair_beyond_a_budget(upstream: FakeUpstream, agent: dict[str, Any], reason: str) -> None:
    """A bad plan is not mended when that would go over a budget, which then ended the thinking; the answer comes."""
    upstream.reply("no plan", usage=tokens(3000, 500))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent=agent))

    assert purposes(events[-1].completed.model_calls) == ["STEP", "SYNTHESIS"]
    assert (end(finished(events)), outcomes(events), text(events)) == (reason, ["STOPPED"], "The answer.")


async def test_tokens_left_bound_a_repair(upstream: FakeUpstream) -> None:
    """A mended plan may have no more tokens than the budget leaves after its prompt."""
    upstream.reply("no plan", usage=tokens(3000, 500))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"max_tokens": 5200}))

    step, repair, _ = (asked.body for asked in upstream.requests)
    assert end(finished(events)) == "FINISHED"
    assert 1 <= repair["max_tokens"] < step["max_tokens"] == 1024


@pytest.mark.parametrize(
    ("most", "first", "second", "ran"),
    [
        pytest.param(1, 1, 1, 1, id="one"),
        pytest.param(3, 2, 2, 3, id="some-of-a-step"),
        pytest.param(2, 3, 0, 2, id="some-of-the-first"),
    ],
)
async def test_tool_calls(upstream: FakeUpstream, most: int, first: int, second: int, ran: int) -> None:
    """The calls that the budget allows are run, the others are not, and the model reads so."""
    for count in (first, second):
        if count:
            upstream.reply(plan(*(using("note", text=f"{count} {number}") for number in range(count))))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"max_tool_calls": most}))

    assert (end(finished(events)), finished(events).tool_call_count) == ("MAX_TOOL_CALLS", ran)
    assert len(executions(events)) == kinds(events).count("tool_started") == ran
    assert outcomes(events)[-1] == "STOPPED"
    assert sum(len(planned.tool_calls) for planned in of_kind(events, "step_planned")) == first + second
    (words,) = shown(upstream.requests[-1].body["messages"])
    assert words.count("It was not run.") == first + second - ran
    assert text(events) == "The answer."


async def test_tool_calls_used_up_and_not_missed(upstream: FakeUpstream) -> None:
    """A model that is ready when its tool calls are used up has finished by itself."""
    upstream.reply(plan(using("note", text="a")))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"max_tool_calls": 1}))

    assert (end(finished(events)), finished(events).tool_call_count) == ("FINISHED", 1)


async def test_no_tool_calls_at_all(upstream: FakeUpstream) -> None:
    """With none allowed no tool is offered."""
    upstream.reply(json.dumps({"thought": "I know.", "next_action": "finish"}))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"max_tool_calls": 0}))

    assert "weather" not in next(shown(upstream.requests[0].body["messages"]))
    assert end(finished(events)) == "FINISHED"


async def test_a_loop_is_noticed(upstream: FakeUpstream) -> None:
    """The same tool calls three steps in a row are a loop; the third time they are not run."""
    calls = (using("note", text="a"), using("weather", city="Paris"))
    always(upstream, plan(*calls))

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert (end(finished(events)), finished(events).step_count, finished(events).tool_call_count) == ("LOOP", 3, 4)
    assert outcomes(events) == ["DONE", "DONE", "STOPPED"]
    assert text(events) == "The answer."


@pytest.mark.parametrize(
    "between", [pytest.param(plan(action="continue"), id="thoughts"), pytest.param(None, id="nothing")]
)
async def test_a_loop_in_other_words(upstream: FakeUpstream, between: str | None) -> None:
    """Calls are the same however their arguments are written, in whatever order, and with thoughts between them."""
    written = ('{"city": "Paris", "days": 2}', '{"days":2,"city":"Paris"}', '{ "city" : "P\\u0061ris", "days" : 2 }')
    notes = using("note", text="a")
    for index, arguments in enumerate(written):
        if index and between is not None:
            upstream.reply(between)
        calls = (Call("weather", arguments), notes)
        upstream.reply(plan(*(reversed(calls) if index == 1 else calls)))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert (end(finished(events)), finished(events).tool_call_count, text(events)) == ("LOOP", 4, "The answer.")


async def test_what_gives_something_new_is_no_loop(upstream: FakeUpstream) -> None:
    """A tool that gives something else each time may be asked again, as for the state of a job."""
    agent_tools.benches.append(Bench())
    for _ in range(4):
        upstream.reply(plan(using("count")))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert [execution.result for execution in executions(events)] == ["1", "2", "3", "4"]
    assert (end(finished(events)), text(events)) == ("FINISHED", "The answer.")


async def test_other_arguments_are_no_loop(upstream: FakeUpstream) -> None:
    """The same tool with other arguments each time may go on."""
    for number in range(5):
        upstream.reply(plan(using("note", text=str(number))))
    upstream.reply(plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request())

    assert (end(finished(events)), finished(events).tool_call_count) == ("FINISHED", 5)


async def test_a_step_that_takes_too_long(upstream: FakeUpstream) -> None:
    """A step over its own time is given up: its model call has failed, is let go, and the answer comes."""
    upstream.reply(plan(using("note", text="a")))
    upstream.hang_after(3)
    upstream.reply("The answer.")
    timeout = Duration(nanos=500_000_000)

    async with serving(agent_config(upstream)) as running:
        events = await stream(running, reasoning_request(agent={"step_timeout": timeout}))

    (failed,) = of_kind(events, "model_call_failed")
    assert (end(finished(events)), outcomes(events)) == ("STEP_TIMEOUT", ["DONE", "STOPPED"])
    assert [call.usage.source for call in events[-1].completed.model_calls] == [1, 2, 1]
    assert [(attempt.call, attempt.failure) for attempt in events[-1].completed.attempts] == [
        (1, 0),
        (2, failed.failure),
        (3, 0),
    ]
    assert (await upstream.disconnect()).body == upstream.requests[1].body
    assert text(events) == "The answer."


async def test_a_budget_of_money_where_no_price_is_known(upstream: FakeUpstream) -> None:
    """Money cannot be counted without prices: the request is refused, and no model is asked."""
    config = agent_config(upstream, entry=model_entry(upstream.api_base, prices=Prices(input=5)))

    async with serving(config) as running:
        with pytest.raises(CallFailed) as failed:
            await stream(running, reasoning_request(agent={"max_cost_nano_usd": 5}))

    assert failed.value.reason == "UNSUPPORTED_PARAMETER"
    assert [violation.field for violation in failed.value.violations] == ["agent.max_cost_nano_usd"]
    assert upstream.requests == []


async def test_what_the_server_does_not_grant(upstream: FakeUpstream) -> None:
    """A wish beyond the server's own limit is told with what holds instead, in exact numbers."""
    upstream.always.reply(plan())
    settings: dict[str, Any] = {
        "agent_max_steps": 2,
        "agent_max_tool_calls": 3,
        "agent_max_tokens": 1_234_567,
        "agent_max_cost_usd": 1.5,
        "agent_step_timeout_seconds": 2.5,
        "agent_tool_timeout_seconds": 4.0,
    }
    wishes = {
        "max_steps": 9,
        "max_tool_calls": 9,
        "max_tokens": 7_654_321,
        "max_cost_nano_usd": 2_000_000_001,
        "step_timeout": Duration(seconds=9),
        "tool_timeout": Duration(seconds=3),
    }

    async with serving(agent_config(upstream, **settings)) as running:
        events = await stream(running, reasoning_request(agent=wishes))

    told = {each.field: (each.requested, each.effective) for each in events[0].started.effective_settings}
    assert told == {
        "agent.max_steps": ("9", "2"),
        "agent.max_tool_calls": ("9", "3"),
        "agent.max_tokens": ("7654321", "1234567"),
        "agent.max_cost_nano_usd": ("2000000001", "1500000000"),
        "agent.step_timeout": ("9s", "2.5s"),
    }
    assert of_kind(events, "step_started")[0].max_steps == 2
