"""The order of the agent's events: as they happen, by a grammar, and folded to the whole answer."""

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
    finished,
    kinds,
    of_kind,
    outcome,
    plan,
    reasoning_request,
    stream,
    text,
    tokens,
    told,
    using,
)
from tests.support.agent_grammar import check_grammar
from tests.support.agent_tools import Bench
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
    using("weather", city="Paris"),
    using("weather", city="Rome"),
    using("weather", days="no city"),
    using("note", text="a"),
    using("note", text="ä\u0000\U0001f600"),
    using("fail"),
    using("fail_with_words"),
    using("return_bytes"),
)


def chosen(*values: Any) -> st.SearchStrategy[Any]:
    """One of these, each as often as it stands there."""
    return st.sampled_from(values)


def mostly(good: st.SearchStrategy[Any], *others: Any, one_in: int = 10) -> st.SearchStrategy[Any]:
    """Rarely one of the others."""
    return chosen(*range(one_in)).flatmap(lambda dice: good if dice else chosen(*others))


words = st.text(st.characters(codec="utf-8"), max_size=8)
used = mostly(st.builds(tokens, st.integers(0, 2000), st.integers(0, 500)), None)
reasoning = st.lists(words.filter(bool), max_size=2)
planned = st.builds(
    lambda calls, thought, action, concurrent: plan(
        *calls, thought=thought, action="" if calls else action, concurrent=concurrent
    ),
    st.lists(chosen(*CALLS), max_size=3),
    words,
    chosen(*["continue"] * 4, "finish"),
    st.booleans(),
)
said = st.fixed_dictionaries(
    {"content": mostly(planned, JUNK, plan(using("no_such_tool")), one_in=6), "reasoning": reasoning, "usage": used}
)
answered = st.fixed_dictionaries(
    {
        "content": words,
        "reasoning": reasoning,
        "usage": used,
        "finish_reason": chosen("stop", "length", "content_filter"),
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
        "steps": st.lists(mostly(said, *FAILURES, one_in=15), min_size=1, max_size=6),
        "answer": mostly(answered, *FAILURES),
        "agent": chosen(True, False).flatmap(lambda tight: budgets if tight else st.just({})),
    }
)


@pytest.fixture
def bench() -> Bench:
    """What the tools do in this test."""
    agent_tools.benches.append(Bench())
    return agent_tools.benches[-1]


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with tools, that tries nothing twice."""
    async with serving(agent_config(upstream, max_retries=0)) as server:
        yield server


def play(upstream: FakeUpstream, run: dict[str, Any]) -> None:
    """Lets the upstream answer the next run so: steps one after the other, then "finish", and the answer."""
    steps = [_script(step) for step in run["steps"]]
    done, answer = _script({"content": plan()}), _script(run["answer"])
    upstream.always.choose(lambda body: (steps.pop(0) if steps else done) if "response_format" in body else answer)


def _script(asked: dict[str, Any] | str) -> Standing:
    script = Standing()
    if isinstance(asked, str):
        FAILURES[asked](script)
    else:
        script.reply(asked["content"], **{name: value for name, value in asked.items() if name != "content"})
    return script


@PROPERTY
@given(run=runs)
async def test_every_run_keeps_the_grammar(upstream: FakeUpstream, running: RunningServer, run: dict[str, Any]) -> None:
    """Whatever is planned, run, allowed and fails: the order holds, and `Complete` is the fold of it."""
    request = reasoning_request(agent=run["agent"])
    play(upstream, run)

    events, failure = await outcome(running, request)

    check_grammar(events, ended_well=failure is None)
    play(upstream, run)
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
async def test_every_run_may_be_left(
    upstream: FakeUpstream, running: RunningServer, run: dict[str, Any], leaves_at: int
) -> None:
    """A caller who leaves at any event has seen a beginning by the grammar; nothing stays behind."""
    play(upstream, run)
    events: list[events_pb2.StreamCompleteResponse] = []

    with contextlib.suppress(CallFailed):
        async with aclosing(running.client().stream(reasoning_request(agent=run["agent"]))) as call:
            async for event in call:
                events.append(event)
                if event.sequence == leaves_at:
                    break

    check_grammar(events, ended_well=kinds(events)[-1:] == ["completed"])
    await upstream.idle()


def check_fold(events: list[events_pb2.StreamCompleteResponse], answer: completion_pb2.CompleteResponse) -> None:
    """A whole answer says what these events of the same run say, put together."""
    completed, started = events[-1].completed, events[0].started
    steps: list[dict[str, Any]] = []
    for event in events:
        match event.WhichOneof("kind"):
            case "step_started":
                steps.append({"number": event.step})
                executions: dict[str, Any] = {}
            case "step_planned":
                planned = told(event.step_planned)
                steps[-1] |= {name: planned[name] for name in ("thought", "nextAction") if name in planned}
                order = [call.call_id for call in event.step_planned.tool_calls]
            case "tool_finished":
                execution = event.tool_finished.execution
                executions[execution.call_id] = told(execution)
            case "step_finished":
                steps[-1] |= told(event.step_finished)
                if executions:
                    steps[-1]["toolExecutions"] = [executions[id_] for id_ in order if id_ in executions]
    assert [told(step) for step in answer.steps] == steps
    assert told(answer.reasoning_finished) == told(finished(events))
    assert "".join(part.text for part in answer.message.content) == text(events)
    reasoned = "".join(delta.reasoning_delta.text for delta in events if not delta.step)
    assert "".join(part.reasoning.text for part in answer.message.content) == reasoned
    assert (answer.usage, answer.cost) == (completed.usage, completed.cost)
    assert [call.usage for call in answer.model_calls] == [call.usage for call in completed.model_calls]
    assert told(answer.route_decision) == told(started.route_decision)
    assert (answer.finish_reason, answer.model) == (completed.finish_reason, completed.model)
    assert list(answer.effective_settings) == list(started.effective_settings)


async def test_no_event_waits_for_a_later_one(upstream: FakeUpstream, running: RunningServer, bench: Bench) -> None:
    """Each event is with the caller before what comes after it has been let begin."""
    step = upstream.gated(plan(using("wait", name="one"), using("wait", name="two")), reasoning=("Hm.",))
    last = upstream.gated(plan())
    answer = upstream.gated("It ", "rains.")
    events = running.client().stream(reasoning_request())

    async def until(kind: str) -> list[str]:
        """The kinds of events up to the next of this kind."""
        seen: list[str] = []
        while seen[-1:] != [kind]:
            seen += kinds([await anext(events)])
        return seen

    async with aclosing(events):
        assert await until("model_call_started") == ["started", "step_started", "model_call_started"]
        assert step.steps_sent == 0
        step.open()
        assert await until("reasoning_delta") == ["reasoning_delta"]
        assert step.steps_sent == 1
        step.open_all()
        assert await until("tool_started") == ["model_call_finished", "step_planned", "tool_started"]
        await bench.begin("one")
        assert bench.ended == []
        bench.release("one")
        assert await until("tool_started") == ["tool_finished", "tool_started"]
        await bench.begin("two")
        assert bench.ended == ["one"]
        bench.release("two")
        assert await until("model_call_started") == [
            *("tool_finished", "step_finished", "step_started", "model_call_started")
        ]
        assert last.steps_sent == 0
        last.open_all()
        assert await until("reasoning_finished") == [
            *("model_call_finished", "step_planned", "step_finished", "reasoning_finished")
        ]
        assert await until("model_call_started") == ["model_call_started"]
        assert answer.steps_sent == 0
        answer.open()
        assert await until("content_delta") == ["content_delta"]
        assert answer.steps_sent == 1
        answer.open_all()
        assert await until("completed") == ["content_delta", "model_call_finished", "completed"]


async def test_tools_side_by_side(upstream: FakeUpstream, running: RunningServer, bench: Bench) -> None:
    """Concurrent tools all run at once; each tells its end when it comes, whatever the others do."""
    names = ("one", "two", "three")
    upstream.reply(plan(*(using("wait", name=name) for name in names), concurrent=True))
    upstream.reply(plan())
    upstream.reply("Done.")
    ended: list[str] = []
    events = []

    async for event in running.client().stream(reasoning_request()):
        events.append(event)
        kind = event.WhichOneof("kind")
        if kind == "tool_started" and kinds(events).count(kind) == 3:
            await bench.begin(*names)
            bench.release("two")
        if kind == "tool_finished":
            ended.append(event.tool_finished.execution.result)
            bench.release({1: "three", 2: "one"}.get(len(ended), ""))

    check_grammar(events, ended_well=True)
    assert ended == ["two is done", "three is done", "one is done"]
    words = "".join(part["content"] for part in upstream.requests[-1].body["messages"])
    assert words.index("one is done") < words.index("two is done") < words.index("three is done")


async def test_tools_one_after_the_other(upstream: FakeUpstream, running: RunningServer, bench: Bench) -> None:
    """Unless they are planned to run side by side, none begins before the one before it has ended."""
    upstream.reply(plan(using("wait", name="one"), using("wait", name="two")))
    upstream.reply(plan())
    upstream.reply("Done.")
    call = asyncio.create_task(stream(running, reasoning_request()))

    await bench.begin("one")
    assert bench.began == ["one"]
    bench.release("one")
    await bench.begin("two")
    assert bench.ended == ["one"]
    bench.release("two")

    check_grammar(await call, ended_well=True)


async def test_heartbeats_during_a_step_and_a_tool(
    upstream: FakeUpstream, running: RunningServer, bench: Bench
) -> None:
    """Heartbeats fill the silence of a slow plan and of a slow tool, in the step in which they fall."""
    gate = upstream.gated(plan(using("wait", name="one")))
    upstream.reply(plan())
    upstream.reply("Done.")
    events: list[events_pb2.StreamCompleteResponse] = []

    async for event in running.client().stream(reasoning_request(), heartbeat_seconds=0.1):
        events.append(event)
        if event.WhichOneof("kind") == "heartbeat":
            if bench.began:
                bench.release("one")
            else:
                gate.open_all()

    check_grammar(events, ended_well=True)
    order = kinds(events)
    beats = [index for index, kind in enumerate(order) if kind == "heartbeat"]
    assert order.index("model_call_started") < beats[0] < order.index("step_planned")
    assert any(order.index("tool_started") < beat < order.index("tool_finished") for beat in beats)
    assert {events[beat].step for beat in beats if beat < order.index("step_finished")} == {1}


async def test_where_the_time_went(upstream: FakeUpstream, running: RunningServer) -> None:
    """The time of tools, side by side or not, is not the server's own; a thought is no piece of the answer."""
    seconds = 0.4
    sleeps = plan(using("sleep", seconds=seconds), using("sleep", seconds=seconds), concurrent=True)
    upstream.reply(sleeps, reasoning=("Hm.",))
    upstream.reply(plan())
    upstream.reply("Done.")

    events = await stream(running, reasoning_request())

    timings = events[-1].completed.timings
    total, overhead = timings.total_duration.ToNanoseconds(), timings.overhead_duration.ToNanoseconds()
    assert all(each.execution.duration.ToNanoseconds() >= seconds * 1e9 for each in of_kind(events, "tool_finished"))
    assert overhead <= total - seconds * 1e9
    assert timings.first_token_duration.ToNanoseconds() >= seconds * 1e9
