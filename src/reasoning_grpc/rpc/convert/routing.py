"""Converts route decisions, for responses and for status details."""

from typing import Any

from reasoning_grpc.domain import Classification, RejectedRoute, RouteDecision
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.scalars import optional_duration
from reasoning_grpc.rpc.convert.usage import optional_cost, optional_usage
from reasoning_grpc.v1 import routing_pb2


def route_decision(decision: RouteDecision) -> routing_pb2.RouteDecision:
    """Returns how a request was routed, and why."""
    requested: Any = 0 if decision.requested_mode is None else enums.ROUTING_MODE.to_proto[decision.requested_mode]
    return routing_pb2.RouteDecision(
        route=decision.route,
        mode=enums.ROUTING_MODE.to_proto[decision.mode],
        model=decision.model,
        source=enums.ROUTE_SOURCE.to_proto[decision.source],
        rule_id=decision.rule_id,
        reason=decision.reason,
        requested_mode=requested,
        requested_route=decision.requested_route,
        classification=None if decision.classification is None else _classification(decision.classification),
        rejected_routes=[_rejected_route(rejected) for rejected in decision.rejected_routes],
    )


def _classification(classification: Classification) -> routing_pb2.Classification:
    flaw: Any = 0 if classification.flaw is None else enums.ANSWER_FLAW.to_proto[classification.flaw]
    return routing_pb2.Classification(
        model=classification.model,
        routes=classification.routes,
        skipped=classification.skipped,
        latency=optional_duration(classification.latency_seconds),
        usage=optional_usage(classification.usage),
        cost=optional_cost(classification.cost),
        failure=enums.error_reason(classification.failure),
        flaw=flaw,
        failure_detail=classification.failure_detail,
    )


def _rejected_route(rejected: RejectedRoute) -> routing_pb2.RejectedRoute:
    return routing_pb2.RejectedRoute(
        route=rejected.route,
        cause=enums.ROUTE_REJECTION_CAUSE.to_proto[rejected.cause],
        reason=rejected.reason,
    )
