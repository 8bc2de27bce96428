"""Routes and rules of the operator: which of them a request gets, and with which model."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, PartKind, RouteEntry, RuleCondition, RuleEntry, hash_token
from reasoning_grpc.domain import RoutingMode, RoutingPreference
from reasoning_grpc.v1 import classification_pb2, messages_pb2, routing_pb2
from tests.support.factories import a_wire_request
from tests.support.routing import JSON_OBJECT, PASSTHROUGH, REASONING, TOOLS, mode_field, route_field
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

RULES: Final = (
    RuleEntry(
        id="free",
        when=RuleCondition(labels={"tier": "free"}),
        route="passthrough",
        model="small",
        preference=RoutingPreference.COST,
    ),
    RuleEntry(id="pictures", when=RuleCondition(parts=frozenset({PartKind.IMAGE})), route="seen"),
    RuleEntry(id="gold", when=RuleCondition(metadata={"x-tier": "gold"}, min_characters=4), route="careful"),
    RuleEntry(id="ours", when=RuleCondition(callers=frozenset({"billing"}), models=("b*",)), route="reasoning"),
)
ROUTES: Final = {
    "seen": RouteEntry(name="seen", mode=RoutingMode.PASSTHROUGH, description="Pictures.", model="big"),
    "careful": RouteEntry(
        name="careful",
        mode=RoutingMode.PASSTHROUGH,
        description="What must be right.",
        model="big",
        preferred_models={RoutingPreference.COST: "small"},
    ),
    "research": RouteEntry(name="research", mode=RoutingMode.REASONING, description="Many steps.", model="big"),
    "passthrough": RouteEntry(name="passthrough", mode=RoutingMode.PASSTHROUGH, description=""),
}
NARROW: Final = CallerEntry(
    name="narrow", token_hash=hash_token("narrow"), allowed_routes=frozenset({"passthrough", "careful"})
)
BILLING: Final = CallerEntry(name="billing", token_hash=hash_token("billing"))
PICTURE: Final = messages_pb2.Part(media=messages_pb2.Media(mime_type="image/png", data=b"x"))
COST: Final = routing_pb2.ROUTING_PREFERENCE_COST
QUALITY: Final = routing_pb2.ROUTING_PREFERENCE_QUALITY


@pytest.fixture
async def routing_server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Starts a server with routes, rules, callers and three models, the first of which is the default."""
    config = config_for(
        *(model_entry(upstream.api_base, name) for name in ("fake", "big", "small")),
        callers={"narrow": NARROW, "billing": BILLING},
    )
    async with serving(replace(config, routes=ROUTES, rules=RULES)) as running:
        yield running


async def decide(
    running: RunningServer, token: str = "billing", metadata: Any = (), **fields: Any
) -> routing_pb2.RouteDecision:
    """Returns the decision of `Classify`, and checks that `Complete` has the same."""
    stub: Any = running.stub
    metadata = (("authorization", f"Bearer {token}"), *metadata)
    request = a_wire_request(**fields)
    classified = await stub.Classify(classification_pb2.ClassifyRequest(request=request), metadata=metadata)
    decision: routing_pb2.RouteDecision = classified.route_decision
    completed = await stub.Complete(request, metadata=metadata)
    assert completed.route_decision == decision
    assert completed.model == decision.model
    return decision


@pytest.mark.parametrize(
    ("fields", "expected_route", "model"),
    [
        pytest.param(route_field("careful"), "careful", "big", id="the route's model"),
        pytest.param(route_field("careful", preference=COST), "careful", "small", id="the model for a preference"),
        pytest.param(route_field("careful", preference=QUALITY), "careful", "big", id="no model for a preference"),
        pytest.param(route_field("careful") | {"model": "fake"}, "careful", "fake", id="the requested model"),
        pytest.param(route_field("passthrough"), "passthrough", "fake", id="a built-in route"),
    ],
)
async def test_a_requested_route_is_used(
    routing_server: RunningServer, fields: dict[str, Any], expected_route: str, model: str
) -> None:
    """A requested route is used, with its model unless the request names one."""
    decision = await decide(routing_server, **fields)

    assert (decision.route, decision.mode, decision.model) == (expected_route, PASSTHROUGH, model)
    assert (decision.source, decision.rule_id) == (routing_pb2.ROUTE_SOURCE_REQUEST, "")


@pytest.mark.parametrize(
    ("fields", "metadata", "rule", "expected_route", "model"),
    [
        pytest.param({"labels": {"tier": "free"}}, (), "free", "passthrough", "small", id="labels"),
        pytest.param(
            {"labels": {"tier": "free"}, "model": "big"}, (), "free", "passthrough", "small", id="a model of its own"
        ),
        pytest.param(
            {"messages": [messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[PICTURE])]},
            (),
            "pictures",
            "seen",
            "big",
            id="parts",
        ),
        pytest.param({"text": "long"}, (("x-tier", "gold"),), "gold", "careful", "big", id="metadata and length"),
    ],
)
async def test_a_rule_decides_by_the_request(
    routing_server: RunningServer, fields: dict[str, Any], metadata: Any, rule: str, expected_route: str, model: str
) -> None:
    """A matching rule decides, whatever model and mode the request names, and the decision has what was requested."""
    plain = await decide(routing_server, metadata=metadata, **fields)
    with_mode = await decide(routing_server, metadata=metadata, **fields, **mode_field(REASONING))
    with_route = await decide(routing_server, metadata=metadata, **fields, **route_field("research"))

    assert (plain.source, plain.rule_id) == (routing_pb2.ROUTE_SOURCE_RULE, rule)
    assert (plain.route, plain.model, plain.requested_mode, plain.requested_route) == (expected_route, model, 0, "")
    assert (with_mode.rule_id, with_mode.route, with_mode.requested_mode) == (rule, expected_route, REASONING)
    assert (with_route.rule_id, with_route.requested_mode, with_route.requested_route) == (rule, REASONING, "research")


async def test_every_condition_of_a_rule_must_hold(routing_server: RunningServer) -> None:
    """A rule does not decide where one of its conditions does not hold."""
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"labels": {"tier": "paid"}}, ()),
        ({}, (("x-tier", "gold"),)),
        ({"model": "fake"}, ()),
    ]

    decisions = [await decide(routing_server, metadata=metadata, **fields) for fields, metadata in cases]

    assert [decision.source for decision in decisions] == [routing_pb2.ROUTE_SOURCE_DEFAULT] * 3


async def test_the_first_rule_that_matches_decides(routing_server: RunningServer) -> None:
    """Rules are tried in their order, those of the operator before the shipped ones."""
    both = await decide(routing_server, metadata=(("x-tier", "gold"),), text="long", labels={"tier": "free"}, **TOOLS)
    shipped = await decide(routing_server, labels={"tier": "paid"}, **TOOLS)

    assert (both.rule_id, shipped.rule_id) == ("free", "caller-tools")


@pytest.mark.parametrize(
    ("fields", "rule", "expected_route"),
    [
        pytest.param({"model": "big"}, "ours", "reasoning", id="a caller's rule"),
        pytest.param(route_field("research"), "", "research", id="a route of the agent"),
    ],
)
async def test_a_route_of_the_agent_is_used(
    routing_server: RunningServer, fields: dict[str, Any], rule: str, expected_route: str
) -> None:
    """A route of the agent can be chosen by a rule and by name."""
    decision = await decide(routing_server, **fields)

    assert (decision.rule_id, decision.route, decision.mode) == (rule, expected_route, REASONING)


@pytest.mark.parametrize(
    ("name", "fields", "mode", "model"),
    [
        pytest.param("careful", TOOLS, PASSTHROUGH, "big", id="an own route with tools"),
        pytest.param("careful", JSON_OBJECT, PASSTHROUGH, "big", id="an own route with a format"),
        pytest.param("careful", TOOLS | JSON_OBJECT, PASSTHROUGH, "big", id="an own route with both"),
        pytest.param("passthrough", TOOLS, PASSTHROUGH, "fake", id="a built-in route"),
        pytest.param("research", JSON_OBJECT, REASONING, "big", id="a route of the agent"),
        pytest.param("research", TOOLS, REASONING, "big", id="a route of the agent with tools"),
    ],
)
async def test_a_named_route_wins_over_the_built_in_rules(
    routing_server: RunningServer, name: str, fields: dict[str, Any], mode: Any, model: str
) -> None:
    """A request that names a route keeps it, and its model, although it has tools or a response format."""
    decision = await decide(routing_server, **fields, **route_field(name))

    assert (decision.route, decision.mode, decision.model) == (name, mode, model)
    assert (decision.source, decision.rule_id) == (routing_pb2.ROUTE_SOURCE_REQUEST, "")
    assert (decision.requested_mode, decision.requested_route) == (0, "")


async def test_an_operators_rule_wins_over_a_named_route(routing_server: RunningServer) -> None:
    """A rule of the operator decides before the built-in rules, also for a request that names a route."""
    decision = await decide(routing_server, labels={"tier": "free"}, **TOOLS, **route_field("careful"))

    assert (decision.rule_id, decision.route, decision.requested_route) == ("free", "passthrough", "careful")


async def test_a_model_that_a_rule_changed_is_an_effective_setting(routing_server: RunningServer) -> None:
    """`started` has the requested model and the one that answers instead because of a rule."""
    request = a_wire_request(labels={"tier": "free"}, model="big")
    events = [event async for event in routing_server.client(token="billing").stream(request)]

    (setting,) = events[0].started.effective_settings
    assert (setting.field, setting.requested, setting.effective) == ("model", "big", "small")


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        pytest.param(route_field("nowhere"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", id="unknown"),
        pytest.param(route_field("auto"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", id="auto is no route"),
        pytest.param(route_field("x" * 65), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", id="long"),
        pytest.param(
            route_field("seen"), grpc.StatusCode.PERMISSION_DENIED, "ROUTE_NOT_ALLOWED", id="not this caller's"
        ),
        pytest.param(mode_field(REASONING), grpc.StatusCode.PERMISSION_DENIED, "ROUTE_NOT_ALLOWED", id="nor this mode"),
    ],
)
async def test_a_route_can_be_refused(
    upstream: FakeUpstream, routing_server: RunningServer, fields: dict[str, Any], code: grpc.StatusCode, reason: str
) -> None:
    """An unknown route names the field; a route that the caller may not use names the route."""
    with pytest.raises(CallFailed) as failed:
        await routing_server.client(token="narrow").complete(a_wire_request(**fields))

    assert (failed.value.code, failed.value.reason) == (code, reason)
    if reason == "INVALID_FIELD":
        assert [violation.field for violation in failed.value.violations] == ["routing.route"]
    else:
        assert failed.value.metadata["route"] in {"seen", "reasoning"}
    assert upstream.requests == []
