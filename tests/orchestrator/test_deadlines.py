"""Orchestration with a deadline: it stops its tasks early enough to answer from what is done."""

import asyncio
import json
import subprocess
import sys

import pytest

from tests.support.agent import Events, agent_config, collect_until_failure, find_finish, join_text, name_end
from tests.support.deadline_runs import RUNS
from tests.support.deadlines import try_deadlines
from tests.support.orchestration import Team, list_tasks, orchestration_request, plan_task
from tests.support.serving import serving
from tests.support.task_grammar import check_task_grammar
from tests.support.upstream import FakeUpstream, Standing


@pytest.mark.process
def test_two_hundred_random_deadlines_are_kept() -> None:
    """Whatever the plan, the pace of the model and the deadline, the answer comes in time, and nothing goes on then.

    The runs have a process of their own, in which time is virtual, so that a busy machine delays none of them.
    """
    command = [sys.executable, "-m", "tests.support.virtual_time"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stderr
    left = json.loads(finished.stdout)
    assert len(left) == RUNS
    assert min(left) > 0


@pytest.mark.slow
async def test_the_answer_comes_within_the_callers_deadline(upstream: FakeUpstream) -> None:
    """A real client has its answer before its deadline, from what is done, and the tasks that were not say so."""
    team = Team(upstream, plan_task("a"), plan_task("b", "a"), plan_task("c", "b"), plan_task("d", "c"))
    hanging = team.script("never")
    hanging.hang()
    hangs = asyncio.Event()

    def hang(_: object) -> Standing:
        hangs.set()
        return hanging

    team.choices["result", "b"] = hang

    async def answer_in_time(seconds: float) -> Events | None:
        upstream.forget()
        hangs.clear()
        async with serving(agent_config(upstream)) as running:
            events, failure = await collect_until_failure(running, orchestration_request(), timeout_seconds=seconds)
        return events if failure is None and hangs.is_set() else None

    events = await try_deadlines(answer_in_time, least_seconds=8.0)

    check_task_grammar(events, ended_well=True)
    assert join_text(events) == "The answer."
    assert name_end(find_finish([event for event in events if not event.task])) == "DEADLINE"
    outcomes = {task.id: task.outcome for task in list_tasks(events)}
    assert outcomes == {"t1": 1, "t2": 4, "t3": 3, "t4": 3}
    assert "never" not in join_text(events)
    await upstream.disconnect()
