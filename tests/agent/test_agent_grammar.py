"""Any run of the agent has events that follow the grammar, and `Complete` returns their fold."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.agent import (
    agent_config,
    build_usage,
    collect_until_failure,
    drop_times_and_ids,
    find_finish,
    join_text,
    list_kinds,
    plan_call,
    reasoning_request,
    write_plan,
)
from tests.support.agent_grammar import check_grammar
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream, Gate, Standing

pytestmark = pytest.mark.thorough

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
