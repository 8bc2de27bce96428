"""The statistics of evaluations agree with published values."""

import itertools
import random
from collections.abc import Sequence
from statistics import fmean

import pytest

from reasoning_grpc.evaluation.statistics import (
    ROUNDS,
    compare_pairs,
    compute_f1_score,
    compute_mcnemar_p_value,
    compute_shuffled_control,
    compute_wilson_interval,
    find_quantile,
)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        pytest.param(81, 263, 0.2553, 0.3662, id="Newcombe 1998, table I, first"),
        pytest.param(15, 148, 0.0624, 0.1605, id="Newcombe 1998, table I, second"),
        pytest.param(0, 20, 0.0, 0.1611, id="Newcombe 1998, table I, third"),
        pytest.param(1, 29, 0.0061, 0.1718, id="Newcombe 1998, table I, fourth"),
        pytest.param(20, 20, 0.8389, 1.0, id="the third one reversed"),
    ],
)
def test_wilson_interval(hits: int, total: int, low: float, high: float) -> None:
    """The Wilson interval has the values of the paper's examples."""
    interval = compute_wilson_interval(hits, total)

    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_paired_difference() -> None:
    """The comparison of 26 and 4 of 48 has the values of R's statpsych::ci.prop.ps, by the authors of the method."""
    compared = compare_pairs(26, 4, 48)

    assert compared.difference == pytest.approx(22 / 48)
    assert compared.interval.low == pytest.approx(0.2548067, abs=1e-7)
    assert compared.interval.high == pytest.approx(0.6251933, abs=1e-7)


def test_a_paired_difference_is_symmetric() -> None:
    """The comparison in the other order has the same difference with the opposite sign."""
    forward, reverse = compare_pairs(9, 3, 40), compare_pairs(3, 9, 40)

    assert (reverse.difference, reverse.p_value) == (-forward.difference, forward.p_value)
    assert (reverse.interval.low, reverse.interval.high) == pytest.approx(
        (-forward.interval.high, -forward.interval.low)
    )


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        pytest.param(0, 0, 1.0, id="they never differ"),
        pytest.param(5, 5, 1.0, id="as often one as the other"),
        pytest.param(0, 6, 2 / 64, id="six tosses, all heads"),
        pytest.param(1, 9, 22 / 1024, id="the sign test's table: 1 of 10"),
        pytest.param(6, 16, 0.0525, id="two-sided sign test of 6 in 22"),
    ],
)
def test_mcnemar_p_value(only_first: int, only_second: int, p_value: float) -> None:
    """McNemar's p-value is that of the two-sided binomial test of the pairs that differ."""
    assert compute_mcnemar_p_value(only_first, only_second) == pytest.approx(p_value, abs=5e-5)


def test_mcnemar_p_value_of_many_pairs() -> None:
    """McNemar's p-value is right for so many pairs that their count of cases exceeds a float."""
    assert 0 < compute_mcnemar_p_value(2400, 2600) < 0.01


@pytest.mark.parametrize(("share", "value"), [(0.05, 15), (0.30, 20), (0.40, 20), (0.50, 35), (1.00, 50)], ids=str)
def test_quantile(share: float, value: float) -> None:
    """A quantile is the nearest rank, as in the usual example, whatever the order of the values."""
    assert find_quantile([40, 15, 50, 20, 35], share) == value


@pytest.mark.parametrize(
    ("hits", "answers", "support", "score"),
    [
        pytest.param(6, 8, 10, 2 * 0.75 * 0.6 / (0.75 + 0.6), id="the harmonic mean"),
        pytest.param(4, 4, 4, 1.0, id="all right"),
        pytest.param(0, 3, 5, 0.0, id="all wrong"),
        pytest.param(0, 0, 0, None, id="of nothing"),
    ],
)
def test_f1_score(hits: int, answers: int, support: int, score: float | None) -> None:
    """The F1 score is the harmonic mean of precision and recall; None when both are undefined."""
    assert compute_f1_score(hits, answers, support) == (None if score is None else pytest.approx(score))


@pytest.mark.parametrize(
    ("expected", "answers"),
    [
        pytest.param("aabb", ["a", "b", "b", "b"], id="two routes"),
        pytest.param("aabbc", ["a", "c", "b", "a", "c"], id="three routes"),
        pytest.param("aabb", ["a", None, "b", None], id="some without an answer"),
        pytest.param("aaab", ["c", "c", "c", "c"], id="a route that is never right"),
    ],
)
def test_the_mean_of_the_shuffles_is_exact(expected: str, answers: Sequence[str | None]) -> None:
    """The mean of the shuffled control is that of all permutations, and the p-value is near the true one."""
    reached = sum(wanted == got for wanted, got in zip(expected, answers, strict=True))
    all_matches = [
        sum(wanted == got for wanted, got in zip(expected, deal, strict=True))
        for deal in itertools.permutations(answers)
    ]

    control = compute_shuffled_control(expected, answers, seed=7)

    assert control.expected == pytest.approx(fmean(all_matches) / len(expected))
    true_p_value = fmean(matches >= reached for matches in all_matches)
    assert control.p_value == pytest.approx(true_p_value, abs=0.05)


def test_random_answers_are_within_the_shuffles() -> None:
    """The accuracy of random answers is inside the interval of the shuffles, and the p-value is not small."""
    coin = random.Random(3)
    expected = ["a", "b"] * 70
    answers = coin.choices("ab", k=140)

    control = compute_shuffled_control(expected, answers, seed=1)

    reached = sum(wanted == got for wanted, got in zip(expected, answers, strict=True)) / 140
    assert control.interval.low <= reached <= control.interval.high
    assert control.p_value > 0.05
    assert control.interval.low < 0.45 < 0.55 < control.interval.high


def test_right_answers_are_above_the_shuffles() -> None:
    """Answers that are all right have the smallest p-value, and the same seed gives the same figures."""
    expected = ["a", "b"] * 70

    control = compute_shuffled_control(expected, expected, seed=1)

    assert control.expected == 0.5
    assert control.p_value == 1 / (ROUNDS + 1)
    assert control == compute_shuffled_control(expected, expected, seed=1)
