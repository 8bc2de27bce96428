"""`Family`: the declaration of a metric: its name, its unit, its labels, and how the values of workers are merged."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_UNITS: Final = {"s": "seconds", "By": "bytes"}
"""The words that Prometheus has for units, as OpenTelemetry converts them. A unit in braces is a remark."""


class Kind(StrEnum):
    """The kind of a metric."""

    COUNTER = "counter"
    """A sum that only grows."""
    GAUGE = "gauge"
    """A value of this moment."""
    HISTOGRAM = "histogram"
    """Counts of values by size, and their sum."""


class Merge(StrEnum):
    """How the values of a gauge are merged that several workers have. Counters and histograms are always added."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a metric."""

    name: str
    """The name as OpenTelemetry has it; Prometheus writes underscores for its dots."""
    bounded_by: str
    """What bounds the number of its values, for the documentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric: all series with one name."""

    name: str
    """The name as OpenTelemetry has it."""
    kind: Kind
    unit: str
    """The unit in UCUM, such as "s", "By" or "{call}"."""
    help: str
    """Says in a sentence what is measured."""
    labels: tuple[Label, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    """Labels whose value never changes, which the conventions of OpenTelemetry require."""
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets; the last bucket has none."""
    merge: Merge = Merge.SUM

    @property
    def prometheus_name(self) -> str:
        """Returns the name that Prometheus has, without the suffixes of a counter or a histogram."""
        unit = _UNITS.get(self.unit)
        return self.name.replace(".", "_") + (f"_{unit}" if unit else "")

    @property
    def label_names(self) -> tuple[str, ...]:
        """Returns the names of all labels as OpenTelemetry has them, the constant ones first."""
        return (*(name for name, _ in self.constants), *(label.name for label in self.labels))

    @property
    def prometheus_label_names(self) -> tuple[str, ...]:
        """Returns the names of all labels as Prometheus has them, the constant ones first."""
        return tuple(name.replace(".", "_") for name in self.label_names)

    def complete_labels(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the values of all labels, those of the constant ones first."""
        return (*(value for _, value in self.constants), *labels)
