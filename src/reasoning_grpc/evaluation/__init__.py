"""Measures the quality of a running server; needs only the stubs and the client, not the server's packages."""

from reasoning_grpc.evaluation.case_reader import Case
from reasoning_grpc.evaluation.cases import InvalidCases, read_bundled_cases, read_cases
from reasoning_grpc.evaluation.routing import ONE_ATTEMPT, Outcome, route_cases
from reasoning_grpc.evaluation.routing_figures import Latency, RoutingReport, Share, Verdict
from reasoning_grpc.evaluation.routing_report import build_routing_report
from reasoning_grpc.evaluation.statistics import Interval

__all__ = [
    "ONE_ATTEMPT",
    "Case",
    "Interval",
    "InvalidCases",
    "Latency",
    "Outcome",
    "RoutingReport",
    "Share",
    "Verdict",
    "build_routing_report",
    "read_bundled_cases",
    "read_cases",
    "route_cases",
]
