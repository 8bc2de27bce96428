"""Who may choose orchestration: the classifier, rules, metadata, the default mode, and callers."""

from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, OrchestrationUse, RuleCondition, RuleEntry, hash_token
from reasoning_grpc.domain import Prices, RoutingMode
from reasoning_grpc.v1 import completion_pb2, routing_pb2
from tests.support.agent import agent_config, reasoning_request
from tests.support.classification import write_choice
from tests.support.factories import a_wire_request
from tests.support.orchestration import Team, orchestration_request, plan_task
from tests.support.routing import AUTO, TOOLS, mode_field
from tests.support.serving import judging_config, model_entry, serving
from tests.support.upstream import FakeUpstream

ORCHESTRATION: Final = routing_pb2.ROUTING_MODE_ORCHESTRATION


@pytest.mark.parametrize("use", OrchestrationUse)
async def test_the_classifier_may_choose_it_where_it_is_offered(
    upstream: FakeUpstream, judge: FakeUpstream, use: OrchestrationUse
) -> None:
    """Only with `offered` the route is among those of the classifier, and a request that it routes so is served."""
    judge.reply(write_choice("orchestration" if use is OrchestrationUse.OFFERED else "passthrough"))
    Team(upstream, plan_task("a"))
    config = judging_config(upstream, judge)
    config = replace(config, settings=replace(config.settings, orchestration=use))

    async with serving(config) as running:
        answer = await running.client().complete(a_wire_request(**mode_field(AUTO)))

    decision = answer.route_decision
    is_offered = use is OrchestrationUse.OFFERED
    assert ("orchestration" in decision.classification.routes) == is_offered
    assert (decision.mode == ORCHESTRATION) == is_offered
    assert bool(answer.tasks) == is_offered


async def test_the_callers_tools_keep_it_from_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """AUTO does not lead a request with tools of its own to agents, and the decision says so."""
    config = judging_config(upstream, judge)
    rule = RuleEntry(id="all", when=RuleCondition(min_messages=1), route="auto")
    settings = replace(config.settings, orchestration=OrchestrationUse.OFFERED)

    async with serving(replace(config, settings=settings, rules=(rule,))) as running:
        answer = await running.client().complete(a_wire_request(**TOOLS))

    rejected = {each.route: each.cause for each in answer.route_decision.rejected_routes}
    assert rejected["orchestration"] == routing_pb2.ROUTE_REJECTION_CAUSE_CALLER_TOOLS


@pytest.mark.parametrize("chosen_by", ["metadata", "default", "rule"])
async def test_it_may_be_chosen_without_the_request(upstream: FakeUpstream, chosen_by: str) -> None:
    """Metadata, the default mode and rules may choose the mode."""
    Team(upstream, plan_task("a"))
    settings: dict[str, Any] = {"default_mode": RoutingMode.ORCHESTRATION} if chosen_by == "default" else {}
    config = agent_config(upstream, **settings)
    if chosen_by == "rule":
        rule = RuleEntry(id="all", when=RuleCondition(min_messages=1), route="orchestration")
        config = replace(config, rules=(rule,))

    async with serving(config) as running:
        metadata = (("x-routing-mode", "orchestration"),) if chosen_by == "metadata" else ()
        stub: Any = running.stub
        answer = await stub.Complete(a_wire_request(), metadata=metadata)

    assert answer.route_decision.mode == ORCHESTRATION
    assert [task.id for task in answer.tasks] == ["t1"]


async def test_a_caller_needs_the_route(upstream: FakeUpstream) -> None:
    """A caller that may not take the route is refused before any model is called."""
    caller = CallerEntry(name="alice", token_hash=hash_token("token"), allowed_routes=frozenset({"passthrough"}))

    async with serving(agent_config(upstream, callers={"alice": caller})) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client(token="token").complete(orchestration_request())

    assert failed.value.reason == "ROUTE_NOT_ALLOWED"
    assert upstream.connections == 0


async def test_a_cost_limit_needs_prices(upstream: FakeUpstream) -> None:
    """A limit of the cost is refused for a model whose prices are not known, before any model is called."""
    entry = model_entry(upstream.api_base, prices=Prices())

    async with serving(agent_config(upstream, entry=entry)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(orchestration_request(agent={"max_cost_nano_usd": 5}))

    assert failed.value.reason == "UNSUPPORTED_PARAMETER"
    assert upstream.connections == 0


async def test_the_agent_has_no_use_for_a_number_of_tasks(upstream: FakeUpstream) -> None:
    """On the path REASONING, `agent.max_tasks` is reported as not used."""
    async with serving(agent_config(upstream)) as running:
        answer = await running.client().complete(reasoning_request(agent={"max_tasks": 3}))

    settings = {each.field: each.cause for each in answer.effective_settings}
    assert settings["agent.max_tasks"] == completion_pb2.EFFECTIVE_SETTING_CAUSE_NOT_USED
