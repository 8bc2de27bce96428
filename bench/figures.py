"""Medians, percentiles and ratios, with their spread over the rounds of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure of one service, in each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    def divide_by(self, other: "Figure") -> "Figure":
        """Returns the ratio to another figure, round by round, since rounds differ more than services do."""
        return Figure(tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True) if theirs))

    def multiply_by(self, factor: float) -> "Figure":
        """Returns the figure in another unit."""
        return Figure(tuple(value * factor for value in self.values))

    def to_json(self) -> dict[str, Any]:
        """Returns the median, the lowest and the highest value, and all values."""
        return {"median": self.median, "low": min(self.values), "high": max(self.values), "values": list(self.values)}


def find_percentile(values: Sequence[float], share: float) -> float:
    """Returns the value below which this share of the values is; of no values, not a number."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
