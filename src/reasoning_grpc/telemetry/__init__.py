"""OpenTelemetry: the seam that our code uses, and the export of what it records."""

from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.log_records import FactsRecord
from reasoning_grpc.telemetry.plan import Export, TelemetryPlan, read_telemetry_plan
from reasoning_grpc.telemetry.tracing import (
    ERROR_TYPE,
    PREFIX,
    SERVER_ADDRESS,
    SERVER_PORT,
    build_trace_headers,
    find_recording_span,
    find_trace,
    mark_error,
    mark_failed,
)

__all__ = [
    "ERROR_TYPE",
    "PREFIX",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "Export",
    "FactsRecord",
    "Telemetry",
    "TelemetryPlan",
    "build_trace_headers",
    "find_recording_span",
    "find_trace",
    "mark_error",
    "mark_failed",
    "read_telemetry_plan",
]
