"""The metrics: their declarations, what counts them, snapshots, and the pages and exports made from these."""

from collections.abc import Iterable

from reasoning_grpc.telemetry.metrics import families
from reasoning_grpc.telemetry.metrics.call_counts import DELTA_GAP_BOUNDS
from reasoning_grpc.telemetry.metrics.families import FAMILIES
from reasoning_grpc.telemetry.metrics.family import Family, Kind
from reasoning_grpc.telemetry.metrics.metrics import Metrics
from reasoning_grpc.telemetry.metrics.series import Counter, Histogram, SnapshotBuilder
from reasoning_grpc.telemetry.metrics.snapshot import Snapshot, WorkerSnapshots

__all__ = [
    "DELTA_GAP_BOUNDS",
    "FAMILIES",
    "Counter",
    "Family",
    "Histogram",
    "Kind",
    "Metrics",
    "Snapshot",
    "SnapshotBuilder",
    "WorkerSnapshots",
    "families",
    "render_prometheus",
]


def render_prometheus(snapshots: Iterable[Snapshot], accept: str = "") -> tuple[bytes, str]:
    """Returns the page that Prometheus scrapes, and its content type. Several snapshots are merged.

    `accept` is the HTTP header in which Prometheus says which formats it reads.
    """
    # The client library of Prometheus takes a tenth of a second to import, and only one process writes pages.
    from reasoning_grpc.telemetry.metrics.prometheus import write_page

    return write_page(snapshots, accept)
