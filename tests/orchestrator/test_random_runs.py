"""Any run of orchestration keeps what the proto says that a client may rely on, and `Complete` returns its fold."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasoning_grpc.client import CallFailed, fold
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2
from tests.support.agent import (
    agent_config,
    build_usage,
    collect_until_failure,
    list_kinds,
    plan_call,
    write_plan,
    write_plan_without_tools,
)
from tests.support.orchestration import Call, Team, orchestration_request, plan_task, write_tasks
from tests.support.pausing import OWN_TOOL, continue_request
from tests.support.serving import RunningServer, serving
from tests.support.task_grammar import TaskGrammar, check_task_grammar
from tests.support.upstream import FakeUpstream, Gate, Standing

pytestmark = pytest.mark.thorough

PROPERTY: Final = settings(
    max_examples=60,
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
STEPS: Final = {
    "finish": [],
    "continue": [write_plan_without_tools("continue")],
    "weather": [write_plan(plan_call("weather", city="Rome"), plan_call("weather", city="Oslo"), concurrent=True)],
    "fails": [write_plan(plan_call("fail"))],
    "junk": ["no plan"],
    "asks": [write_plan(plan_call("lookup", id="7"))],
    "asks often": [write_plan(plan_call("weather", city="Rome"), plan_call("lookup", id="7"))] * 2,
}
names = st.sampled_from("abcdefg")


@st.composite
def draw_plan(draw: st.DrawFn) -> str:
    """Draws a plan, of which one in eight cannot be used as it is."""
    chosen = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    tasks = []
    for index, name in enumerate(chosen):
        pool = chosen if draw(st.integers(0, 15)) == 0 else chosen[:index]
        needs = draw(st.lists(st.sampled_from(pool), max_size=2, unique=True)) if pool else []
        tasks.append(
            plan_task(name, *needs, tools=draw(st.sampled_from([(), ("weather", "fail"), ("lookup", "weather")])))
        )
    return draw(st.sampled_from([write_tasks(*tasks)] * 15 + ["no plan"]))


@st.composite
def draw_work(draw: st.DrawFn) -> dict[str, Any]:
    """Draws how the work on one task goes: its steps, its result, and at which call it fails."""
    return {
        "steps": draw(st.sampled_from(["finish"] * 4 + ["asks"] * 3 + list(STEPS))),
        "fails_at": draw(st.sampled_from([None] * 6 + ["step", "result"])),
        "failure": draw(st.sampled_from(list(FAILURES))),
        "fails_always": draw(st.booleans()),
        "reasoning": draw(st.sampled_from([(), ("hm", "well")])),
    }


budgets = st.fixed_dictionaries(
    {},
    optional={
        "max_tasks": st.integers(1, 6),
        "max_steps": st.integers(1, 6),
        "max_tool_calls": st.integers(0, 4),
        "max_tokens": st.integers(500, 20_000),
        "max_cost_nano_usd": st.integers(1, 4_000_000),
    },
)
runs = st.fixed_dictionaries(
    {
        "plans": st.lists(draw_plan(), min_size=1, max_size=3),
        "work": st.dictionaries(names, draw_work()),
        "answer": st.sampled_from([None] * 8 + list(FAILURES)),
        "agent": st.one_of(st.just({}), budgets),
        "one_at_a_time": st.booleans(),
        "usage": st.sampled_from([build_usage(10, 3), build_usage(200, 50), None]),
    }
)


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server with tools that makes no second attempt at a model call."""
    async with serving(agent_config(upstream, max_retries=0)) as server:
        yield server


class Work:
    """Scripts the calls of one task."""

    def __init__(self, team: Team, work: dict[str, Any], usage: Any) -> None:
        self._team = team
        self._work = work
        self._steps = list(STEPS[work["steps"]])
        self._usage = usage
        self._has_failed = False

    def choose(self, call: Call) -> Standing:
        """Returns the script of a call of the task."""
        work, options = self._work, {"usage": self._usage, "reasoning": self._work["reasoning"]}
        if work["fails_at"] == call.purpose and (work["fails_always"] or not self._has_failed):
            self._has_failed = True
            script = Standing()
            FAILURES[work["failure"]](script)
            return script
        if call.purpose == "result":
            return self._team.script(f"This is {call.task}.", **options)
        has_tools = '"tool_calls"' in str(call.body["response_format"]) or "- weather:" in call.text
        reply = self._steps.pop(0) if self._steps else None
        if reply is None or (reply.startswith("{") and has_tools != ("tool_calls" in reply)):
            reply = write_plan() if has_tools else write_plan_without_tools()
        return self._team.script(reply, **options)


def script_run(upstream: FakeUpstream, run: dict[str, Any]) -> Team:
    """Scripts the upstream for one run."""
    team = Team(upstream)
    team.plans = [team.script(plan, usage=run["usage"]) for plan in run["plans"]]
    if run["answer"] is not None:
        FAILURES[run["answer"]](team.answer)
    for name, work in run["work"].items():
        task = Work(team, work, run["usage"])
        team.choices["step", name] = team.choices["result", name] = task.choose
    team.choices["step", ""] = lambda call: team.script(write_plan() if "- weather:" in call.text else "no plan")
    return team


def build_request(run: dict[str, Any]) -> completion_pb2.CompleteRequest:
    """Builds the request of one run, which has a tool of the caller's own."""
    return orchestration_request(
        agent=run["agent"], tools=[OWN_TOOL], parallel_tool_calls=False if run["one_at_a_time"] else None
    )


@PROPERTY
@given(run=runs)
async def test_every_run_follows_the_grammar(
    upstream: FakeUpstream, running: RunningServer, run: dict[str, Any]
) -> None:
    """Whatever is planned, fails and pauses, the events keep what is promised, and `Complete` returns their fold."""
    request = build_request(run)
    script_run(upstream, run)

    events, failure = await collect_until_failure(running, request)

    grammar = check_task_grammar(events, ended_well=failure is None)
    if failure is None:
        folded = await fold(events)
        script_run(upstream, run)
        answer = await running.client().complete(request)
        assert {task.id for task in folded.tasks} <= {task.id for plan in folded.plans for task in plan.tasks}
        assert answer.route_decision == folded.route_decision
        assert [part.text for part in answer.message.content] == [part.text for part in folded.message.content]
        await go_on(running, request, folded.message, grammar)


async def go_on(
    running: RunningServer, request: completion_pb2.CompleteRequest, message: messages_pb2.Message, before: TaskGrammar
) -> None:
    """Goes on with a run as often as it pauses, and checks the events of all requests."""
    while before.has_paused:
        request = continue_request(request, message, "Ada")
        events, failure = await collect_until_failure(running, request)
        before = check_task_grammar(events, ended_well=failure is None, before=before)
        if failure is not None:
            return
        message = (await fold(events)).message


@PROPERTY
@given(run=runs, leaves_at=st.integers(0, 60))
async def test_every_run_may_be_cancelled(
    upstream: FakeUpstream, running: RunningServer, run: dict[str, Any], leaves_at: int
) -> None:
    """A caller who leaves at any event has seen events that keep what is promised, and nothing stays in progress."""
    script_run(upstream, run)
    events: list[events_pb2.StreamCompleteResponse] = []

    with contextlib.suppress(CallFailed):
        async with aclosing(running.client().stream(build_request(run))) as call:
            async for event in call:
                events.append(event)
                if event.sequence == leaves_at:
                    break

    check_task_grammar(events, ended_well=list_kinds(events)[-1:] == ["completed"])
    await upstream.idle()


@settings(PROPERTY, max_examples=30)
@given(run=runs, seconds=st.floats(0.05, 1.5))
async def test_every_run_may_have_a_deadline(
    upstream: FakeUpstream, running: RunningServer, run: dict[str, Any], seconds: float
) -> None:
    """At any deadline the events keep what is promised, whether the answer came in time or not."""
    script_run(upstream, run)

    events, failure = await collect_until_failure(running, build_request(run), timeout_seconds=seconds)

    check_task_grammar(events, ended_well=failure is None)
    await upstream.idle()
