"""How a request is routed, and that every method tells the same: rules, the request, metadata, the default."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.config import CallerEntry, PartKind, RouteEntry, RuleCondition, RuleEntry, hash_token
from reasoning_grpc.domain import RoutingMode, RoutingPreference
from reasoning_grpc.v1 import classification_pb2, completion_pb2, messages_pb2, routing_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream

PASSTHROUGH: Final = routing_pb2.ROUTING_MODE_PASSTHROUGH
REASONING: Final = routing_pb2.ROUTING_MODE_REASONING
ORCHESTRATION: Final = routing_pb2.ROUTING_MODE_ORCHESTRATION
AUTO: Final = routing_pb2.ROUTING_MODE_AUTO

TOOLS: Final[dict[str, Any]] = {"tools": [completion_pb2.Tool(name="f")]}
JSON_OBJECT: Final[dict[str, Any]] = {
    "response_format": completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat())
}
JSON_SCHEMA: Final[dict[str, Any]] = {
    "response_format": completion_pb2.ResponseFormat(json_schema=completion_pb2.JsonSchemaFormat(name="a", schema="{}"))
}
TEXT: Final[dict[str, Any]] = {"response_format": completion_pb2.ResponseFormat(text=completion_pb2.TextFormat())}


def mode(value: Any) -> dict[str, Any]:
    """The field of a request that asks for a mode."""
    return {"routing": routing_pb2.RoutingOptions(mode=value)}


def by_default(taken: Any = PASSTHROUGH) -> routing_pb2.RouteDecision:
    """The decision when nothing else decides."""
    return decision(taken, routing_pb2.ROUTE_SOURCE_DEFAULT, "Nothing else decided; this is the default.")


def by_request(taken: Any = PASSTHROUGH) -> routing_pb2.RouteDecision:
    """The decision of the request's own field."""
    return decision(taken, routing_pb2.ROUTE_SOURCE_REQUEST, "The request asks for this mode.")


def by_metadata(taken: Any = PASSTHROUGH) -> routing_pb2.RouteDecision:
    """The decision of the call's metadata."""
    return decision(taken, routing_pb2.ROUTE_SOURCE_METADATA, "The call's metadata asks for this mode.")


def by_tools(asked: Any = 0) -> routing_pb2.RouteDecision:
    """The decision of the shipped rule on the caller's tools."""
    reason = "The request brings its own tools, which only the caller can run."
    return decision(PASSTHROUGH, routing_pb2.ROUTE_SOURCE_RULE, reason, rule_id="caller-tools", requested_mode=asked)


def by_format(asked: Any = 0) -> routing_pb2.RouteDecision:
    """The decision of the shipped rule on response formats."""
    reason = "The request asks for a response format."
    return decision(PASSTHROUGH, routing_pb2.ROUTE_SOURCE_RULE, reason, rule_id="response-format", requested_mode=asked)


def decision(taken: Any, source: Any, reason: str, **fields: Any) -> routing_pb2.RouteDecision:
    """A decision for the model "fake"."""
    name = routing_pb2.RoutingMode.Name(taken).removeprefix("ROUTING_MODE_").lower()
    return routing_pb2.RouteDecision(route=name, mode=taken, model="fake", source=source, reason=reason, **fields)


@dataclass(frozen=True)
class Answered:
    """The decision, as each method told it."""

    complete: routing_pb2.RouteDecision
    stream: routing_pb2.RouteDecision
    classify: routing_pb2.RouteDecision
    classify_by_rules: routing_pb2.RouteDecision


def metadata_of(asked: str | None) -> tuple[tuple[str, str], ...]:
    """The metadata that asks for a mode."""
    return () if asked is None else (("x-routing-mode", asked),)


def a_classification(*, rules_only: bool = False, **fields: Any) -> classification_pb2.ClassifyRequest:
    """A request for the decision alone."""
    return classification_pb2.ClassifyRequest(request=a_wire_request(**fields), rules_only=rules_only)


async def answered(running: RunningServer, asked: str | None, **fields: Any) -> Answered:
    """Asks every method the same."""
    stub: Any = running.stub
    metadata = metadata_of(asked)
    classify = await stub.Classify(a_classification(**fields), metadata=metadata)
    by_rules = await stub.Classify(a_classification(rules_only=True, **fields), metadata=metadata)
    complete = await stub.Complete(a_wire_request(**fields), metadata=metadata)
    events = [event async for event in stub.StreamComplete(a_stream_request(**fields), metadata=metadata)]
    return Answered(
        complete=complete.route_decision,
        stream=events[0].started.route_decision,
        classify=classify.route_decision,
        classify_by_rules=by_rules.route_decision,
    )


def completing(running: RunningServer, asked: str | None, **fields: Any) -> tuple[Any, ...]:
    """Calls of both methods that answer."""
    stub: Any = running.stub
    metadata = metadata_of(asked)
    return (
        stub.Complete(a_wire_request(**fields), metadata=metadata),
        stub.StreamComplete(a_stream_request(**fields), metadata=metadata).read(),
    )


def classifying(running: RunningServer, asked: str | None, **fields: Any) -> tuple[Any, ...]:
    """Calls for the decision alone, in both ways."""
    stub: Any = running.stub
    metadata = metadata_of(asked)
    return tuple(
        stub.Classify(a_classification(rules_only=rules_only, **fields), metadata=metadata)
        for rules_only in (False, True)
    )


async def failures_of(calls: tuple[Any, ...]) -> list[CallFailed]:
    """How each of the calls is refused."""
    failures: list[CallFailed] = []
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        failures.append(CallFailed(failed.value))
    return failures


async def refused(running: RunningServer, asked: str | None, **fields: Any) -> list[CallFailed]:
    """Asks every method the same; how each refuses."""
    return await failures_of(
        (*completing(running, asked, **fields), *classifying(running, asked, **fields)),
    )


SERVED = [
    pytest.param({}, None, by_default(), id="nothing asked"),
    pytest.param({}, "", by_default(), id="empty metadata"),
    pytest.param(mode(PASSTHROUGH), None, by_request(), id="request"),
    pytest.param(mode(PASSTHROUGH), "reasoning", by_request(), id="request before metadata"),
    pytest.param(mode(PASSTHROUGH), "auto", by_request(), id="request before auto in metadata"),
    pytest.param({}, "passthrough", by_metadata(), id="metadata"),
    pytest.param({}, " PassThrough ", by_metadata(), id="metadata in any case"),
    pytest.param(TEXT, None, by_default(), id="text is no format"),
    pytest.param(TOOLS, None, by_tools(), id="tools"),
    pytest.param(TOOLS, "passthrough", by_tools(), id="tools, and passthrough in metadata"),
    pytest.param({**TOOLS, **mode(PASSTHROUGH)}, None, by_tools(), id="tools, and passthrough"),
    pytest.param({**TOOLS, **mode(AUTO)}, None, by_tools(AUTO), id="tools before auto"),
    pytest.param({**TOOLS, **mode(AUTO)}, "reasoning", by_tools(AUTO), id="tools before auto and metadata"),
    pytest.param(TOOLS, "reasoning", by_tools(REASONING), id="tools before reasoning in metadata"),
    pytest.param(TOOLS, "orchestration", by_tools(ORCHESTRATION), id="tools before orchestration in metadata"),
    pytest.param(TOOLS, "auto", by_tools(AUTO), id="tools before auto in metadata"),
    pytest.param(JSON_OBJECT, None, by_format(), id="JSON object"),
    pytest.param(JSON_SCHEMA, None, by_format(), id="JSON schema"),
    pytest.param({**JSON_SCHEMA, **mode(PASSTHROUGH)}, None, by_format(), id="format, and passthrough"),
    pytest.param({**JSON_SCHEMA, **mode(AUTO)}, None, by_format(AUTO), id="format before auto"),
    pytest.param(JSON_SCHEMA, "reasoning", by_format(REASONING), id="format before reasoning in metadata"),
    pytest.param({**TOOLS, **JSON_SCHEMA}, None, by_tools(), id="tools before format"),
]


@pytest.mark.parametrize(("fields", "asked", "expected"), SERVED)
async def test_every_method_tells_the_same_decision(
    upstream: FakeUpstream,
    running_server: RunningServer,
    fields: dict[str, Any],
    asked: str | None,
    expected: routing_pb2.RouteDecision,
) -> None:
    """What `Classify` says is what `Complete` and `started` say; only those two reach the upstream."""
    told = await answered(running_server, asked, **fields)

    assert told == Answered(expected, expected, expected, expected)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("fields", "asked_by"),
    [({}, "request"), ({}, "metadata"), ({}, "default"), (JSON_SCHEMA, "request")],
    ids=["request", "metadata", "default", "request, with a format"],
)
async def test_every_method_tells_the_same_decision_for_reasoning(
    upstream: FakeUpstream, fields: dict[str, Any], asked_by: str
) -> None:
    """The agent is asked by the same code; a format does not keep it from being."""
    asked = "reasoning" if asked_by == "metadata" else None
    settings = {"default_mode": RoutingMode.REASONING} if asked_by == "default" else {}
    fields = {**fields, **(mode(REASONING) if asked_by == "request" else {})}
    expected = {"request": by_request, "metadata": by_metadata, "default": by_default}[asked_by](REASONING)

    async with serving_upstream(upstream, **settings) as running:
        told = await answered(running, asked, **fields)

    assert told == Answered(expected, expected, expected, expected)


async def test_the_decision_names_the_model_asked_for(upstream: FakeUpstream) -> None:
    """The model is the one that the request names, in the decision and on the wire."""
    models = (model_entry(upstream.api_base), model_entry(upstream.api_base, "other"))

    async with serving(config_for(*models)) as running:
        told = await answered(running, None, model="other")

    assert {told.complete.model, told.stream.model, told.classify.model} == {"other"}
    assert {request.body["model"] for request in upstream.requests} == {"other"}


NOT_SERVED = [
    pytest.param(wanted, asked_by, id=f"{asked_by} asks for {name}")
    for name, wanted in {"orchestration": ORCHESTRATION}.items()
    for asked_by in ("request", "metadata", "default")
]


@pytest.mark.parametrize(("wanted", "asked_by"), NOT_SERVED)
async def test_a_mode_that_is_not_served_is_unimplemented(
    upstream: FakeUpstream, wanted: routing_pb2.RoutingMode.ValueType, asked_by: str
) -> None:
    """Whoever asks for it, every method answers ROUTE_NOT_IMPLEMENTED with the decision in the details."""
    name = routing_pb2.RoutingMode.Name(wanted).removeprefix("ROUTING_MODE_")
    fields = mode(wanted) if asked_by == "request" else {}
    asked = name.lower() if asked_by == "metadata" else None
    settings = {"default_mode": RoutingMode(name)} if asked_by == "default" else {}
    expected = {"request": by_request, "metadata": by_metadata, "default": by_default}[asked_by](wanted)

    async with serving_upstream(upstream, **settings) as running:
        failures = await refused(running, asked, **fields)

    for failed in failures:
        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert failed.reason == "ROUTE_NOT_IMPLEMENTED"
        assert failed.message == f'This build does not serve the route "{name.lower()}".'
        assert failed.metadata == {"route": name.lower()}
        assert failed.route_decision == expected
        assert failed.retry_after_seconds is None
        assert failed.interruption is None
    assert upstream.connections == 0


async def test_the_server_default_yields_to_the_request(upstream: FakeUpstream) -> None:
    """A default mode of AUTO does not stand in the way of who asks for another."""
    async with serving_upstream(upstream, default_mode=RoutingMode.AUTO) as running:
        by_field = await answered(running, None, **mode(PASSTHROUGH))
        by_header = await answered(running, "passthrough")
        by_rule = await answered(running, None, **TOOLS)

    assert by_field.complete == by_request()
    assert by_header.complete == by_metadata()
    assert by_rule.complete == by_tools()


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        pytest.param(JSON_SCHEMA, ORCHESTRATION, id="format and orchestration"),
        pytest.param(TOOLS, ORCHESTRATION, id="tools and orchestration"),
    ],
)
async def test_an_explicit_mode_is_not_silently_overridden(
    upstream: FakeUpstream, running_server: RunningServer, fields: dict[str, Any], wanted: Any
) -> None:
    """A shipped rule lets a mode pass that the request asks for by its field, though it is not served yet."""
    failures = await refused(running_server, None, **fields, **mode(wanted))

    for failed in failures:
        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert failed.reason == "ROUTE_NOT_IMPLEMENTED"
        assert failed.route_decision == by_request(wanted)
    assert upstream.connections == 0


@pytest.mark.parametrize("asked", [None, "passthrough"], ids=["no metadata", "metadata"])
async def test_reasoning_with_the_callers_tools_is_a_contradiction(
    upstream: FakeUpstream, running_server: RunningServer, asked: str | None
) -> None:
    """The agent cannot run them, so the request is refused and told which field to change."""
    failures = await refused(running_server, asked, **TOOLS, **mode(REASONING))

    for failed in failures:
        assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
        assert failed.reason == "INVALID_FIELD"
        assert failed.violations == (
            FieldViolation(
                "routing.mode",
                "The reasoning agent cannot run the caller's own tools; leave out `tools`, or the mode.",
            ),
        )
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        pytest.param("fast", {}, id="unknown"),
        pytest.param("unspecified", {}, id="unspecified"),
        pytest.param("ROUTING_MODE_REASONING", {}, id="the name in the proto"),
        pytest.param("passthrough, reasoning", {}, id="two"),
        pytest.param("x" * 4000, {}, id="long"),
        pytest.param("fast", mode(PASSTHROUGH), id="unknown beside a field"),
        pytest.param("fast", TOOLS, id="unknown beside a rule"),
    ],
)
async def test_an_unknown_mode_in_metadata_is_invalid(
    upstream: FakeUpstream, running_server: RunningServer, asked: str, fields: dict[str, Any]
) -> None:
    """It is never ignored, even where something else would have decided."""
    failures = await refused(running_server, asked, **fields)

    for failed in failures:
        assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
        assert failed.reason == "INVALID_FIELD"
        assert failed.violations == (
            FieldViolation("metadata.x-routing-mode", "It must be one of passthrough, reasoning, orchestration, auto."),
        )
    assert upstream.connections == 0


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
async def routed(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with routes, rules and callers of its own, and three models; the first is the default one."""
    config = config_for(
        *(model_entry(upstream.api_base, name) for name in ("fake", "big", "small")),
        callers={"narrow": NARROW, "billing": BILLING},
    )
    async with serving(replace(config, routes=ROUTES, rules=RULES)) as running:
        yield running


async def decided(
    running: RunningServer, token: str = "billing", metadata: Any = (), **fields: Any
) -> routing_pb2.RouteDecision:
    """The decision, which `Classify` and `Complete` must tell alike."""
    stub: Any = running.stub
    metadata = (("authorization", f"Bearer {token}"), *metadata)
    request = a_wire_request(**fields)
    classified = await stub.Classify(classification_pb2.ClassifyRequest(request=request), metadata=metadata)
    taken: routing_pb2.RouteDecision = classified.route_decision
    completed = await stub.Complete(request, metadata=metadata)
    assert completed.route_decision == taken
    assert completed.model == taken.model
    return taken


def route(name: str, **fields: Any) -> dict[str, Any]:
    """The field of a request that asks for a route."""
    return {"routing": routing_pb2.RoutingOptions(route=name, **fields)}


@pytest.mark.parametrize(
    ("fields", "taken", "model"),
    [
        pytest.param(route("careful"), "careful", "big", id="the route's model"),
        pytest.param(route("careful", preference=COST), "careful", "small", id="the model for a preference"),
        pytest.param(route("careful", preference=QUALITY), "careful", "big", id="no model for a preference"),
        pytest.param(route("careful") | {"model": "fake"}, "careful", "fake", id="the model asked for"),
        pytest.param(route("passthrough"), "passthrough", "fake", id="a built-in route"),
    ],
)
async def test_a_route_that_is_asked_for(routed: RunningServer, fields: dict[str, Any], taken: str, model: str) -> None:
    """It is taken, with its model unless the request names one."""
    decision = await decided(routed, **fields)

    assert (decision.route, decision.mode, decision.model) == (taken, PASSTHROUGH, model)
    assert (decision.source, decision.rule_id) == (routing_pb2.ROUTE_SOURCE_REQUEST, "")


@pytest.mark.parametrize(
    ("fields", "metadata", "rule", "taken", "model"),
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
async def test_an_operators_rule(
    routed: RunningServer, fields: dict[str, Any], metadata: Any, rule: str, taken: str, model: str
) -> None:
    """What a request shows decides, whatever model and mode it asks for, and the decision says so."""
    plain = await decided(routed, metadata=metadata, **fields)
    asking = await decided(routed, metadata=metadata, **fields, **mode(REASONING))
    naming = await decided(routed, metadata=metadata, **fields, **route("research"))

    assert (plain.source, plain.rule_id) == (routing_pb2.ROUTE_SOURCE_RULE, rule)
    assert (plain.route, plain.model, plain.requested_mode, plain.requested_route) == (taken, model, 0, "")
    assert (asking.rule_id, asking.route, asking.requested_mode) == (rule, taken, REASONING)
    assert (naming.rule_id, naming.requested_mode, naming.requested_route) == (rule, REASONING, "research")


async def test_a_rule_that_does_not_match_decides_nothing(routed: RunningServer) -> None:
    """Each condition must hold: another label, too short a text, another model."""
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"labels": {"tier": "paid"}}, ()),
        ({}, (("x-tier", "gold"),)),
        ({"model": "fake"}, ()),
    ]

    decisions = [await decided(routed, metadata=metadata, **fields) for fields, metadata in cases]

    assert [decision.source for decision in decisions] == [routing_pb2.ROUTE_SOURCE_DEFAULT] * 3


async def test_the_first_rule_that_matches_decides(routed: RunningServer) -> None:
    """Rules are tried in their order, the operator's before the shipped ones."""
    both = await decided(routed, metadata=(("x-tier", "gold"),), text="long", labels={"tier": "free"}, **TOOLS)
    shipped = await decided(routed, labels={"tier": "paid"}, **TOOLS)

    assert (both.rule_id, shipped.rule_id) == ("free", "caller-tools")


@pytest.mark.parametrize(
    ("fields", "rule", "taken"),
    [
        pytest.param({"model": "big"}, "ours", "reasoning", id="a caller's rule"),
        pytest.param(route("research"), "", "research", id="a route of the agent"),
    ],
)
async def test_a_route_of_the_agent(routed: RunningServer, fields: dict[str, Any], rule: str, taken: str) -> None:
    """It is taken by rules and by name like any other."""
    decision = await decided(routed, **fields)

    assert (decision.rule_id, decision.route, decision.mode) == (rule, taken, REASONING)


async def test_a_model_that_a_rule_changed_is_an_effective_setting(routed: RunningServer) -> None:
    """`started` tells which model was asked for, and which one answers."""
    request = a_wire_request(labels={"tier": "free"}, model="big")
    events = [event async for event in routed.client(token="billing").stream(request)]

    (setting,) = events[0].started.effective_settings
    assert (setting.field, setting.requested, setting.effective) == ("model", "big", "small")


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        pytest.param(route("nowhere"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", id="unknown"),
        pytest.param(route("auto"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", id="auto is no route"),
        pytest.param(route("x" * 65), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", id="long"),
        pytest.param(route("research") | TOOLS, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", id="contradiction"),
        pytest.param(route("seen"), grpc.StatusCode.PERMISSION_DENIED, "ROUTE_NOT_ALLOWED", id="not this caller's"),
        pytest.param(mode(REASONING), grpc.StatusCode.PERMISSION_DENIED, "ROUTE_NOT_ALLOWED", id="nor this mode"),
    ],
)
async def test_a_route_that_is_refused(
    upstream: FakeUpstream, routed: RunningServer, fields: dict[str, Any], code: grpc.StatusCode, reason: str
) -> None:
    """Unknown routes and contradictions name the field; a route that the caller may not take names the route."""
    with pytest.raises(CallFailed) as failed:
        await routed.client(token="narrow").complete(a_wire_request(**fields))

    assert (failed.value.code, failed.value.reason) == (code, reason)
    if reason == "INVALID_FIELD":
        assert [violation.field for violation in failed.value.violations] == ["routing.route"]
    else:
        assert failed.value.metadata["route"] in {"seen", "reasoning"}
    assert upstream.requests == []
