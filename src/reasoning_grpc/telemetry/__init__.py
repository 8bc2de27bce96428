"""OpenTelemetry: the seam that our code uses, and the export of what it records."""

from reasoning_grpc.telemetry.content import MAX_TEXT_CHARACTERS, TextBudget, cut_text
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.log_records import FactsRecord
from reasoning_grpc.telemetry.metrics import (
    DELTA_GAP_BOUNDS,
    FAMILIES,
    Counter,
    Family,
    Histogram,
    Kind,
    Metrics,
    Snapshot,
    SnapshotBuilder,
    WorkerSnapshots,
    families,
    render_prometheus,
)
from reasoning_grpc.telemetry.openinference import TOKEN_COUNTS, MimeType, OpenInference, ViewerKind
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
    name_wire,
)

__all__ = [
    "DELTA_GAP_BOUNDS",
    "ERROR_TYPE",
    "FAMILIES",
    "MAX_TEXT_CHARACTERS",
    "PREFIX",
    "SERVER_ADDRESS",
    "SERVER_PORT",
    "TOKEN_COUNTS",
    "Counter",
    "Export",
    "FactsRecord",
    "Family",
    "Histogram",
    "Kind",
    "Metrics",
    "MimeType",
    "OpenInference",
    "Snapshot",
    "SnapshotBuilder",
    "Telemetry",
    "TelemetryPlan",
    "TextBudget",
    "ViewerKind",
    "WorkerSnapshots",
    "build_trace_headers",
    "cut_text",
    "families",
    "find_recording_span",
    "find_trace",
    "mark_error",
    "mark_failed",
    "name_wire",
    "read_telemetry_plan",
    "render_prometheus",
]
