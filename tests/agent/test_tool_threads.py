"""The threads of synchronous tools: all of them have started before the server serves."""

import threading

from tests.support.agent import (
    OWN,
    agent_config,
    collect_events,
    list_executions,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.agent_tools import MEETING
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream


def list_threads() -> set[int]:
    """Returns the ids of the threads that run."""
    return {thread.native_id for thread in threading.enumerate() if thread.native_id is not None}


async def test_no_thread_starts_while_the_agent_uses_tools(upstream: FakeUpstream) -> None:
    """Synchronous tools that run at the same time run in threads that were there before the request."""
    upstream.reply(write_plan(*[plan_call("meet")] * MEETING, concurrent=True))
    upstream.reply(write_plan())
    upstream.reply("The answer.")

    async with serving(agent_config(upstream, tools={"meet": OWN + "meet"})) as running:
        before = list_threads()
        events = await collect_events(running, reasoning_request())
        after = list_threads()

    threads_of_tools = {int(execution.result) for execution in list_executions(events)}
    assert len(threads_of_tools) == MEETING
    assert threads_of_tools <= before
    assert after <= before
