"""Adds what became of the reloads to the metrics."""

from reasoning_grpc.server.reload import ReloadStatus
from reasoning_grpc.telemetry import SnapshotBuilder, families


def add_reloads(builder: SnapshotBuilder, status: ReloadStatus | None) -> None:
    """Adds the status of the reloads to a snapshot; None: nothing reloads this process."""
    if status is None:
        return
    builder.add(families.RELOADS, status.reloads)
    builder.add(families.RELOAD_FAILING, int(not status.has_succeeded))
    if status.last_time is not None:
        builder.add(families.RELOAD_TIME, status.last_time)


def encode_reloads(status: ReloadStatus | None) -> bytes:
    """Returns a snapshot of the reloads alone, for another process."""
    builder = SnapshotBuilder()
    add_reloads(builder, status)
    return builder.snapshot.encode()
