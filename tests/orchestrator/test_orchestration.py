"""Orchestration over the whole path: a plan, its tasks, and the answer."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed, fold
from reasoning_grpc.config import RouteEntry
from reasoning_grpc.domain import RoutingMode, RoutingPreference
from reasoning_grpc.v1 import agent_pb2, completion_pb2, errors_pb2, orchestration_pb2, routing_pb2, usage_pb2
from tests.support.agent import (
    PRICES,
    agent_config,
    build_usage,
    collect_events,
    collect_until_failure,
    drop_times_and_ids,
    find_finish,
    join_text,
    list_kinds,
    name_end,
    plan_call,
    select_payloads,
    write_plan,
    write_plan_without_tools,
)
from tests.support.orchestration import (
    Team,
    list_tasks,
    name_outcomes,
    orchestration_request,
    plan_task,
    write_tasks,
)
from tests.support.serving import RunningServer, model_entry, serving
from tests.support.task_grammar import check_task_grammar
from tests.support.upstream import FakeUpstream


@pytest.fixture
async def running(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server that repeats no model call."""
    async with serving(agent_config(upstream, max_retries=0)) as server:
        yield server


async def test_tasks_are_planned_and_answered(upstream: FakeUpstream, running: RunningServer) -> None:
    """A plan of three tasks runs, the last one with the results of the others, and the answer is written from all."""
    team = Team(upstream, plan_task("a"), plan_task("b"), plan_task("c", "a", "b"))

    events = await collect_events(running, orchestration_request("What is it?"))

    check_task_grammar(events, ended_well=True)
    assert name_outcomes(list_tasks(events)) == [("t1", "DONE"), ("t2", "DONE"), ("t3", "DONE")]
    (plan,) = select_payloads(events, "plan_created")
    assert [(task.id, task.goal, list(task.depends_on)) for task in plan.tasks] == [
        ("t1", "Find a.", []),
        ("t2", "Find b.", []),
        ("t3", "Find c.", ["t1", "t2"]),
    ]
    assert join_text(events) == "The answer."
    assert {task.result for task in list_tasks(events)} == {"It is known."}
    asked = {(call.purpose, call.task): call.text for call in team.calls}
    assert "What is it?" in asked["step", "a"]
    assert '"task": "t2"' in asked["step", "c"]
    assert "<task_results>" not in asked["step", "a"]
    assert all(f'"task": "t{number}"' in asked["answer", ""] for number in (1, 2, 3))


async def test_independent_tasks_run_at_the_same_time(upstream: FakeUpstream, running: RunningServer) -> None:
    """Independent tasks begin before the first of them ends, as many as the server allows at once."""
    Team(upstream, *(plan_task(name) for name in "abcdef"))

    events = await collect_events(running, orchestration_request())

    check_task_grammar(events, ended_well=True)
    (plan,) = select_payloads(events, "plan_created")
    kinds = [kind for kind in list_kinds(events) if kind in {"task_started", "task_finished"}]
    assert kinds[: plan.max_parallel_tasks + 1] == ["task_started"] * plan.max_parallel_tasks + ["task_finished"]
    assert len(list_tasks(events)) == 6


async def test_complete_is_the_fold_with_tasks(upstream: FakeUpstream, running: RunningServer) -> None:
    """`Complete` returns the plan and the tasks with their steps, as the client's fold of the events has them."""
    Team(upstream, plan_task("a"), plan_task("b", "a"))
    request = orchestration_request()

    events = await collect_events(running, request)
    answer = await running.client().complete(request)

    folded = await fold(events)
    assert drop_times_and_ids(answer) == drop_times_and_ids(folded)
    assert [(task.number, task.id, len(task.steps)) for task in answer.tasks] == [(1, "t1", 1), (2, "t2", 1)]
    assert all(task.reasoning_finished.step_count == 1 for task in answer.tasks)
    assert len(answer.plans) == 1
    assert not answer.steps


async def test_results_are_left_out_unless_included(upstream: FakeUpstream, running: RunningServer) -> None:
    """Without `include.task_results` no result of a task leaves, neither in its end nor as text of the answer."""
    Team(upstream, plan_task("a"))
    include = completion_pb2.IncludeOptions(model_calls=True)

    events = await collect_events(running, orchestration_request(include=include))

    assert name_outcomes(list_tasks(events)) == [("t1", "DONE")]
    assert "It is known." not in str(events)


async def test_usage_and_cost_by_task_equal_the_upstreams(upstream: FakeUpstream, running: RunningServer) -> None:
    """The tokens of each task and purpose are those that the upstream reported, and the costs follow from them."""
    team = Team(upstream, plan_task("a"), plan_task("b"), plan_task("c", "a"))
    sizes = iter(range(1, 100))
    reported = Counter[tuple[str, str]]()

    def reply(text: str) -> Any:
        def choose(call: Any) -> Any:
            size = next(sizes)
            reported[call.task, call.purpose] += 10 * size + size
            return team.script(text, usage=build_usage(10 * size, size))

        return choose

    for name in "abc":
        team.choices["step", name] = reply(write_plan_without_tools())
        team.choices["result", name] = reply("It is known.")
    team.choices["plan", ""] = reply(write_tasks(plan_task("a"), plan_task("b"), plan_task("c", "a")))
    team.choices["answer", ""] = reply("The answer.")

    answer = await running.client().complete(orchestration_request())

    names = {0: "", **{task.number: "abc"[int(task.id[1:]) - 1] for task in answer.tasks}}
    purposes = {
        usage_pb2.MODEL_CALL_PURPOSE_PLAN: "plan",
        usage_pb2.MODEL_CALL_PURPOSE_STEP: "step",
        usage_pb2.MODEL_CALL_PURPOSE_SYNTHESIS: "result",
    }
    counted = Counter[tuple[str, str]]()
    for call in answer.model_calls:
        purpose = purposes[call.purpose]
        counted[names[call.task], "answer" if not call.task and purpose == "result" else purpose] += (
            call.usage.total_tokens
        )
    assert counted == reported
    for task in answer.tasks:
        name = names[task.number]
        assert task.usage.total_tokens == reported[name, "step"] + reported[name, "result"]
        assert PRICES.input is not None
        assert PRICES.output is not None
        expected = task.usage.input_tokens * PRICES.input + task.usage.output_tokens * PRICES.output
        assert task.cost.total_nano_usd == expected // 1_000_000
    assert answer.usage.total_tokens == sum(reported.values())
    outside = [call.usage for call in answer.model_calls if not call.task]
    tasks_cost = sum(task.cost.total_nano_usd for task in answer.tasks)
    assert answer.cost.total_nano_usd == tasks_cost + sum(
        1000 * usage.input_tokens + 2000 * usage.output_tokens for usage in outside
    )


UNUSABLE: Final = {
    "cycle": write_tasks(plan_task("a", "b"), plan_task("b", "a")),
    "unknown dependency": write_tasks(plan_task("a", "z")),
    "needs itself": write_tasks(plan_task("a", "a")),
    "forty tasks": write_tasks(*(plan_task(f"n{number}") for number in range(40))),
    "empty": write_tasks(),
    "same name": write_tasks(plan_task("a"), plan_task("a"), plan_task("b", "a")),
    "no goal": write_tasks(plan_task("a", goal=" ")),
    "no JSON": "I would rather not.",
}


@pytest.mark.parametrize("plan", UNUSABLE.values(), ids=UNUSABLE)
async def test_an_unusable_plan_is_repaired(upstream: FakeUpstream, running: RunningServer, plan: str) -> None:
    """A plan that cannot be followed is repaired by one more call, which is told what is wrong."""
    team = Team(upstream)
    team.plans = [team.script(plan), team.script(write_tasks(plan_task("a")))]

    events = await collect_events(running, orchestration_request())

    check_task_grammar(events, ended_well=True)
    assert name_outcomes(list_tasks(events)) == [("t1", "DONE")]
    assert "That answer cannot be used." in team.calls[1].text
    assert team.count("plan") == 2


@pytest.mark.parametrize("plan", UNUSABLE.values(), ids=UNUSABLE)
async def test_the_agent_answers_where_no_plan_can_be_used(
    upstream: FakeUpstream, running: RunningServer, plan: str
) -> None:
    """When the repair cannot be used either, REASONING answers, and the decision says why."""
    team = Team(upstream)
    team.plans = [team.script(plan)]
    team.step = team.script(write_plan())
    request = orchestration_request()

    events = await collect_events(running, request)

    check_task_grammar(events, ended_well=True)
    assert team.count("plan") == 2
    (changed,) = select_payloads(events, "route_changed")
    decision = changed.route_decision
    assert changed.cause == orchestration_pb2.ROUTE_CHANGE_CAUSE_PLAN_UNUSABLE
    assert (decision.route, decision.mode) == ("orchestration", routing_pb2.ROUTING_MODE_REASONING)
    assert decision.requested_mode == routing_pb2.ROUTING_MODE_ORCHESTRATION
    assert decision.reason.startswith("No plan of tasks can be used, so the reasoning agent answers. ")
    assert events[0].started.route_decision.mode == routing_pb2.ROUTING_MODE_ORCHESTRATION
    assert name_end(find_finish(events)) == "FINISHED"
    assert (await running.client().complete(request)).route_decision == decision
    assert (await fold(events)).route_decision == decision


async def test_a_failed_task_is_attempted_again(upstream: FakeUpstream, running: RunningServer) -> None:
    """A task whose model call fails by a passing failure is attempted once more, under another number."""
    team = Team(upstream, plan_task("a"), plan_task("b", "a"))
    failures = [team.fail(503)]
    team.choices["step", "a"] = lambda _: failures.pop() if failures else team.step

    events = await collect_events(running, orchestration_request())

    check_task_grammar(events, ended_well=True)
    tasks = list_tasks(events)
    assert name_outcomes(tasks) == [("t1", "FAILED"), ("t1", "DONE"), ("t2", "DONE")]
    assert [(task.number, task.attempt) for task in tasks] == [(1, 1), (2, 2), (3, 1)]
    assert tasks[0].failure == errors_pb2.ERROR_REASON_UPSTREAM_OVERLOADED
    assert select_payloads(events, "step_finished")[0].outcome == agent_pb2.STEP_OUTCOME_FAILED


async def test_what_needs_a_failed_task_is_planned_anew(upstream: FakeUpstream, running: RunningServer) -> None:
    """When a task fails twice, what needs it is planned anew once, and the new plan may need earlier results."""
    team = Team(upstream)
    first = write_tasks(plan_task("a"), plan_task("b"), plan_task("c", "a", "b"))
    team.plans = [team.script(first), team.script(write_tasks(plan_task("d", "t2")))]
    team.choices["step", "a"] = lambda _: team.fail(503)

    events = await collect_events(running, orchestration_request())

    check_task_grammar(events, ended_well=True)
    assert sorted(name_outcomes(list_tasks(events))) == [
        ("t1", "FAILED"),
        ("t1", "FAILED"),
        ("t2", "DONE"),
        ("t4", "DONE"),
    ]
    plans = select_payloads(events, "plan_created")
    assert [(plan.revision, [task.id for task in plan.tasks]) for plan in plans] == [
        (1, ["t1", "t2", "t3"]),
        (2, ["t4"]),
    ]
    assert list(plans[1].tasks[0].depends_on) == ["t2"]
    assert '"outcome": "failed"' in [call for call in team.calls if call.purpose == "plan"][1].text


@pytest.mark.parametrize("status", [500, 400])
async def test_what_needs_a_failed_task_is_skipped(upstream: FakeUpstream, running: RunningServer, status: int) -> None:
    """Without a new plan, what needs a failed task is skipped, and the answer is asked for with what is missing."""
    team = Team(upstream)
    first = write_tasks(plan_task("a"), plan_task("b", "a"), plan_task("c", "b"), plan_task("d"))
    team.plans = [team.script(first), team.script("no plan")]
    team.choices["step", "a"] = lambda _: team.fail(status)

    events = await collect_events(running, orchestration_request())

    check_task_grammar(events, ended_well=True)
    outcomes = name_outcomes(list_tasks(events))
    assert outcomes.count(("t1", "FAILED")) == (2 if status == 500 else 1)
    assert outcomes[-2:] == [("t2", "SKIPPED"), ("t3", "SKIPPED")]
    assert ("t4", "DONE") in outcomes
    assert '"outcome": "skipped"' in team.calls[-1].text
    assert join_text(events) == "The answer."
    assert len(select_payloads(events, "plan_created")) == 1


async def test_a_failure_of_the_answer_fails_the_call(upstream: FakeUpstream, running: RunningServer) -> None:
    """When the model call for the answer fails, the call fails, and its status has what the tasks used."""
    team = Team(upstream, plan_task("a"), plan_task("b"))
    team.answer = team.fail(503)

    events, failure = await collect_until_failure(running, orchestration_request())

    check_task_grammar(events, ended_well=False)
    assert failure is not None
    assert failure.reason == "UPSTREAM_OVERLOADED"
    assert failure.interruption is not None
    assert failure.interruption.usage.total_tokens == 5 * 13
    assert failure.interruption.model_call_count == 6


async def test_a_failure_of_the_plan_fails_the_call(upstream: FakeUpstream, running: RunningServer) -> None:
    """When the model call for the plan fails, the call fails, as it does on every path."""
    team = Team(upstream)
    team.plans = [team.fail(503)]

    with pytest.raises(CallFailed) as failed:
        await running.client().complete(orchestration_request())

    assert failed.value.reason == "UPSTREAM_OVERLOADED"


async def test_only_the_tools_of_a_task_are_offered_to_it(upstream: FakeUpstream, running: RunningServer) -> None:
    """A task gets the tools that its plan names, and their calls have ids that are unique in the whole answer."""
    team = Team(upstream, plan_task("a", tools=["weather"]), plan_task("b", tools=["weather"]), plan_task("c"))
    for name in "ab":
        steps = iter([write_plan(plan_call("weather", city="Paris")), write_plan()])
        team.choices["step", name] = lambda _, steps=steps: team.script(next(steps))  # type: ignore[misc]

    events = await collect_events(running, orchestration_request())

    check_task_grammar(events, ended_well=True)
    assert name_outcomes(list_tasks(events))[-1][1] == "DONE"
    asked = {call.task: call.text for call in team.calls if call.purpose == "step"}
    assert "- weather:" in asked["a"]
    assert "- weather:" not in asked["c"]
    assert len(select_payloads(events, "tool_finished")) == 2


async def test_the_budget_is_shared_by_all_tasks(upstream: FakeUpstream, running: RunningServer) -> None:
    """Steps, tool calls, tokens and cost are limited for all tasks together; what a task leaves goes to the others."""
    team = Team(upstream, *(plan_task(name) for name in "abcd"))
    team.step = team.script(write_plan_without_tools("continue"))

    events = await collect_events(running, orchestration_request(agent={"max_steps": 6}))

    check_task_grammar(events, ended_well=True)
    assert find_finish_of_all(events).step_count == 6
    steps = Counter(event.task for event in events if event.WhichOneof("kind") == "step_started")
    assert sorted(steps.values()) == [1, 1, 2, 2]
    assert {task.stop_reason for task in list_tasks(events)} == {agent_pb2.REASONING_END_MAX_STEPS}


async def test_tokens_are_limited_for_all_tasks_together(upstream: FakeUpstream, running: RunningServer) -> None:
    """No task begins when the tokens are used up, and the answer says so."""
    team = Team(upstream, *(plan_task(name) for name in "abcdef"))
    team.step = team.script(write_plan_without_tools(), usage=build_usage(900, 100))

    events = await collect_events(running, orchestration_request(agent={"max_tokens": 4000}))

    check_task_grammar(events, ended_well=True)
    assert "STOPPED" in {outcome for _, outcome in name_outcomes(list_tasks(events))}
    assert find_finish_of_all(events).usage.total_tokens < 6 * 1000
    assert name_end(find_finish_of_all(events)) == "TOKEN_BUDGET"


async def test_a_budget_without_room_for_a_plan_goes_to_the_agent(
    upstream: FakeUpstream, running: RunningServer
) -> None:
    """Where the tokens do not suffice for a plan, the agent answers, and no plan is asked for."""
    team = Team(upstream)

    events = await collect_events(running, orchestration_request(agent={"max_tokens": 5}))

    check_task_grammar(events, ended_well=True)
    (changed,) = select_payloads(events, "route_changed")
    assert changed.cause == orchestration_pb2.ROUTE_CHANGE_CAUSE_BUDGET
    assert team.count("plan") == 0


async def test_limits_of_the_server_are_reported(upstream: FakeUpstream, running: RunningServer) -> None:
    """A request for more tasks and steps than the server allows gets the server's limits, and `started` says so."""
    Team(upstream, plan_task("a"))

    events = await collect_events(running, orchestration_request(agent={"max_tasks": 50, "max_steps": 100}))

    settings = {each.field: (each.requested, each.effective) for each in events[0].started.effective_settings}
    assert settings == {"agent.max_tasks": ("50", "8"), "agent.max_steps": ("100", "32")}


async def test_tasks_choose_among_the_models_of_the_route(upstream: FakeUpstream) -> None:
    """Where the route has models for preferences, the planner gives each task one of them."""
    config = agent_config(upstream, max_retries=0)
    small = model_entry(upstream.api_base, "small", prices=PRICES)
    route = RouteEntry(
        name="team",
        mode=RoutingMode.ORCHESTRATION,
        description="Research.",
        model="fake",
        preferred_models={RoutingPreference.COST: "small"},
    )
    config = replace(config, models={**config.models, "small": small}, routes={"team": route})
    Team(upstream, {**plan_task("a"), "model": "cost"})

    async with serving(config) as running:
        request = orchestration_request()
        request.routing.CopyFrom(routing_pb2.RoutingOptions(route="team"))
        events = await collect_events(running, request)

    assert [task.model for task in list_tasks(events)] == ["small"]
    assert {call.model for call in events[-1].completed.model_calls if call.task} == {"small"}
    assert events[-1].completed.model == "fake"


def find_finish_of_all(events: Any) -> Any:
    """Returns the event that ends the thinking of all tasks."""
    (finish,) = (
        each.reasoning_finished for each in events if each.WhichOneof("kind") == "reasoning_finished" and not each.task
    )
    return finish
