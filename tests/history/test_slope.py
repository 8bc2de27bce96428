"""The slope of samples, and its confidence."""

from random import Random

import pytest

from tests.history.slope import estimate_slope


def test_the_slope_of_a_line_is_exact() -> None:
    """Samples on a line have its slope, without any doubt."""
    slope = estimate_slope([(n / 10, 5 + 3 * n / 10) for n in range(100)])

    assert slope is not None
    assert (slope.value, slope.low, slope.high) == pytest.approx((3, 3, 3))


def test_the_true_slope_is_within_the_bounds() -> None:
    """For samples that wander, as memory does, the bounds hold the true slope in about 95 of 100 cases."""
    held = 0
    for seed in range(200):
        draw, level, points = Random(seed), 0.0, []
        for n in range(600):
            level = 0.8 * level + draw.gauss(0, 1)
            points.append((n / 600, 2 * n / 600 + level))
        slope = estimate_slope(points)
        assert slope is not None
        held += slope.low <= 2 <= slope.high

    assert 180 <= held <= 200


def test_too_few_samples_have_no_slope() -> None:
    """A slope needs a sample in each batch."""
    assert estimate_slope([(n, 1.0) for n in range(11)]) is None
