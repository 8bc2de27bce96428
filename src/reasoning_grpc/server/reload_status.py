"""`ReloadStatus`: the outcome of the reloads of a server, and what the metrics show of it."""

from dataclasses import dataclass
from typing import Any

from reasoning_grpc.telemetry import SnapshotBuilder, families


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """The outcome of the reloads of a server, for metrics and for those who ask whether it is ready."""

    fingerprint: str
    """The fingerprint of the configuration that serves."""
    reloads: int = 0
    """The number of reloads that took effect."""
    failures: int = 0
    """The number of reloads that changed nothing."""
    last_time: float | None = None
    """When the last reload ended, in seconds since 1970; None: there was none."""
    problems: tuple[str, ...] = ()
    """Why the last reload changed nothing; empty when it took effect."""
    needs_restart: tuple[str, ...] = ()
    """The options that have other values in what was read last, and that keep theirs until a restart."""

    @property
    def has_succeeded(self) -> bool:
        """Whether the last reload, if there was one, took effect."""
        return not self.problems

    def describe(self) -> dict[str, Any]:
        """Returns the status as JSON has it."""
        return {
            "fingerprint": self.fingerprint,
            "reloads": self.reloads,
            "failures": self.failures,
            "last_time": self.last_time,
            "succeeded": self.has_succeeded,
            "problems": list(self.problems),
            "needs_restart": list(self.needs_restart),
        }


def add_reloads(builder: SnapshotBuilder, status: ReloadStatus | None) -> None:
    """Adds the status of the reloads to a snapshot; None: nothing reloads this process."""
    if status is None:
        return
    builder.add(families.RELOADS, status.reloads, "SUCCEEDED")
    builder.add(families.RELOADS, status.failures, "FAILED")
    builder.add(families.RELOAD_FAILING, int(not status.has_succeeded))
    if status.last_time is not None:
        builder.add(families.RELOAD_TIME, status.last_time)
