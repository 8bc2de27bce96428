"""`SnapshotExporter`: exports the snapshot of our metrics over OpenTelemetry, in place of instruments of its SDK.

An instrument of the SDK costs some microseconds at each recorded value, and there is none that observes a histogram. So
the SDK's reader keeps its part, when to export and with which limits, and this exporter adds our metrics to whatever
the reader brings, before it passes both on.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from reasoning_grpc.telemetry.metrics import families
from reasoning_grpc.telemetry.metrics.families import FAMILIES
from reasoning_grpc.telemetry.metrics.family import Family, Kind
from reasoning_grpc.telemetry.metrics.metrics import Metrics
from reasoning_grpc.telemetry.metrics.snapshot import Labels, Snapshot

BEAT: Final = families.UPTIME
"""The one metric that an instrument of the SDK has: its reader exports nothing while no instrument has a value."""


class SnapshotExporter(MetricExporter):
    """Adds the snapshot of the metrics to each export."""

    def __init__(self, exporter: MetricExporter, metrics: Metrics) -> None:
        """`exporter` sends everything, and decides on the temporality, as the `OTEL_*` variables say."""
        # The SDK's reader has no other way to ask an exporter for the two, either.
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._metrics = metrics
        self._start = time.time_ns()
        preferred = exporter._preferred_temporality or {}
        self._is_delta = {
            Kind.COUNTER: preferred.get(SdkCounter) is AggregationTemporality.DELTA,
            Kind.HISTOGRAM: preferred.get(SdkHistogram) is AggregationTemporality.DELTA,
        }
        self._last = Snapshot()
        self._last_time = self._start

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """See `MetricExporter`."""
        return self._exporter.export(self._add_snapshot(metrics_data), timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """See `MetricExporter`."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """See `MetricExporter`."""
        self._exporter.shutdown(timeout_millis, **kwargs)

    def _add_snapshot(self, data: MetricsData) -> MetricsData:
        now, snapshot = time.time_ns(), self._metrics.take_snapshot()
        converted = [self._convert(family, snapshot, now) for family in FAMILIES if family is not BEAT]
        ours = ScopeMetrics(
            InstrumentationScope("reasoning_grpc.metrics"), [metric for metric in converted if metric is not None], ""
        )
        self._last, self._last_time = snapshot, now
        return MetricsData(
            [
                ResourceMetrics(each.resource, [*each.scope_metrics, ours], each.schema_url)
                for each in data.resource_metrics
            ]
        )

    def _convert(self, family: Family, snapshot: Snapshot, now: int) -> Metric | None:
        """Returns a metric as the SDK has it; None while it has no series."""
        is_delta = self._is_delta.get(family.kind, False)
        temporality = AggregationTemporality.DELTA if is_delta else AggregationTemporality.CUMULATIVE
        start = self._last_time if is_delta else self._start
        before = self._last if is_delta else Snapshot()
        data: Sum | Gauge | Histogram
        if family.kind is Kind.HISTOGRAM:
            data = Histogram(list(_build_distributions(family, snapshot, before, start, now)), temporality)
        elif family.kind is Kind.COUNTER:
            data = Sum(list(_build_numbers(family, snapshot, before, start, now)), temporality, is_monotonic=True)
        else:
            data = Gauge(list(_build_numbers(family, snapshot, before, start, now)))
        return Metric(family.name, family.help, family.unit, data) if data.data_points else None


def _build_numbers(
    family: Family, snapshot: Snapshot, before: Snapshot, start: int, now: int
) -> Iterator[NumberDataPoint]:
    earlier = before.numbers.get(family.name, {})
    for labels, value in snapshot.numbers.get(family.name, {}).items():
        yield NumberDataPoint(_name_labels(family, labels), start, now, value - earlier.get(labels, 0))


def _build_distributions(
    family: Family, snapshot: Snapshot, before: Snapshot, start: int, now: int
) -> Iterator[HistogramDataPoint]:
    earlier = before.distributions.get(family.name, {})
    for labels, distribution in snapshot.distributions.get(family.name, {}).items():
        counts, total = distribution.counts, distribution.sum
        if (last := earlier.get(labels)) is not None:
            counts, total = [one - another for one, another in zip(counts, last.counts, strict=True)], total - last.sum
        yield HistogramDataPoint(
            attributes=_name_labels(family, labels),
            start_time_unix_nano=start,
            time_unix_nano=now,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=family.bounds,
            min=None,  # type: ignore[arg-type] # unknown, as the protocol allows
            max=None,  # type: ignore[arg-type]
        )


def _name_labels(family: Family, labels: Labels) -> dict[str, str]:
    """Returns the attributes of a series. An empty value means none, as Prometheus has it as well."""
    pairs = zip(family.label_names, family.complete_labels(labels), strict=True)
    return {name: value for name, value in pairs if value}
