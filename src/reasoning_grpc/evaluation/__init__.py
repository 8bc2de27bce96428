"""Measures the quality of a running server; needs only the stubs and the client, not the server's packages."""

from reasoning_grpc.evaluation.calibration_plot import draw_calibration
from reasoning_grpc.evaluation.case_reader import Case
from reasoning_grpc.evaluation.cases import Half, InvalidCases, read_bundled_cases, read_cases
from reasoning_grpc.evaluation.earlier_run import EarlierRun, read_earlier_run
from reasoning_grpc.evaluation.judged_calls import read_judged_calls
from reasoning_grpc.evaluation.routing import ONE_ATTEMPT, Outcome, route_cases
from reasoning_grpc.evaluation.routing_figures import Calibration, Comparison, Latency, RoutingReport, Share, Verdict
from reasoning_grpc.evaluation.routing_report import build_routing_report
from reasoning_grpc.evaluation.statistics import Difference, Interval

__all__ = [
    "ONE_ATTEMPT",
    "Calibration",
    "Case",
    "Comparison",
    "Difference",
    "EarlierRun",
    "Half",
    "Interval",
    "InvalidCases",
    "Latency",
    "Outcome",
    "RoutingReport",
    "Share",
    "Verdict",
    "build_routing_report",
    "draw_calibration",
    "read_bundled_cases",
    "read_cases",
    "read_earlier_run",
    "read_judged_calls",
    "route_cases",
]
