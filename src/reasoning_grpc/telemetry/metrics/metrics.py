"""`Metrics`: what a process counts, and what reads it at the moment of a scrape or an export.

The hot path of a call has a budget of about a microsecond for all of this, so nothing in it calls a library of metrics.
A call gathers its facts in its `CallReport` anyway, and `CallCounts` adds them up once, when the call ends. Whatever an
object knows by itself, such as the calls in flight or the state of a breaker, costs nothing until somebody reads the
metrics: a source is asked then. A `Snapshot` is what all readers get: Prometheus, the exporter of OpenTelemetry, and
the process that merges the snapshots of several workers.
"""

from collections.abc import Callable

from reasoning_grpc.telemetry.metrics import families
from reasoning_grpc.telemetry.metrics.call_counts import CallCounts
from reasoning_grpc.telemetry.metrics.family import Family
from reasoning_grpc.telemetry.metrics.process import ProcessReader
from reasoning_grpc.telemetry.metrics.series import Counter, Histogram, SnapshotBuilder
from reasoning_grpc.telemetry.metrics.snapshot import Snapshot

Source = Callable[[SnapshotBuilder], None]
"""Adds the values that an object knows to a snapshot. It may be called in another thread."""


class Metrics:
    """The metrics of one process."""

    def __init__(self, version: str = "") -> None:
        """`version` is that of this distribution."""
        self.calls = CallCounts()
        self._version = version
        self._sources: list[Source] = [self.calls.read, ProcessReader().read]

    def add_source(self, source: Source) -> None:
        """Asks this source for each snapshot from now on."""
        self._sources.append(source)

    def create_counter(self, family: Family) -> Counter:
        """Returns a counter that is part of each snapshot from now on."""
        counter = Counter(family)
        self._sources.append(lambda builder: builder.add_counter(counter))
        return counter

    def create_histogram(self, family: Family) -> Histogram:
        """Returns a histogram that is part of each snapshot from now on."""
        histogram = Histogram(family)
        self._sources.append(lambda builder: builder.add_histogram(histogram))
        return histogram

    def take_snapshot(self) -> Snapshot:
        """Returns the values of all metrics at this moment."""
        builder = SnapshotBuilder()
        builder.add(families.BUILD, 1, self._version)
        for source in self._sources:
            source(builder)
        return builder.snapshot
