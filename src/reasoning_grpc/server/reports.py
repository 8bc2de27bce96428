"""What the processes of one server report about themselves, and `Reporter`, which reports it twice a second."""

import asyncio
import os
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from reasoning_grpc.server.reload_status import ReloadStatus

INTERVAL_SECONDS: Final = 0.5


class WorkerState(StrEnum):
    """The state of a process that serves calls."""

    STARTING = "starting"
    WARM = "warm"
    """It could answer a call, and waits until it may listen."""
    SERVING = "serving"
    DRAINING = "draining"


class WorkerReport(msgspec.Struct, frozen=True, tag="worker"):
    """The state of one process that serves calls. It comes only while the event loop of that process turns."""

    worker: int
    """The number of the worker, from 1 on; a worker that replaces another has its number."""
    process_id: int
    state: WorkerState
    calls_in_flight: int = 0
    address: str = ""
    """The address on which it listens; empty until then."""
    reload_status: ReloadStatus | None = None
    """The outcome of the reloads; None: the supervisor reloads."""
    metrics: bytes = b""
    """A snapshot of its metrics, encoded; empty where the last one still counts."""


class WorkerEnded(msgspec.Struct, frozen=True, tag="ended"):
    """A worker has ended; its last metrics still count."""

    worker: int
    process_id: int


class SupervisorReport(msgspec.Struct, frozen=True, tag="supervisor"):
    """The state of the process that supervises workers. It comes only while its event loop turns."""

    workers: int
    """The number of workers that should run."""
    restarts: int
    """The number of workers that were started because another one had died."""
    reload_status: ReloadStatus | None = None
    """The outcome of the reloads."""


Report = WorkerReport | WorkerEnded | SupervisorReport


class ReportedServer(Protocol):
    """The part of a server that a report is about."""

    @property
    def state(self) -> WorkerState: ...

    @property
    def calls_in_flight(self) -> int: ...

    @property
    def address(self) -> str: ...

    @property
    def reload_status(self) -> ReloadStatus | None: ...

    def encode_metrics(self) -> bytes: ...


class Reporter:
    """Reports the state of this process for as long as its event loop turns."""

    def __init__(
        self, worker: int, server: ReportedServer, send: Callable[[WorkerReport], object], *, with_metrics: bool
    ) -> None:
        """`with_metrics` adds the metrics to every second report, and to those of a changed state."""
        self._worker = worker
        self._with_metrics = with_metrics
        self._is_next_short = False
        self._server = server
        self._send = send
        self._timer: asyncio.TimerHandle | None = None

    def report(self) -> None:
        """Reports the state and the metrics now, and the state every half second after it."""
        self.stop()
        self._is_next_short = False
        self._report()

    def _report(self) -> None:
        server = self._server
        metrics = b"" if self._is_next_short or not self._with_metrics else server.encode_metrics()
        self._is_next_short = not self._is_next_short
        self._send(
            WorkerReport(
                worker=self._worker,
                process_id=os.getpid(),
                state=server.state,
                calls_in_flight=server.calls_in_flight,
                address=server.address,
                reload_status=server.reload_status,
                metrics=metrics,
            )
        )
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._report)

    def stop(self) -> None:
        """Reports no more, until `report` is called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
