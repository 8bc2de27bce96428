"""The order of the agent's events: each comes when it happens, the grammar holds, and `Complete` returns their fold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support import agent_tools
from tests.support.agent import (
    agent_config,
    build_usage,
    collect_events,
    collect_until_failure,
    drop_times_and_ids,
    find_finish,
    join_text,
    list_kinds,
    plan_call,
    reasoning_request,
    select_payloads,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.agent_tools import ToolLog
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream, Gate, Standing

PROPERTY: Final = settings(
    max_examples=100,
    deadline=None,
    database=None,
    # One server answers all examples; each scripts its own answers.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FAILURES: Final[dict[str, Callable[[Standing], Gate]]] = {
    "refused": lambda script: script.fail(400),
    "broken": lambda script: script.fail(503),
    "cut": lambda script: script.cut_after(2, "end"),
    "nonsense": lambda script: script.body(b"<html>", content_type="text/html"),
}
JUNK: Final = "no plan"

CALLS: Final = (
    plan_call("weather", city="Paris"),
    plan_call("weather", city="Rome"),
    plan_call("weather", days="no city"),
    plan_call("note", text="a"),
    plan_call("note", text="ä\u0000\U0001f600"),
    plan_call("fail"),
    plan_call("fail_with_words"),
    plan_call("return_bytes"),
)


def pick(*values: Any) -> st.SearchStrategy[Any]:
    """Picks one of these values; a value that stands there twice is twice as likely."""
    return st.sampled_from(values)


def pick_mostly(good: st.SearchStrategy[Any], *others: Any, one_in: int = 10) -> st.SearchStrategy[Any]:
    """Picks from `good`, and one time in `one_in` from the others."""
    return pick(*range(one_in)).flatmap(lambda dice: good if dice else pick(*others))


short_texts = st.text(st.characters(codec="utf-8"), max_size=8)
usages = pick_mostly(st.builds(build_usage, st.integers(0, 2000), st.integers(0, 500)), None)
reasonings = st.lists(short_texts.filter(bool), max_size=2)
plans = st.builds(
    lambda calls, thought, action, concurrent: write_plan(
        *calls, thought=thought, action="" if calls else action, concurrent=concurrent
    ),
    st.lists(pick(*CALLS), max_size=3),
    short_texts,
    pick(*["continue"] * 4, "finish"),
    st.booleans(),
)
step_replies = st.fixed_dictionaries(
    {
        "content": pick_mostly(plans, JUNK, write_plan(plan_call("no_such_tool")), one_in=6),
        "reasoning": reasonings,
        "usage": usages,
    }
)
final_replies = st.fixed_dictionaries(
    {
        "content": short_texts,
        "reasoning": reasonings,
        "usage": usages,
        "finish_reason": pick("stop", "length", "content_filter"),
    }
)
budgets = st.fixed_dictionaries(
    {},
    optional={
        "max_steps": st.integers(1, 5),
        "max_tool_calls": st.integers(0, 4),
        "max_tokens": st.integers(1000, 20_000),
        "max_cost_nano_usd": st.integers(1, 8_000_000),
    },
)
runs = st.fixed_dictionaries(
    {
        "steps": st.lists(pick_mostly(step_replies, *FAILURES, one_in=15), min_size=1, max_size=6),
        "answer": pick_mostly(final_replies, *FAILURES),
        "agent": pick(True, False).flatmap(lambda tight: budgets if tight else st.just({})),
    }
)


@pytest.fixture
def tool_log() -> ToolLog:
    """Returns the record of the tools in this test."""
    agent_tools.tool_logs.append(ToolLog())
    return agent_tools.tool_logs[-1]


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server with tools that makes no second attempt."""
    async with serving(agent_config(upstream, max_retries=0)) as server:
        yield server


def script_run(upstream: FakeUpstream, run: dict[str, Any]) -> None:
    """Scripts the upstream for one run: its steps in order, then plans that finish, and the answer."""
    steps = [_script(step) for step in run["steps"]]
    finish, answer = _script({"content": write_plan()}), _script(run["answer"])
    upstream.always.choose(lambda body: (steps.pop(0) if steps else finish) if "response_format" in body else answer)


def _script(reply: dict[str, Any] | str) -> Standing:
    script = Standing()
    if isinstance(reply, str):
        FAILURES[reply](script)
    else:
        script.reply(reply["content"], **{name: value for name, value in reply.items() if name != "content"})
    return script


@PROPERTY
@given(run=runs)
async def test_every_run_follows_the_grammar(
    upstream: FakeUpstream, running: RunningServer, run: dict[str, Any]
) -> None:
    """Whatever a run plans, calls and fails at, its events follow the grammar, and `Complete` returns their fold."""
    request = reasoning_request(agent=run["agent"])
    script_run(upstream, run)

    events, failure = await collect_until_failure(running, request)

    check_grammar(events, ended_well=failure is None)
    script_run(upstream, run)
    if failure is not None:
        with pytest.raises(CallFailed) as again:
            await running.client().complete(request)
        assert (again.value.code, again.value.reason) == (failure.code, failure.reason)
        assert again.value.interruption is not None
        assert failure.interruption is not None
        assert again.value.interruption.usage == failure.interruption.usage
        assert again.value.interruption.model_call_count == failure.interruption.model_call_count
    else:
        check_fold(events, await running.client().complete(request))


# Cancelled while it maps a request in its thread, litellm leaves a coroutine behind that nobody awaits.
@pytest.mark.filterwarnings("ignore:coroutine 'OpenAIChatCompletion.async_streaming' was never:RuntimeWarning")
@PROPERTY
@given(run=runs, leaves_at=st.integers(0, 25))
async def test_every_run_may_be_cancelled(
    upstream: FakeUpstream, running: RunningServer, run: dict[str, Any], leaves_at: int
) -> None:
    """A caller who leaves at any event has seen events that follow the grammar, and nothing stays in progress."""
    script_run(upstream, run)
    events: list[events_pb2.StreamCompleteResponse] = []

    with contextlib.suppress(CallFailed):
        async with aclosing(running.client().stream(reasoning_request(agent=run["agent"]))) as call:
            async for event in call:
                events.append(event)
                if event.sequence == leaves_at:
                    break

    check_grammar(events, ended_well=list_kinds(events)[-1:] == ["completed"])
    await upstream.idle()


def check_fold(events: list[events_pb2.StreamCompleteResponse], answer: completion_pb2.CompleteResponse) -> None:
    """Checks that a whole answer is the fold of the events of an equal run."""
    completed, started = events[-1].completed, events[0].started
    steps: list[dict[str, Any]] = []
    for event in events:
        match event.WhichOneof("kind"):
            case "step_started":
                steps.append({"number": event.step})
                by_id: dict[str, Any] = {}
            case "step_planned":
                plan = drop_times_and_ids(event.step_planned)
                steps[-1] |= {name: plan[name] for name in ("thought", "nextAction") if name in plan}
                order = [call.call_id for call in event.step_planned.tool_calls]
            case "tool_finished":
                execution = event.tool_finished.execution
                by_id[execution.call_id] = drop_times_and_ids(execution)
            case "step_finished":
                steps[-1] |= drop_times_and_ids(event.step_finished)
                if by_id:
                    steps[-1]["toolExecutions"] = [by_id[id_] for id_ in order if id_ in by_id]
    assert [drop_times_and_ids(step) for step in answer.steps] == steps
    assert drop_times_and_ids(answer.reasoning_finished) == drop_times_and_ids(find_finish(events))
    assert "".join(part.text for part in answer.message.content) == join_text(events)
    reasoned = "".join(delta.reasoning_delta.text for delta in events if not delta.step)
    assert "".join(part.reasoning.text for part in answer.message.content) == reasoned
    assert (answer.usage, answer.cost) == (completed.usage, completed.cost)
    assert [call.usage for call in answer.model_calls] == [call.usage for call in completed.model_calls]
    assert drop_times_and_ids(answer.route_decision) == drop_times_and_ids(started.route_decision)
    assert (answer.finish_reason, answer.model) == (completed.finish_reason, completed.model)
    assert list(answer.effective_settings) == list(started.effective_settings)


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
            if tool_log.starts:
                tool_log.release("one")
            else:
                gate.open_all()

    check_grammar(events, ended_well=True)
    order = list_kinds(events)
    beats = [index for index, kind in enumerate(order) if kind == "heartbeat"]
    assert order.index("model_call_started") < beats[0] < order.index("step_planned")
    assert any(order.index("tool_started") < beat < order.index("tool_finished") for beat in beats)
    assert {events[beat].step for beat in beats if beat < order.index("step_finished")} == {1}


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
