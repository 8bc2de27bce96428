"""Tasks wait for the results of the caller's own tools, and the run goes on with the next request."""

from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.agent import AgentLimits, Speeds
from reasoning_grpc.client import CallFailed, fold
from reasoning_grpc.config import Config, RouteEntry
from reasoning_grpc.domain import RoutingMode, RoutingPreference, Sampling, read_clock
from reasoning_grpc.orchestrator.run_time import RunTime
from reasoning_grpc.v1 import completion_pb2, events_pb2, routing_pb2
from tests.support.agent import (
    PRICES,
    agent_config,
    build_usage,
    collect_events,
    drop_times_and_ids,
    find_finish,
    join_text,
    list_executions,
    list_kinds,
    name_end,
    name_status,
    plan_call,
    select_payloads,
    write_plan,
)
from tests.support.factories import a_context
from tests.support.orchestration import Call, Team, list_tasks, name_outcomes, orchestration_request, plan_task
from tests.support.pausing import (
    NO,
    OWN_TOOL,
    YES,
    continue_request,
    find_pause,
    list_calls,
    with_approval,
    with_pause_keys,
)
from tests.support.serving import RunningServer, model_entry, serving
from tests.support.task_grammar import TaskGrammar, check_task_grammar
from tests.support.upstream import FakeUpstream, Standing

LOOKUP: Final = [OWN_TOOL.name]
LOOKUP_7: Final = plan_call("lookup", id="7")
Events = list[events_pb2.StreamCompleteResponse]


def request_with_own_tools(**fields: Any) -> completion_pb2.CompleteRequest:
    """Builds a request for orchestration that brings a tool of its own."""
    return orchestration_request(**{"tools": [OWN_TOOL], **fields})


def script_steps(team: Team, task: str, *plans: str, **options: Any) -> None:
    """Scripts the steps of a task, which then is ready."""
    steps = [team.script(plan, **options) for plan in plans]
    ready = team.script(write_plan(), **options)

    def choose(_call: Call) -> Standing:
        return steps.pop(0) if steps else ready

    team.choices["step", task] = choose


async def go_through(running: RunningServer, request: completion_pb2.CompleteRequest, *results: Any) -> list[Events]:
    """Makes the request, and goes on with each of the results; returns the events of all requests."""
    all_events, grammar = list[Events](), None
    for result in (None, *results):
        if result is not None:
            request = continue_request(request, (await fold(all_events[-1])).message, result)
        all_events.append(await collect_events(running, request))
        grammar = check_task_grammar(all_events[-1], ended_well=True, before=grammar)
    assert isinstance(grammar, TaskGrammar)
    return all_events


async def test_tasks_wait_for_the_caller_and_go_on(upstream: FakeUpstream) -> None:
    """Tasks that need the caller are suspended while others go on; the next request brings the results of all."""
    team = Team(
        upstream,
        plan_task("a", tools=LOOKUP),
        plan_task("b", tools=LOOKUP),
        plan_task("c", "a", "b"),
        plan_task("d"),
    )
    for name, id_ in (("a", "7"), ("b", "8")):
        script_steps(team, name, write_plan(plan_call("lookup", id=id_)))

    async with serving(agent_config(upstream)) as running:
        first, second = await go_through(running, request_with_own_tools(), "Ada Lovelace")

    answer = await fold(first)
    assert sorted(name_outcomes(list_tasks(first))) == [("t1", "SUSPENDED"), ("t2", "SUSPENDED"), ("t4", "DONE")]
    assert answer.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
    assert list_calls(answer.message) == [("lookup", '{"id": "7"}'), ("lookup", '{"id": "8"}')]
    assert list(find_pause(answer.message).approval_call_ids) == []
    assert [name_end(end) for end in select_payloads(first, "reasoning_finished")][-1] == "PAUSED"
    assert sorted(name_outcomes(list_tasks(second))) == [("t1", "DONE"), ("t2", "DONE"), ("t3", "DONE")]
    assert select_payloads(second, "plan_created") == select_payloads(first, "plan_created")
    numbers = {task.id: task.number for events in (first, second) for task in list_tasks(events)}
    assert sorted(numbers.values()) == [1, 2, 3, 4]
    assert {task.number for task in list_tasks(first)} == {numbers[id_] for id_ in ("t1", "t2", "t4")}
    assert join_text(second) == "The answer."
    asked = {(call.purpose, call.task): call.text for call in team.calls}
    assert "Ada Lovelace" in asked["step", "a"]
    assert all(f'"task": "t{number}"' in asked["answer", ""] for number in (1, 2, 3, 4))
    assert team.count("plan") == 1


async def test_complete_is_the_fold_of_a_pause(upstream: FakeUpstream) -> None:
    """`Complete` returns the fold of what `StreamComplete` sends, for a pause and for the request that goes on."""
    request = request_with_own_tools()
    answers: list[dict[str, Any]] = []

    async with serving(agent_config(upstream)) as running:
        for is_streamed in (True, False):
            team = Team(upstream, plan_task("a", tools=LOOKUP), plan_task("b", "a"))
            script_steps(team, "a", write_plan(LOOKUP_7))
            again = request
            for _ in range(2):
                if is_streamed:
                    answer = await fold(await collect_events(running, again))
                else:
                    answer = await running.client().complete(again)
                if answer.message.content[-1].HasField("paused_run"):
                    again = continue_request(request, answer.message, "Ada")
                    answer.message.content[-1].paused_run.Clear()
                answers.append(drop_times_and_ids(answer))

    streamed, whole = answers[:2], answers[2:]
    assert streamed == whole
    assert [task["outcome"] for task in whole[0]["tasks"]] == ["TASK_OUTCOME_SUSPENDED"]
    assert [task["outcome"] for task in whole[1]["tasks"]] == ["TASK_OUTCOME_DONE"] * 2


async def test_calls_of_one_task_at_a_time(upstream: FakeUpstream) -> None:
    """A caller that takes no parallel calls gets those of one task in each answer."""
    team = Team(upstream, plan_task("a", tools=LOOKUP), plan_task("b", tools=LOOKUP))
    for name, id_ in (("a", "7"), ("b", "8")):
        script_steps(team, name, write_plan(plan_call("lookup", id=id_)))

    async with serving(agent_config(upstream)) as running:
        all_events = await go_through(running, request_with_own_tools(parallel_tool_calls=False), "Ada", "Bob")

    calls = [list_calls((await fold(events)).message) for events in all_events]
    assert sorted(calls) == [[], [("lookup", '{"id": "7"}')], [("lookup", '{"id": "8"}')]]
    assert sorted(name_outcomes(list_tasks(all_events[0]))) == [("t1", "SUSPENDED"), ("t2", "SUSPENDED")]
    assert [len(list_tasks(events)) for events in all_events[1:]] == [1, 1]
    assert join_text(all_events[2]) == "The answer."


@pytest.mark.parametrize(("says", "status"), [(YES, "OK"), (NO, "NOT_APPROVED")], ids=["yes", "no"])
async def test_a_task_waits_for_an_approval(upstream: FakeUpstream, says: str, status: str) -> None:
    """A server's tool that needs approval suspends its task; the caller's answer says whether it runs."""
    team = Team(upstream, plan_task("a", tools=["weather"]), plan_task("b", "a"))
    script_steps(team, "a", write_plan(plan_call("weather", city="Paris")))

    async with serving(with_approval(agent_config(upstream), "weather")) as running:
        first, second = await go_through(running, orchestration_request(), says)

    answer = await fold(first)
    (call,) = [part.tool_call for part in answer.message.content if part.HasField("tool_call")]
    assert list(find_pause(answer.message).approval_call_ids) == [call.id]
    assert list_executions(first) == []
    (execution,) = list_executions(second)
    assert (execution.call_id, name_status(execution)) == (call.id, status)
    assert name_outcomes(list_tasks(second)) == [("t1", "DONE"), ("t2", "DONE")]


async def test_usage_and_cost_equal_the_upstreams_over_all_requests(upstream: FakeUpstream) -> None:
    """Each request reports what it used itself; the ends of tasks and of the thinking report the whole run."""
    team = Team(upstream, plan_task("a", tools=LOOKUP), plan_task("b"))
    script_steps(team, "a", write_plan(LOOKUP_7), usage=build_usage(200, 20))

    async with serving(agent_config(upstream)) as running:
        first, second = await go_through(running, request_with_own_tools(), "Ada")

    # Every other call uses 10 + 3 tokens: the plan, both results, the step of "b" and the answer.
    ends = [events[-1].completed for events in (first, second)]
    assert [end.usage.total_tokens for end in ends] == [13 + 220 + 13 + 13, 220 + 13 + 13]
    assert sum(end.cost.total_nano_usd for end in ends) == (2 * 200 + 5 * 10) * 1000 + (2 * 20 + 5 * 3) * 2000
    by_id = {task.id: task for events in (first, second) for task in list_tasks(events)}
    assert by_id["t1"].usage.total_tokens == 220 + 220 + 13
    assert by_id["t1"].cost.total_nano_usd == (2 * 200 + 10) * 1000 + (2 * 20 + 3) * 2000
    finish = select_payloads(second, "reasoning_finished")[-1]
    assert finish.usage.total_tokens == sum(end.usage.total_tokens for end in ends) - 13
    assert (finish.step_count, finish.tool_call_count) == (3, 1)


@pytest.mark.parametrize(
    ("limits", "end"),
    [
        pytest.param({"max_steps": 2}, "MAX_STEPS", id="steps"),
        pytest.param({"max_tool_calls": 1}, "MAX_TOOL_CALLS", id="tool calls"),
        pytest.param({"max_tokens": 3000}, "TOKEN_BUDGET", id="tokens"),
        pytest.param({"max_cost_nano_usd": 2_400_000}, "COST_BUDGET", id="cost"),
    ],
)
async def test_the_budgets_hold_for_all_requests(upstream: FakeUpstream, limits: dict[str, int], end: str) -> None:
    """A run that goes on has only what the requests before have left of its budgets, in steps, calls, tokens, cost."""
    team = Team(upstream, plan_task("a", tools=["lookup", "weather"]))
    weather = [write_plan(plan_call("weather", city=city)) for city in ("Rome", "Oslo", "Bonn")]
    script_steps(team, "a", write_plan(LOOKUP_7), *weather, usage=build_usage(700, 100))

    async with serving(agent_config(upstream)) as running:
        first, second = await go_through(running, request_with_own_tools(agent=limits), "Ada")

    whole = select_payloads(second, "reasoning_finished")[-1]
    assert name_outcomes(list_tasks(first)) == [("t1", "SUSPENDED")]
    assert name_outcomes(list_tasks(second)) == [("t1", "STOPPED")]
    assert name_end(whole) == end
    assert whole.step_count <= limits.get("max_steps", 4)
    assert whole.tool_call_count <= limits.get("max_tool_calls", 4)


async def test_the_time_of_all_requests_is_reported(upstream: FakeUpstream) -> None:
    """The end of the thinking reports the time of all requests, without the pause between them."""
    team = Team(upstream, plan_task("a", tools=LOOKUP), plan_task("b", "a"))
    script_steps(team, "a", write_plan(LOOKUP_7))

    async with serving(agent_config(upstream)) as running:
        first, second = await go_through(running, request_with_own_tools(), "Ada")

    ends = [select_payloads(events, "reasoning_finished")[-1] for events in (first, second)]
    assert ends[0].duration.ToNanoseconds() < ends[1].duration.ToNanoseconds()
    assert ends[1].duration.ToMilliseconds() <= sum(events[-1].elapsed_ms for events in (first, second))


async def test_a_run_without_time_left_has_no_time_when_it_goes_on() -> None:
    """What the requests before have taken is no longer there for tasks."""
    limits, context = AgentLimits(timeout_seconds=10.0), a_context(deadline=read_clock() + 60.0)
    times = [RunTime(Speeds(), "fake", context, limits, Sampling(), seconds_before=before) for before in (4.0, 10.0)]

    assert 5.0 < times[0].remaining_seconds() <= 6.0
    assert times[1].remaining_seconds() == 0.0
    assert times[1].elapsed_seconds() >= 10.0


async def test_what_needs_a_failed_task_is_planned_after_the_pause(upstream: FakeUpstream) -> None:
    """A run that waits decides on what a failed task keeps back only when it goes on, by the written rule."""
    team = Team(upstream, plan_task("a", tools=LOOKUP), plan_task("b"), plan_task("c", "b"))
    script_steps(team, "a", write_plan(LOOKUP_7))
    team.plans.append(team.script(_write_second_plan()))
    failing = team.fail(400)
    team.choices["step", "b"] = lambda _call: failing

    async with serving(agent_config(upstream, max_retries=0)) as running:
        first, second = await go_through(running, request_with_own_tools(), "Ada")

    assert sorted(name_outcomes(list_tasks(first))) == [("t1", "SUSPENDED"), ("t2", "FAILED")]
    assert [plan.revision for plan in select_payloads(second, "plan_created")] == [1, 2]
    assert name_outcomes(list_tasks(second)) == [("t1", "DONE"), ("t4", "DONE")]
    assert "failed" in next(call.text for call in team.calls if call.purpose == "answer")


def _write_second_plan() -> str:
    return '{"tasks": [{"name": "e", "goal": "Find e.", "needs": ["t1"], "tools": []}]}'


async def test_the_agent_instead_of_tasks_pauses_too(upstream: FakeUpstream) -> None:
    """Without a plan that can be used, the reasoning agent waits for the caller; both requests say who answers."""
    team = Team(upstream)
    team.plans = [team.script("no plan")]
    script_steps(team, "", write_plan(LOOKUP_7))

    async with serving(agent_config(upstream)) as running:
        first, second = await go_through(running, request_with_own_tools(), "Ada Lovelace")

    for events in (first, second):
        (changed,) = select_payloads(events, "route_changed")
        assert changed.route_decision.mode == routing_pb2.ROUTING_MODE_REASONING
    assert name_end(find_finish(first)) == "PAUSED"
    assert name_end(find_finish(second)) == "FINISHED"
    assert list_kinds(second).count("step_finished") == 2
    assert team.count("plan") == 2  # the plan and its repair, in the first request
    assert "Ada Lovelace" in next(call.text for call in team.calls if call.purpose == "answer")


async def test_a_state_that_is_too_large_does_not_pause(upstream: FakeUpstream) -> None:
    """When results and waiting tasks are together too large, the answer does without the calls, and says so."""
    team = Team(upstream, plan_task("a", tools=LOOKUP), plan_task("b"), plan_task("c", "a"))
    script_steps(team, "a", write_plan(LOOKUP_7))
    long = team.script("word " * 3900)
    team.choices["result", "b"] = lambda _call: long

    async with serving(agent_config(upstream, max_pause_state_bytes=16 * 1024)) as running:
        (events,) = await go_through(running, request_with_own_tools())

    assert sorted(name_outcomes(list_tasks(events))) == [("t1", "SUSPENDED"), ("t2", "DONE"), ("t3", "SKIPPED")]
    assert name_end(select_payloads(events, "reasoning_finished")[-1]) == "STATE_TOO_LARGE"
    assert join_text(events) == "The answer."
    assert '"outcome": "suspended"' in next(call.text for call in team.calls if call.purpose == "answer")


def add_tiers(config: Config, upstream: FakeUpstream) -> Config:
    """Adds a route with tiers of models for tasks."""
    other = model_entry(upstream.api_base, "other", prices=PRICES)
    model = next(iter(config.models))
    route = RouteEntry(
        name="team",
        mode=RoutingMode.ORCHESTRATION,
        model=model,
        description="Requests for several agents.",
        preferred_models={RoutingPreference.QUALITY: model, RoutingPreference.COST: "other"},
    )
    return replace(config, models={**config.models, "other": other}, routes={**config.routes, "team": route})


async def test_another_process_goes_on_unless_its_models_differ(upstream: FakeUpstream) -> None:
    """A process with the same key goes on; where the model of a task is gone, the state is refused and stays usable."""
    task = {**plan_task("a", tools=LOOKUP), "model": "cost"}
    team = Team(upstream, task)
    script_steps(team, "a", write_plan(LOOKUP_7))
    config = with_pause_keys(agent_config(upstream), "k")
    request = request_with_own_tools()
    request.routing.CopyFrom(routing_pb2.RoutingOptions(route="team"))

    async with serving(add_tiers(config, upstream)) as running:
        paused = await running.client().complete(request)
    more = continue_request(request, paused.message, "Ada")
    changed = add_tiers(config, upstream)
    team_route = changed.routes["team"]
    changed = replace(changed, routes={**changed.routes, "team": replace(team_route, preferred_models={})})
    async with serving(changed) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(more)
    async with serving(add_tiers(config, upstream)) as running:
        answer = await running.client().complete(more)

    assert failed.value.reason == "INVALID_FIELD"
    assert "the run cannot go on" in failed.value.violations[0].description
    assert answer.message.content[0].text == "The answer."
    assert [task.model for task in answer.tasks] == ["other"]


async def test_own_tools_are_offered_to_the_planner_unless_forbidden(upstream: FakeUpstream) -> None:
    """The planner sees the caller's own tools beside the server's; with the choice NONE, nobody does."""
    team = Team(upstream, plan_task("a"))
    none = completion_pb2.ToolChoice(mode=completion_pb2.TOOL_CHOICE_MODE_NONE)

    async with serving(agent_config(upstream)) as running:
        for fields in ({}, {"tool_choice": none}):
            await running.client().complete(request_with_own_tools(**fields))
        taken = request_with_own_tools(tools=[completion_pb2.Tool(name="weather")])
        with pytest.raises(CallFailed) as same_name:
            await running.client().complete(taken)

    plans = [call.text for call in team.calls if call.purpose == "plan"]
    assert ["- lookup:" in text for text in plans] == [True, False]
    assert same_name.value.violations[0].field == "tools[0].name"
