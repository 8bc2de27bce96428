"""The series of metrics while they are counted, as plain lists and dicts, and what reads them into a snapshot."""

from bisect import bisect_left
from collections.abc import Iterable

from reasoning_grpc.telemetry.metrics.family import Family
from reasoning_grpc.telemetry.metrics.snapshot import Distribution, Labels, Snapshot

Buckets = list[float]
"""A series of a histogram: a count for each bucket, and behind them the sum of the values."""


def create_buckets(family: Family) -> Buckets:
    """Returns an empty series of a histogram."""
    return [0] * (len(family.bounds) + 1) + [0.0]


class Histogram:
    """The series of a histogram by their labels."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._bounds = family.bounds
        self.series: dict[Labels, Buckets] = {}

    def record(self, value: float, *labels: str) -> None:
        """Records a value."""
        buckets = self.series.get(labels)
        if buckets is None:
            buckets = self.series[labels] = create_buckets(self.family)
        buckets[bisect_left(self._bounds, value)] += 1
        buckets[-1] += value


class Counter:
    """The series of a counter by their labels."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.series: dict[Labels, float] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Adds to a series."""
        self.series[labels] = self.series.get(labels, 0) + amount


class SnapshotBuilder:
    """Builds a snapshot. Values of a family with the same labels are added.

    It may run in another thread than the one that counts, so it copies what it reads in one step of the interpreter.
    """

    def __init__(self) -> None:
        self.snapshot = Snapshot()

    def add(self, family: Family, value: float, *labels: str) -> None:
        """Adds the value of a counter or a gauge."""
        series = self.snapshot.numbers.setdefault(family.name, {})
        series[labels] = series.get(labels, 0) + value

    def add_counter(self, counter: Counter) -> None:
        """Adds all series of a counter."""
        for labels, value in list(counter.series.items()):
            self.add(counter.family, value, *labels)

    def add_histogram(self, histogram: Histogram) -> None:
        """Adds all series of a histogram."""
        for labels, buckets in list(histogram.series.items()):
            self.add_buckets(histogram.family, [buckets], *labels)

    def add_buckets(self, family: Family, parts: Iterable[Buckets], *labels: str) -> None:
        """Adds series that were counted apart to one series of a histogram."""
        series = self.snapshot.distributions.setdefault(family.name, {})
        for part in parts:
            *counts, total = part.copy()
            distribution = Distribution([int(count) for count in counts], total)
            if labels in series:
                series[labels].add(distribution)
            else:
                series[labels] = distribution
