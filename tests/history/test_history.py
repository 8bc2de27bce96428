"""Mixed calls through a real server under random faults: what clients saw, the upstream's ledger and the log agree."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.history.checker import find_violations
from tests.history.plan import CallPlan, Turn, plan_call
from tests.history.sampling import Sample, serving_sampled_rounds

CALLS = 300
CONCURRENCY = 24
SEED = 16
HURRIED_CALLS = 1500
"""So many that some clients leave in the very moment in which the server sends the status of their call."""


def draw_hurried_call(seed: int, number: int) -> CallPlan:
    """Draws a call whose deadline passes while it begins, or soon after."""
    deadline = Random(f"{seed} hurry {number}").uniform(0.001, 0.03)
    plan = plan_call(seed, number)
    return replace(plan, deadline_seconds=deadline, cancel_after_events=None, cancel_after_seconds=None)


def check_growth(before: Sample, after: Sample, concurrency: int) -> None:
    """Checks what the server holds while it still serves: it may keep a connection for each of the calls at once."""
    assert after.tasks <= before.tasks + concurrency
    assert after.descriptors <= before.descriptors + concurrency


@pytest.mark.process
async def test_histories_of_random_faults_have_no_violation(tmp_path: Path) -> None:
    """Whatever the upstream does and whenever clients leave, each answer is exact and each failure truthful.

    The calls do not let the number of tasks and of descriptors grow with their number.
    """
    async with serving_sampled_rounds(tmp_path) as (rounds, sampler):
        before = await sampler.sample()
        history = await rounds.run(SEED, range(CALLS), concurrency=CONCURRENCY)
        after = await sampler.sample()
        await rounds.stop()

    violations = find_violations(history)
    assert not violations, "\n".join(map(str, violations))
    check_growth(before, after, CONCURRENCY)
    assert {call.plan.turn for call in history.calls if call.has_paused} == {Turn.FIRST}
    assert {call.plan.turn for call in history.calls if call.paused} >= {Turn.CONTINUATION}


@pytest.mark.process
async def test_clients_that_leave_at_any_moment_are_no_error(tmp_path: Path) -> None:
    """However early a deadline passes, the log has no error and no traceback, and each call is accounted for.

    The calls do not let the number of tasks and of descriptors grow with their number.
    """
    async with serving_sampled_rounds(tmp_path) as (rounds, sampler):
        before = await sampler.sample()
        history = await rounds.run(SEED, range(HURRIED_CALLS), concurrency=2 * CONCURRENCY, draw_call=draw_hurried_call)
        after = await sampler.sample()
        await rounds.stop()

    violations = find_violations(history)
    assert not violations, "\n".join(map(str, violations))
    check_growth(before, after, 2 * CONCURRENCY)
