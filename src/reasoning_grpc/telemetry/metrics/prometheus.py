"""Writes a snapshot as Prometheus reads it: as its own text format, or as OpenMetrics."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from reasoning_grpc.telemetry.metrics.families import FAMILIES
from reasoning_grpc.telemetry.metrics.family import Family, Kind
from reasoning_grpc.telemetry.metrics.snapshot import Distribution, Snapshot, merge_snapshots

_NUMBERS: Final = {Kind.COUNTER: CounterMetricFamily, Kind.GAUGE: GaugeMetricFamily}


def write_page(snapshots: Iterable[Snapshot], accept: str) -> tuple[bytes, str]:
    """See `render_prometheus`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(merge_snapshots(snapshots)))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _SnapshotCollector(Collector):
    """Gives the series of a snapshot to the client library of Prometheus."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        for family in FAMILIES:
            if family.kind is Kind.HISTOGRAM:
                yield self._collect_histogram(family)
            else:
                yield self._collect_numbers(family)

    def _collect_numbers(self, family: Family) -> Metric:
        metric: CounterMetricFamily | GaugeMetricFamily = _NUMBERS[family.kind](
            family.prometheus_name, family.help, labels=family.prometheus_label_names
        )
        for labels, value in self._snapshot.numbers.get(family.name, {}).items():
            metric.add_metric(family.complete_labels(labels), value)
        return metric

    def _collect_histogram(self, family: Family) -> Metric:
        metric = HistogramMetricFamily(family.prometheus_name, family.help, labels=family.prometheus_label_names)
        for labels, distribution in self._snapshot.distributions.get(family.name, {}).items():
            metric.add_metric(family.complete_labels(labels), _build_buckets(family, distribution), distribution.sum)
        return metric


def _build_buckets(family: Family, distribution: Distribution) -> list[tuple[str, float]]:
    """Returns the bounds as Prometheus writes them, each with the number of values that are not above it."""
    bounds = [*(str(float(bound)) for bound in family.bounds), "+Inf"]
    return list(zip(bounds, accumulate(distribution.counts), strict=True))
