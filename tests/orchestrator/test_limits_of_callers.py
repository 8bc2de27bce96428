"""An orchestration is one call of its caller and of the server, and all that it costs counts against the caller."""

from typing import Any

import grpc

from tests.support.agent import agent_config
from tests.support.limits import bearer, limited_caller, read_limits
from tests.support.orchestration import Team, name_outcomes, orchestration_request, plan_task
from tests.support.serving import serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure

_NANO_USD: int = 10**9


async def test_tasks_that_run_together_are_one_call(upstream: FakeUpstream) -> None:
    """They run where the caller may have one call in flight and the server serves one, and the caller pays for all."""
    caller = limited_caller(calls_in_flight=1, requests_per_minute=1, nano_usd_per_day=_NANO_USD)
    config = agent_config(upstream, callers={"alice": caller}, max_retries=0, max_calls_in_flight=1)
    team = Team(upstream, plan_task("a"), plan_task("b"), plan_task("c", "a", "b"))

    async with serving(config) as running:
        stub: Any = running.stub
        call = stub.Complete(orchestration_request(), metadata=bearer("alice"))
        answer = await call
        left = read_limits(await call.trailing_metadata())

    assert name_outcomes(answer.tasks) == [("t1", "DONE"), ("t2", "DONE"), ("t3", "DONE")]
    assert len(answer.model_calls) == len(team.calls) == 8
    assert answer.cost.total_nano_usd > 0
    assert round((left["limit-usd"] - left["remaining-usd"]) * _NANO_USD) == answer.cost.total_nano_usd
    assert (left["remaining-requests"], left["remaining-calls"]) == (0, 1)


async def test_a_prompt_above_a_whole_limit_is_refused_before_its_plan(upstream: FakeUpstream) -> None:
    """No upstream hears of it."""
    caller = limited_caller(tokens_per_minute=10)
    team = Team(upstream, plan_task("a"))

    async with serving(agent_config(upstream, callers={"alice": caller})) as running:
        stub: Any = running.stub
        refused = await expect_failure(stub.Complete(orchestration_request(), metadata=bearer("alice")))

    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert not team.calls
