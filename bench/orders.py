"""Runs the orders of measures: `run_order` returns what a client reports, with the CPU time of the service."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.process import Process
from bench.services import Service

MeasuredFigures = dict[str, float]


@dataclass(frozen=True)
class Measure:
    """A measure of some of the services."""

    name: str
    services: tuple[str, ...]
    run: Callable[[Service, float], MeasuredFigures]
    """Runs it for about this many seconds."""


class Metered:
    """The CPU seconds that a service has taken since this was created."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._started = process.read_cpu_seconds()

    def read(self) -> float:
        """Returns the CPU seconds so far, and at least one tick of the clock."""
        return max(0.01, self._process.read_cpu_seconds() - self._started)


def run_order(service: Service, **order: Any) -> tuple[dict[str, Any], float]:
    """Returns the report of an order, and the CPU seconds of the service. Raises RuntimeError when a call failed."""
    meter = Metered(service.process)
    report = service.client.run(**order)
    if report["failures"] or not report["calls"]:
        raise RuntimeError(f"{service.name} failed: {order} {report['failures']}")
    return report, meter.read()


def warm_up(service: Service) -> None:
    """Makes calls that nobody measures: what a service loads with its first calls belongs to its start."""
    run_order(service, kind="unary", model="mock-1", concurrency=8, calls=100)
    run_order(service, kind="stream", model="mock-200", concurrency=4, calls=20)
