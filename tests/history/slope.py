"""`estimate_slope`: how fast a quantity grows, with the confidence of that, from samples that depend on each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import Final

BATCHES: Final = 12
_QUANTILE: Final = 2.228
"""Student's t for 95 % and BATCHES - 2 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Slope:
    """The growth per unit of time, and the bounds within which it is with a confidence of 95 %."""

    value: float
    low: float
    high: float


def estimate_slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Returns the slope of the line through the means of twelve batches of points; None for too few points.

    Successive samples of a process resemble each other, so a line through all of them would look surer than it is. The
    means of long batches are nearly independent.
    """
    size = len(points) // BATCHES
    if not size:
        return None
    batches = [points[len(points) - size * (BATCHES - n) :][:size] for n in range(BATCHES)]
    times = [fmean(time for time, _ in batch) for batch in batches]
    values = [fmean(value for _, value in batch) for batch in batches]
    mean_time, mean_value = fmean(times), fmean(values)
    spread = sum((time - mean_time) ** 2 for time in times)
    if not spread:
        return None
    slope = sum((time - mean_time) * (value - mean_value) for time, value in zip(times, values, strict=True)) / spread
    residuals = (value - mean_value - slope * (time - mean_time) for time, value in zip(times, values, strict=True))
    error = _QUANTILE * sqrt(sum(residual**2 for residual in residuals) / (BATCHES - 2) / spread)
    return Slope(slope, slope - error, slope + error)
