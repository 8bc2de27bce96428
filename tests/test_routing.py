"""How a request is routed, and that every method tells the same: rules, the request, metadata, the default."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.router import Router
from reasoning_grpc.router.rules import SHIPPED_RULES, Rule
from reasoning_grpc.types import RouteSource, RoutingMode, RoutingOptions, Tool
from reasoning_grpc.v1 import classification_pb2, completion_pb2, routing_pb2
from tests.support.factories import a_context, a_request, a_stream_request, a_wire_request
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
    return decision(PASSTHROUGH, routing_pb2.ROUTE_SOURCE_RULE, reason, rule_id="caller-tools", asked_mode=asked)


def by_format(asked: Any = 0) -> routing_pb2.RouteDecision:
    """The decision of the shipped rule on response formats."""
    reason = "The request asks for a response format."
    return decision(PASSTHROUGH, routing_pb2.ROUTE_SOURCE_RULE, reason, rule_id="response-format", asked_mode=asked)


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
    return Answered(complete.route, events[0].started.route, classify.route, by_rules.route)


async def refused(running: RunningServer, asked: str | None, **fields: Any) -> AsyncIterator[CallFailed]:
    """Asks every method the same; how each refuses."""
    stub: Any = running.stub
    metadata = metadata_of(asked)
    for call in (
        stub.Complete(a_wire_request(**fields), metadata=metadata),
        stub.StreamComplete(a_stream_request(**fields), metadata=metadata).read(),
        stub.Classify(a_classification(**fields), metadata=metadata),
        stub.Classify(a_classification(rules_only=True, **fields), metadata=metadata),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        yield CallFailed(failed.value)


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


async def test_the_decision_names_the_model_asked_for(upstream: FakeUpstream) -> None:
    """The model is the one that the request names, in the decision and on the wire."""
    models = (model_entry(upstream.api_base), model_entry(upstream.api_base, "other"))

    async with serving(config_for(*models)) as running:
        told = await answered(running, None, model="other")

    assert {told.complete.model, told.stream.model, told.classify.model} == {"other"}
    assert {request.body["model"] for request in upstream.requests} == {"other"}


NOT_SERVED = [
    pytest.param(wanted, asked_by, id=f"{asked_by} asks for {name}")
    for name, wanted in {"reasoning": REASONING, "orchestration": ORCHESTRATION, "auto": AUTO}.items()
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
        failures = [failed async for failed in refused(running, asked, **fields)]

    for failed in failures:
        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert failed.reason == "ROUTE_NOT_IMPLEMENTED"
        assert failed.message == f'This build does not serve the route "{name.lower()}".'
        assert failed.metadata == {"route": name.lower()}
        assert failed.route == expected
        assert failed.retry_after_seconds is None
        assert failed.interruption is None
    assert upstream.connections == 0


async def test_the_server_default_yields_to_the_request(upstream: FakeUpstream) -> None:
    """A default mode that is not served does not stand in the way of who asks for another."""
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
        pytest.param(JSON_SCHEMA, REASONING, id="format and reasoning"),
        pytest.param(JSON_SCHEMA, ORCHESTRATION, id="format and orchestration"),
        pytest.param(TOOLS, ORCHESTRATION, id="tools and orchestration"),
    ],
)
async def test_an_explicit_mode_is_not_silently_overridden(
    upstream: FakeUpstream, running_server: RunningServer, fields: dict[str, Any], wanted: Any
) -> None:
    """A shipped rule lets a mode pass that the request asks for by its field, though it is not served yet."""
    failures = [failed async for failed in refused(running_server, None, **fields, **mode(wanted))]

    for failed in failures:
        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert failed.reason == "ROUTE_NOT_IMPLEMENTED"
        assert failed.route == by_request(wanted)
    assert upstream.connections == 0


@pytest.mark.parametrize("asked", [None, "passthrough"], ids=["no metadata", "metadata"])
async def test_reasoning_with_the_callers_tools_is_a_contradiction(
    upstream: FakeUpstream, running_server: RunningServer, asked: str | None
) -> None:
    """The agent cannot run them, so the request is refused and told which field to change."""
    failures = [failed async for failed in refused(running_server, asked, **TOOLS, **mode(REASONING))]

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
    failures = [failed async for failed in refused(running_server, asked, **fields)]

    for failed in failures:
        assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
        assert failed.reason == "INVALID_FIELD"
        assert failed.violations == (
            FieldViolation("metadata.x-routing-mode", "It must be one of passthrough, reasoning, orchestration, auto."),
        )
    assert upstream.connections == 0


OPERATORS_RULE: Final = Rule(
    id="cheap", applies=lambda request: request.labels.get("tier") == "free", mode=RoutingMode.PASSTHROUGH, reason="x"
)


@pytest.mark.parametrize("asked", [RoutingMode.REASONING, RoutingMode.ORCHESTRATION, RoutingMode.AUTO])
async def test_an_operators_rule_overrides_the_request_visibly(asked: RoutingMode) -> None:
    """A rule that yields to nothing takes an explicit mode's place, and the decision carries what was asked."""
    router = Router(RoutingMode.PASSTHROUGH, (OPERATORS_RULE, *SHIPPED_RULES))
    request = a_request(labels={"tier": "free"}, routing=RoutingOptions(asked))

    decided = await router.decide(request, "fake", a_context())

    assert (decided.source, decided.rule_id, decided.mode) == (RouteSource.RULE, "cheap", RoutingMode.PASSTHROUGH)
    assert decided.asked_mode is asked


async def test_the_first_rule_that_matches_decides() -> None:
    """Rules are tried in their order, and those that do not match are passed over."""
    router = Router(RoutingMode.PASSTHROUGH, (OPERATORS_RULE, *SHIPPED_RULES))
    tools = (Tool("f"),)

    first = await router.decide(a_request(labels={"tier": "free"}, tools=tools), "fake", a_context())
    second = await router.decide(a_request(labels={"tier": "paid"}, tools=tools), "fake", a_context())

    assert (first.rule_id, second.rule_id) == ("cheap", "caller-tools")
