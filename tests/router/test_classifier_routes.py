"""The routes among which the classifier chooses, and the requests for which it is called."""

from dataclasses import replace
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, RuleCondition, RuleEntry, hash_token
from reasoning_grpc.domain import RoutingMode
from reasoning_grpc.v1 import completion_pb2, routing_pb2
from tests.support.classification import (
    AUTO,
    CALLERS,
    CLASSIFIER,
    PASSTHROUGH,
    REASONING,
    ROUTES,
    add_big_model,
    build_schema,
    classify,
    read_prompt,
    write_choice,
)
from tests.support.factories import a_wire_request
from tests.support.serving import judging_config, serving
from tests.support.upstream import FakeUpstream


@pytest.mark.parametrize("requested_by", ["metadata", "default", "rule"])
async def test_each_way_to_request_auto(upstream: FakeUpstream, judge: FakeUpstream, requested_by: str) -> None:
    """Metadata, the default mode and a rule can request AUTO; the decision names the rule and the overridden mode."""
    judge.reply(write_choice("careful"))
    rule = RuleEntry(id="ask", when=RuleCondition(labels={"a": "b"}), route="auto")
    metadata = (("x-routing-mode", "auto"),) if requested_by == "metadata" else ()
    mode = RoutingMode.AUTO if requested_by == "default" else RoutingMode.PASSTHROUGH
    fields: dict[str, Any] = (
        {"labels": {"a": "b"}, "routing": routing_pb2.RoutingOptions(mode=REASONING)} if requested_by == "rule" else {}
    )

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, rules=(rule,)), upstream)
    async with serving(replace(config, settings=replace(config.settings, default_mode=mode))) as running:
        decision = await classify(running, metadata=metadata, **fields)

    assert (decision.route, decision.mode, decision.model) == ("careful", PASSTHROUGH, "big")
    assert (decision.source, decision.rule_id) == (CLASSIFIER, "ask" if requested_by == "rule" else "")
    assert decision.requested_mode == (REASONING if requested_by == "rule" else 0)


async def test_a_requested_model_is_kept(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The model of a route applies only to requests that name no model."""
    judge.reply(write_choice("careful"))

    async with serving(add_big_model(judging_config(upstream, judge, routes=ROUTES), upstream)) as running:
        decision = await classify(running, model="fake", **AUTO)

    assert (decision.route, decision.model) == ("careful", "fake")


async def test_the_classifier_chooses_among_allowed_routes(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A route that the caller may not use is neither in the schema, nor in the prompt, nor in the decision."""
    judge.reply(write_choice("careful"))

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS), upstream)
    async with serving(config) as running:
        decision = await classify(running, "thinking", **AUTO)

    schema = judge.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema == build_schema("reasoning", "careful")
    assert "- research:" not in read_prompt(judge.requests[0])[0]
    assert list(decision.classification.routes) == ["reasoning", "careful"]
    assert [each.route for each in decision.rejected_routes] == ["reasoning"]


async def test_a_single_route_needs_no_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """The classifier is not called where the caller may use one route only."""
    async with serving(judging_config(upstream, judge, routes=ROUTES, callers=CALLERS)) as running:
        decision = await classify(running, "plain", **AUTO)

    assert decision == routing_pb2.RouteDecision(
        route="passthrough",
        mode=PASSTHROUGH,
        model="fake",
        source=routing_pb2.ROUTE_SOURCE_REQUEST,
        reason="It is the only route that this request may take.",
    )
    assert judge.requests == []


async def test_a_route_with_a_forbidden_model_is_left_out(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A route whose model the caller may not use is left out; where no route remains, the refusal names the model."""
    token = {name: hash_token(name) for name in ("one", "none")}
    callers = {
        "one": CallerEntry(name="one", token_hash=token["one"], allowed_models=frozenset({"fake"})),
        "none": CallerEntry(name="none", token_hash=token["none"], allowed_models=frozenset({"judge"})),
    }
    judge.reply(write_choice("research"))

    async with serving(add_big_model(judging_config(upstream, judge, callers=callers), upstream)) as running:
        decision = await classify(running, "one", **AUTO)
        with pytest.raises(CallFailed) as failed:
            await running.client(token="none").complete(a_wire_request(**AUTO))

    assert list(decision.classification.routes) == ["passthrough", "reasoning", "research"]
    assert (failed.value.reason, failed.value.metadata) == ("MODEL_NOT_ALLOWED", {"model": "fake"})
    assert len(judge.requests) == 1


async def test_a_caller_without_a_route_is_refused(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A caller that may use only routes which cannot be served is refused before the classifier is called."""
    async with serving(judging_config(upstream, judge, callers=CALLERS)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client(token="nothing").complete(a_wire_request(**AUTO))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROUTE_NOT_ALLOWED")
    assert failed.value.metadata == {"route": "auto"}
    assert judge.requests == []


async def test_routes_of_the_agent_are_left_out_for_the_callers_tools(
    upstream: FakeUpstream, judge: FakeUpstream
) -> None:
    """For a request with tools, the classifier chooses among the routes that can use them."""
    judge.reply(write_choice("careful"))
    rule = RuleEntry(id="ask", when=RuleCondition(has_tools=True), route="auto")

    config = add_big_model(judging_config(upstream, judge, routes=ROUTES, rules=(rule,)), upstream)
    async with serving(config) as running:
        decision = await classify(running, tools=[completion_pb2.Tool(name="f")])

    assert list(decision.classification.routes) == ["passthrough", "careful"]
    caller_tools = (
        routing_pb2.ROUTE_REJECTION_CAUSE_CALLER_TOOLS,
        "The agent gets the caller's own tools only by a request or a rule for it.",
    )
    assert {(each.route, each.cause, each.reason) for each in decision.rejected_routes} == {
        ("reasoning", *caller_tools),
        ("research", *caller_tools),
        ("passthrough", routing_pb2.ROUTE_REJECTION_CAUSE_NOT_CHOSEN, "The classifier chose another."),
    }


@pytest.mark.parametrize("fields", [{"model": "nobody"}, {"fallback_models": ["nobody"]}], ids=["model", "fallback"])
async def test_an_unknown_model_is_refused_before_the_classifier(
    upstream: FakeUpstream, judge: FakeUpstream, fields: dict[str, Any]
) -> None:
    """A request for an unknown model is refused before the classifier is called."""
    async with serving(judging_config(upstream, judge)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(**AUTO, **fields))

    assert (failed.value.reason, failed.value.metadata["model"]) == ("MODEL_NOT_FOUND", "nobody")
    assert judge.requests == []


async def test_rules_only_names_the_classifier(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """With `rules_only`, the decision names the classifier's model and the routes without a call."""
    async with serving(judging_config(upstream, judge, routes=ROUTES)) as running:
        decision = await classify(running, rules_only=True, **AUTO)

    assert decision == routing_pb2.RouteDecision(
        route="auto",
        mode=routing_pb2.ROUTING_MODE_AUTO,
        source=routing_pb2.ROUTE_SOURCE_REQUEST,
        reason="The request asks for this mode.",
        classification=routing_pb2.Classification(
            model="judge", routes=["passthrough", "reasoning", "careful", "research"], skipped=True
        ),
    )
    assert judge.requests == []
