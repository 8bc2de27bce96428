"""Reads the metrics of a server as Prometheus would scrape them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from reasoning_grpc.telemetry import Metrics, Snapshot, render_prometheus


@dataclass(frozen=True)
class Sample:
    """One line of the page."""

    name: str
    labels: dict[str, str]
    value: float


class MetricsPage:
    """The page that Prometheus scrapes, as its own client library reads it."""

    def __init__(self, text: str) -> None:
        self.samples = [
            Sample(sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    @classmethod
    def scrape(cls, metrics: Metrics) -> Self:
        """Takes a snapshot, and reads the page that it becomes."""
        return cls.render([metrics.take_snapshot()])

    @classmethod
    def render(cls, snapshots: Iterable[Snapshot]) -> Self:
        """Reads the page that these snapshots become."""
        page, _ = render_prometheus(snapshots)
        return cls(page.decode())

    def find(self, name: str, **labels: str) -> float:
        """Returns the sum of the samples with this name and at least these labels; 0 where there is none."""
        return sum(sample.value for sample in self.list_samples(name, **labels))

    def list_samples(self, name: str, **labels: str) -> list[Sample]:
        """Returns the samples with this name and at least these labels."""
        return [each for each in self.samples if each.name == name and labels.items() <= each.labels.items()]

    def list_values(self, name: str, label: str) -> dict[str, float]:
        """Returns the sums of the samples with this name by the value of a label."""
        values: dict[str, float] = {}
        for sample in self.list_samples(name):
            key = sample.labels.get(label, "")
            values[key] = values.get(key, 0) + sample.value
        return values
