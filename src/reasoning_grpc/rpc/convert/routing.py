"""Converts route decisions, for responses and for status details."""

from reasoning_grpc.domain import Classification, RouteDecision
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.scalars import write_duration
from reasoning_grpc.rpc.convert.usage import write_cost, write_usage
from reasoning_grpc.v1 import routing_pb2


def route_decision(decision: RouteDecision) -> routing_pb2.RouteDecision:
    """Returns how a request was routed, and why."""
    message = routing_pb2.RouteDecision()
    write_route_decision(message, decision)
    return message


def write_route_decision(message: routing_pb2.RouteDecision, decision: RouteDecision) -> None:
    """Writes how a request was routed, and why."""
    message.route = decision.route
    message.mode = enums.ROUTING_MODE.to_proto[decision.mode]
    message.model = decision.model
    message.source = enums.ROUTE_SOURCE.to_proto[decision.source]
    message.rule_id = decision.rule_id
    message.reason = decision.reason
    if decision.requested_mode is not None:
        message.requested_mode = enums.ROUTING_MODE.to_proto[decision.requested_mode]
    message.requested_route = decision.requested_route
    if decision.confidence is not None:
        message.confidence = decision.confidence
    if decision.classification is not None:
        _write_classification(message.classification, decision.classification)
    for rejected in decision.rejected_routes:
        entry = message.rejected_routes.add()
        entry.route = rejected.route
        entry.cause = enums.ROUTE_REJECTION_CAUSE.to_proto[rejected.cause]
        entry.reason = rejected.reason


def _write_classification(message: routing_pb2.Classification, classification: Classification) -> None:
    message.model = classification.model
    message.routes.extend(classification.routes)
    message.skipped = classification.skipped
    if classification.latency_seconds is not None:
        write_duration(message.latency, classification.latency_seconds)
    if classification.usage is not None:
        write_usage(message.usage, classification.usage)
    if classification.cost is not None:
        write_cost(message.cost, classification.cost)
    message.failure = enums.error_reason(classification.failure)
    if classification.flaw is not None:
        message.flaw = enums.ANSWER_FLAW.to_proto[classification.flaw]
    message.failure_detail = classification.failure_detail
