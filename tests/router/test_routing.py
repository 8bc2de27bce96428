"""The routing of a request by rules, its own fields, metadata and the default, on which all methods agree."""

from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.config import OrchestrationUse
from reasoning_grpc.domain import RoutingMode
from reasoning_grpc.v1 import classification_pb2, completion_pb2, routing_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.routing import AUTO, JSON_OBJECT, ORCHESTRATION, PASSTHROUGH, REASONING, TOOLS, mode_field
from tests.support.serving import RunningServer, config_for, model_entry, serving, serving_upstream
from tests.support.upstream import FakeUpstream

JSON_SCHEMA: Final[dict[str, Any]] = {
    "response_format": completion_pb2.ResponseFormat(json_schema=completion_pb2.JsonSchemaFormat(name="a", schema="{}"))
}
TEXT: Final[dict[str, Any]] = {"response_format": completion_pb2.ResponseFormat(text=completion_pb2.TextFormat())}


def default_decision(mode: Any = PASSTHROUGH) -> routing_pb2.RouteDecision:
    """Builds the decision for a request without any preference."""
    return build_decision(
        mode, routing_pb2.ROUTE_SOURCE_DEFAULT, "The request chooses none; this is the server's default."
    )


def request_decision(mode: Any = PASSTHROUGH) -> routing_pb2.RouteDecision:
    """Builds the decision by the request's own field."""
    return build_decision(mode, routing_pb2.ROUTE_SOURCE_REQUEST, "The request asks for this mode.")


def metadata_decision(mode: Any = PASSTHROUGH) -> routing_pb2.RouteDecision:
    """Builds the decision by the metadata of the call."""
    return build_decision(mode, routing_pb2.ROUTE_SOURCE_METADATA, "The call's metadata asks for this mode.")


def tools_decision(requested: Any = 0) -> routing_pb2.RouteDecision:
    """Builds the decision by the shipped rule about tools of the caller."""
    reason = "The request brings its own tools, which only the caller can run."
    return build_decision(
        PASSTHROUGH, routing_pb2.ROUTE_SOURCE_RULE, reason, rule_id="caller-tools", requested_mode=requested
    )


def format_decision(requested: Any = 0) -> routing_pb2.RouteDecision:
    """Builds the decision by the shipped rule about response formats."""
    reason = "The request asks for a response format."
    return build_decision(
        PASSTHROUGH, routing_pb2.ROUTE_SOURCE_RULE, reason, rule_id="response-format", requested_mode=requested
    )


def build_decision(mode: Any, source: Any, reason: str, **fields: Any) -> routing_pb2.RouteDecision:
    """Builds a decision for the model "fake"."""
    name = routing_pb2.RoutingMode.Name(mode).removeprefix("ROUTING_MODE_").lower()
    return routing_pb2.RouteDecision(route=name, mode=mode, model="fake", source=source, reason=reason, **fields)


@dataclass(frozen=True)
class Decisions:
    """The decisions of all methods about one request."""

    complete: routing_pb2.RouteDecision
    stream: routing_pb2.RouteDecision
    classify: routing_pb2.RouteDecision
    classify_by_rules: routing_pb2.RouteDecision


def build_metadata(metadata_mode: str | None) -> tuple[tuple[str, str], ...]:
    """Builds the metadata that requests a mode."""
    return () if metadata_mode is None else (("x-routing-mode", metadata_mode),)


def a_classify_request(*, rules_only: bool = False, **fields: Any) -> classification_pb2.ClassifyRequest:
    """Builds a request for the decision only."""
    return classification_pb2.ClassifyRequest(request=a_wire_request(**fields), rules_only=rules_only)


async def decide_by_every_method(running: RunningServer, metadata_mode: str | None, **fields: Any) -> Decisions:
    """Calls every method with one request, and returns their decisions."""
    stub: Any = running.stub
    metadata = build_metadata(metadata_mode)
    classify = await stub.Classify(a_classify_request(**fields), metadata=metadata)
    by_rules = await stub.Classify(a_classify_request(rules_only=True, **fields), metadata=metadata)
    complete = await stub.Complete(a_wire_request(**fields), metadata=metadata)
    events = [event async for event in stub.StreamComplete(a_stream_request(**fields), metadata=metadata)]
    return Decisions(
        complete=complete.route_decision,
        stream=events[0].started.route_decision,
        classify=classify.route_decision,
        classify_by_rules=by_rules.route_decision,
    )


def start_answers(running: RunningServer, metadata_mode: str | None, **fields: Any) -> tuple[Any, ...]:
    """Calls the two methods that answer."""
    stub: Any = running.stub
    metadata = build_metadata(metadata_mode)
    return (
        stub.Complete(a_wire_request(**fields), metadata=metadata),
        stub.StreamComplete(a_stream_request(**fields), metadata=metadata).read(),
    )


def start_classifications(running: RunningServer, metadata_mode: str | None, **fields: Any) -> tuple[Any, ...]:
    """Calls `Classify` with the classifier and with rules only."""
    stub: Any = running.stub
    metadata = build_metadata(metadata_mode)
    return tuple(
        stub.Classify(a_classify_request(rules_only=rules_only, **fields), metadata=metadata)
        for rules_only in (False, True)
    )


async def collect_failures(calls: tuple[Any, ...]) -> list[CallFailed]:
    """Returns the failure of each call."""
    failures: list[CallFailed] = []
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        failures.append(CallFailed(failed.value))
    return failures


async def collect_refusals(running: RunningServer, metadata_mode: str | None, **fields: Any) -> list[CallFailed]:
    """Calls every method with one request, and returns their failures."""
    return await collect_failures(
        (*start_answers(running, metadata_mode, **fields), *start_classifications(running, metadata_mode, **fields)),
    )


DECISIONS = [
    pytest.param({}, None, default_decision(), id="nothing requested"),
    pytest.param({}, "", default_decision(), id="empty metadata"),
    pytest.param(mode_field(PASSTHROUGH), None, request_decision(), id="request"),
    pytest.param(mode_field(PASSTHROUGH), "reasoning", request_decision(), id="request before metadata"),
    pytest.param(mode_field(PASSTHROUGH), "auto", request_decision(), id="request before auto in metadata"),
    pytest.param({}, "passthrough", metadata_decision(), id="metadata"),
    pytest.param({}, " PassThrough ", metadata_decision(), id="metadata in any case"),
    pytest.param(TEXT, None, default_decision(), id="text is no format"),
    pytest.param(TOOLS, None, tools_decision(), id="tools"),
    pytest.param(TOOLS, "passthrough", tools_decision(), id="tools, and passthrough in metadata"),
    pytest.param({**TOOLS, **mode_field(PASSTHROUGH)}, None, tools_decision(), id="tools, and passthrough"),
    pytest.param({**TOOLS, **mode_field(AUTO)}, None, tools_decision(AUTO), id="tools before auto"),
    pytest.param({**TOOLS, **mode_field(AUTO)}, "reasoning", tools_decision(AUTO), id="tools before auto and metadata"),
    pytest.param(TOOLS, "reasoning", tools_decision(REASONING), id="tools before reasoning in metadata"),
    pytest.param(TOOLS, "orchestration", tools_decision(ORCHESTRATION), id="tools before orchestration in metadata"),
    pytest.param(TOOLS, "auto", tools_decision(AUTO), id="tools before auto in metadata"),
    pytest.param(JSON_OBJECT, None, format_decision(), id="JSON object"),
    pytest.param(JSON_SCHEMA, None, format_decision(), id="JSON schema"),
    pytest.param({**JSON_SCHEMA, **mode_field(PASSTHROUGH)}, None, format_decision(), id="format, and passthrough"),
    pytest.param({**JSON_SCHEMA, **mode_field(AUTO)}, None, format_decision(AUTO), id="format before auto"),
    pytest.param(JSON_SCHEMA, "reasoning", format_decision(REASONING), id="format before reasoning in metadata"),
    pytest.param({**TOOLS, **JSON_SCHEMA}, None, tools_decision(), id="tools before format"),
]


@pytest.mark.parametrize(("fields", "metadata_mode", "expected"), DECISIONS)
async def test_all_methods_make_one_decision(
    upstream: FakeUpstream,
    running_server: RunningServer,
    fields: dict[str, Any],
    metadata_mode: str | None,
    expected: routing_pb2.RouteDecision,
) -> None:
    """All methods have one decision, and only those that answer reach the upstream."""
    decisions = await decide_by_every_method(running_server, metadata_mode, **fields)

    assert decisions == Decisions(expected, expected, expected, expected)
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("fields", "requested_by"),
    [({}, "request"), ({}, "metadata"), ({}, "default"), (JSON_SCHEMA, "request"), (TOOLS, "request")],
    ids=["request", "metadata", "default", "request, with a format", "request, with tools"],
)
async def test_all_methods_make_one_decision_for_reasoning(
    upstream: FakeUpstream, fields: dict[str, Any], requested_by: str
) -> None:
    """All methods have the same decision where a request goes to the agent, with a response format or tools as well."""
    metadata_mode = "reasoning" if requested_by == "metadata" else None
    settings = {"default_mode": RoutingMode.REASONING} if requested_by == "default" else {}
    fields = {**fields, **(mode_field(REASONING) if requested_by == "request" else {})}
    expected = {"request": request_decision, "metadata": metadata_decision, "default": default_decision}[requested_by](
        REASONING
    )

    async with serving_upstream(upstream, **settings) as running:
        decisions = await decide_by_every_method(running, metadata_mode, **fields)

    assert decisions == Decisions(expected, expected, expected, expected)


async def test_the_decision_names_the_requested_model(upstream: FakeUpstream) -> None:
    """The model that a request names stands in the decision and in the request to the upstream."""
    models = (model_entry(upstream.api_base), model_entry(upstream.api_base, "other"))

    async with serving(config_for(*models)) as running:
        decisions = await decide_by_every_method(running, None, model="other")

    assert {decisions.complete.model, decisions.stream.model, decisions.classify.model} == {"other"}
    assert {request.body["model"] for request in upstream.requests} == {"other"}


UNSERVED_MODES = [
    pytest.param(mode, requested_by, id=f"{requested_by} requests {name}")
    for name, mode in {"orchestration": ORCHESTRATION}.items()
    for requested_by in ("request", "metadata", "default")
]


@pytest.mark.parametrize(("mode", "requested_by"), UNSERVED_MODES)
async def test_a_mode_that_is_not_served_is_unimplemented(
    upstream: FakeUpstream, mode: routing_pb2.RoutingMode.ValueType, requested_by: str
) -> None:
    """A mode that is not served gets ROUTE_NOT_IMPLEMENTED from every method, with the decision in the details."""
    name = routing_pb2.RoutingMode.Name(mode).removeprefix("ROUTING_MODE_")
    fields = mode_field(mode) if requested_by == "request" else {}
    metadata_mode = name.lower() if requested_by == "metadata" else None
    settings: dict[str, Any] = {"default_mode": RoutingMode(name)} if requested_by == "default" else {}
    expected = {"request": request_decision, "metadata": metadata_decision, "default": default_decision}[requested_by](
        mode
    )

    async with serving_upstream(upstream, orchestration=OrchestrationUse.OFF, **settings) as running:
        failures = await collect_refusals(running, metadata_mode, **fields)

    for failed in failures:
        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert failed.reason == "ROUTE_NOT_IMPLEMENTED"
        assert failed.message == f'This server does not serve the route "{name.lower()}".'
        assert failed.metadata == {"route": name.lower()}
        assert failed.route_decision == expected
        assert failed.retry_after_seconds is None
        assert failed.interruption is None
    assert upstream.connections == 0


async def test_the_server_default_yields_to_the_request(upstream: FakeUpstream) -> None:
    """The default mode AUTO applies only where neither the request, nor metadata, nor a rule decides."""
    async with serving_upstream(upstream, default_mode=RoutingMode.AUTO) as running:
        by_field = await decide_by_every_method(running, None, **mode_field(PASSTHROUGH))
        by_header = await decide_by_every_method(running, "passthrough")
        by_rule = await decide_by_every_method(running, None, **TOOLS)

    assert by_field.complete == request_decision()
    assert by_header.complete == metadata_decision()
    assert by_rule.complete == tools_decision()


async def test_a_shipped_rule_keeps_a_requested_mode(upstream: FakeUpstream) -> None:
    """A shipped rule does not override a mode that the request names in its field, even if it is not served."""
    mode = ORCHESTRATION
    async with serving_upstream(upstream, orchestration=OrchestrationUse.OFF) as running:
        failures = await collect_refusals(running, None, **JSON_SCHEMA, **mode_field(mode))

    for failed in failures:
        assert failed.code == grpc.StatusCode.UNIMPLEMENTED
        assert failed.reason == "ROUTE_NOT_IMPLEMENTED"
        assert failed.route_decision == request_decision(mode)
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("metadata_mode", "fields"),
    [
        pytest.param("fast", {}, id="unknown"),
        pytest.param("unspecified", {}, id="unspecified"),
        pytest.param("ROUTING_MODE_REASONING", {}, id="the name in the proto"),
        pytest.param("passthrough, reasoning", {}, id="two"),
        pytest.param("x" * 4000, {}, id="long"),
        pytest.param("fast", mode_field(PASSTHROUGH), id="unknown beside a field"),
        pytest.param("fast", TOOLS, id="unknown beside a rule"),
    ],
)
async def test_an_unknown_mode_in_metadata_is_invalid(
    upstream: FakeUpstream, running_server: RunningServer, metadata_mode: str, fields: dict[str, Any]
) -> None:
    """An unknown mode in the metadata is an error, even where a field or a rule would decide."""
    failures = await collect_refusals(running_server, metadata_mode, **fields)

    for failed in failures:
        assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
        assert failed.reason == "INVALID_FIELD"
        assert failed.violations == (
            FieldViolation("metadata.x-routing-mode", "It must be one of passthrough, reasoning, orchestration, auto."),
        )
    assert upstream.connections == 0
