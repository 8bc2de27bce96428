"""`KnownWorkers`: what the child of the admin ports knows of the workers, and whether they are alive and ready."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.server.reload_status import ReloadStatus, add_reloads
from reasoning_grpc.server.reports import Report, SupervisorReport, WorkerEnded, WorkerReport, WorkerState
from reasoning_grpc.telemetry import Snapshot, SnapshotBuilder, WorkerSnapshots, families

_BEFORE: Final = "before"
"""The name of a snapshot that is not that of a worker that runs."""
HUNG_SECONDS: Final = 5.0
"""The silence after which a process counts as hung: ten reports are then missing."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """The last report of a process, and when it came."""

    report: WorkerReport
    at: float


class KnownWorkers:
    """Judges by the reports of the workers, and of their supervisor, if there is one.

    A worker whose event loop hangs sends no reports, so it is not alive. A worker that has ended is replaced by the
    supervisor, so it makes the server less ready, and not less alive.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers: dict[int, _Heard] = {}
        """The workers that run, by their numbers."""
        self._supervisor: SupervisorReport | None = None
        self._supervisor_at = 0.0
        self._since = clock()
        self._snapshots = WorkerSnapshots()

    def record(self, report: Report) -> None:
        """Records a report."""
        match report:
            case WorkerReport():
                self._workers[report.worker] = _Heard(report, self._clock())
                if report.metrics:
                    self._snapshots.update(str(report.process_id), Snapshot.decode(report.metrics))
            case WorkerEnded():
                self._snapshots.retire(str(report.process_id))
                heard = self._workers.get(report.worker)
                if heard is not None and heard.report.process_id == report.process_id:
                    del self._workers[report.worker]
            case SupervisorReport():
                self._supervisor, self._supervisor_at = report, self._clock()

    def add_ended(self, metrics: bytes) -> None:
        """Adds the metrics of workers that ended before this object existed."""
        self._snapshots.update(_BEFORE, Snapshot.decode(metrics))
        self._snapshots.retire(_BEFORE)

    def merge_metrics(self) -> Snapshot:
        """Returns the metrics of all workers, those that have ended included, and what is known of the workers."""
        builder = SnapshotBuilder()
        for state, count in self.count_states().items():
            builder.add(families.WORKERS, count, state)
        if self._supervisor is None:
            builder.add(families.WORKER_RESTARTS, 0)
        else:
            builder.add(families.WORKER_RESTARTS, self._supervisor.restarts)
            add_reloads(builder, self._supervisor.reload_status)  # a server without workers has them in its snapshot
        merged = self._snapshots.merge()
        merged.merge(builder.snapshot)
        return merged

    @property
    def is_alive(self) -> bool:
        """Whether no process hangs."""
        return not self._is_supervisor_hung() and not any(map(self._is_hung, self._workers.values()))

    @property
    def is_ready(self) -> bool:
        """Whether at least one worker that does not hang takes calls."""
        return any(
            heard.report.state is WorkerState.SERVING and not self._is_hung(heard) for heard in self._workers.values()
        )

    def count_states(self) -> dict[str, int]:
        """Returns the number of workers in each state; `hung` and `missing` are states too."""
        counts = {**{state.value: 0 for state in WorkerState}, "hung": 0, "missing": 0}
        for heard in self._workers.values():
            counts[self._name_state(heard)] += 1
        if self._supervisor is not None:
            counts["missing"] = max(0, self._supervisor.workers - len(self._workers))
        return counts

    def describe(self) -> dict[str, Any]:
        """Returns what is known, as the pages show it."""
        described: dict[str, Any] = {"workers": [self._describe(heard) for _, heard in sorted(self._workers.items())]}
        if (status := self._find_reload_status()) is not None:
            described["reload"] = status.describe()
        if self._supervisor is not None:
            described["workers_wanted"] = self._supervisor.workers
            described["worker_restarts"] = self._supervisor.restarts
            if self._is_supervisor_hung():
                described["supervisor"] = "hung"
        return described

    def _find_reload_status(self) -> ReloadStatus | None:
        """Returns the outcome of the reloads, as the supervisor reports it, or the server without workers."""
        if self._supervisor is not None:
            return self._supervisor.reload_status
        statuses = (heard.report.reload_status for heard in self._workers.values())
        return next(statuses, None)

    def _describe(self, heard: _Heard) -> dict[str, Any]:
        report = heard.report
        return {
            "worker": report.worker,
            "process_id": report.process_id,
            "state": self._name_state(heard),
            "calls_in_flight": report.calls_in_flight,
            "silent_seconds": round(self._clock() - heard.at, 1),
        }

    def _name_state(self, heard: _Heard) -> str:
        return "hung" if self._is_hung(heard) else heard.report.state.value

    def _is_hung(self, heard: _Heard) -> bool:
        return self._clock() - heard.at > HUNG_SECONDS

    def _is_supervisor_hung(self) -> bool:
        """Whether the process that started this one is silent; that of a server without workers is the worker."""
        if self._supervisor is None:
            return not self._workers and self._clock() - self._since > HUNG_SECONDS
        return self._clock() - self._supervisor_at > HUNG_SECONDS
