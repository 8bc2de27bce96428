"""Loops of the agent: repeated tool calls that give nothing new end the thinking, and the answer still comes."""

import pytest

from tests.support import agent_tools
from tests.support.agent import (
    PlannedCall,
    agent_config,
    collect_events,
    find_finish,
    join_text,
    list_executions,
    list_outcomes,
    name_end,
    plan_call,
    reasoning_request,
    script_steps,
    write_plan,
)
from tests.support.agent_tools import ToolLog
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream


async def test_repeated_tool_calls_are_a_loop(upstream: FakeUpstream) -> None:
    """Equal tool calls in three consecutive steps are a loop, and are not run the third time."""
    calls = (plan_call("note", text="a"), plan_call("weather", city="Paris"))
    script_steps(upstream, write_plan(*calls))

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert (name_end(find_finish(events)), find_finish(events).step_count, find_finish(events).tool_call_count) == (
        "LOOP",
        3,
        4,
    )
    assert list_outcomes(events) == ["DONE", "DONE", "STOPPED"]
    assert join_text(events) == "The answer."


@pytest.mark.parametrize(
    "between", [pytest.param(write_plan(action="continue"), id="thoughts"), pytest.param(None, id="nothing")]
)
async def test_a_loop_does_not_depend_on_notation(upstream: FakeUpstream, between: str | None) -> None:
    """Tool calls are equal whatever the notation of their arguments, their order, and the thoughts between them."""
    notations = ('{"city": "Paris", "days": 2}', '{"days":2,"city":"Paris"}', '{ "city" : "P\\u0061ris", "days" : 2 }')
    notes = plan_call("note", text="a")
    for index, arguments in enumerate(notations):
        if index and between is not None:
            upstream.reply(between)
        calls = (PlannedCall("weather", arguments), notes)
        upstream.reply(write_plan(*(reversed(calls) if index == 1 else calls)))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert (name_end(find_finish(events)), find_finish(events).tool_call_count, join_text(events)) == (
        "LOOP",
        4,
        "The answer.",
    )


async def test_new_results_are_no_loop(upstream: FakeUpstream) -> None:
    """A repeated tool call whose result changes is no loop, as when the state of a job is polled."""
    agent_tools.tool_logs.append(ToolLog())
    for _ in range(4):
        upstream.reply(write_plan(plan_call("count")))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert [execution.result for execution in list_executions(events)] == ["1", "2", "3", "4"]
    assert (name_end(find_finish(events)), join_text(events)) == ("FINISHED", "The answer.")


async def test_new_arguments_are_no_loop(upstream: FakeUpstream) -> None:
    """Calls of one tool with changing arguments are no loop."""
    for number in range(5):
        upstream.reply(write_plan(plan_call("note", text=str(number))))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream)) as running:
        events = await collect_events(running, reasoning_request())

    assert (name_end(find_finish(events)), find_finish(events).tool_call_count) == ("FINISHED", 5)
