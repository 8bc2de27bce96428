"""The statistics behind the figures: proportions, paired comparisons, permutations, quantiles.

Every interval is of 95 %.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

_Z: Final = NormalDist().inv_cdf(0.975)
ROUNDS: Final = 2000
"""How often the shuffled control shuffles: the least p-value that it can tell is 1 in 2001."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one of two answerers of the same questions was."""

    difference: float
    """Its share of right answers less the other's."""
    interval: Interval
    p_value: float
    """Two-sided: how likely a difference of this size would be between two that are equally good."""


@dataclass(frozen=True, slots=True)
class Shuffled:
    """What answers would reach if each went to a question drawn by lot."""

    expected: float
    """The mean share of right answers, exactly."""
    interval: Interval
    """The middle 95 % of the shuffles."""
    p_value: float
    """One-sided: how likely a shuffle is to reach at least what the answers themselves reached."""
    rounds: int


def wilson_interval(hits: int, total: int) -> Interval:
    """The score interval of a proportion. `total` is at least 1.

    Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212; method 3 in
    Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998) 857-872.
    """
    share, shrink = hits / total, 1 + _Z**2 / total
    middle = (share + _Z**2 / (2 * total)) / shrink
    reach = _Z / shrink * math.sqrt(share * (1 - share) / total + _Z**2 / (4 * total**2))
    return Interval(
        low=max(0.0, middle - reach) if hits else 0.0,
        high=min(1.0, middle + reach) if hits < total else 1.0,
    )


def paired_difference(only_first: int, only_second: int, total: int) -> Difference:
    """The first's share of right answers less the second's, over the same questions. `total` is at least 1.

    `only_first` questions were answered rightly by the first alone, `only_second` by the second alone. The interval is
    the adjusted Wald interval of Bonett and Price, Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data, Journal of Educational and Behavioral Statistics 37 (2012) 479-488. Its middle
    is drawn a little towards 0.
    """
    first, second = (only_first + 1) / (total + 2), (only_second + 1) / (total + 2)
    reach = _Z * math.sqrt((first + second - (first - second) ** 2) / (total + 2))
    return Difference(
        difference=(only_first - only_second) / total,
        interval=Interval(max(-1.0, first - second - reach), min(1.0, first - second + reach)),
        p_value=mcnemar_p_value(only_first, only_second),
    )


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test: are the two equally good?

    The binomial sign test of the questions on which they differ; McNemar, Note on the sampling error of the
    difference between correlated proportions or percentages, Psychometrika 12 (1947) 153-157.
    """
    differing = only_first + only_second
    tail = sum(math.comb(differing, count) for count in range(min(only_first, only_second) + 1))
    possible: int = 2**differing
    return min(1.0, 2 * tail / possible)  # whole numbers up to here: no rounding, however many they are


def shuffled_control(expected: Sequence[str], taken: Sequence[str | None], seed: int) -> Shuffled:
    """How answers would do that keep their mix and lose their questions; None is no answer, and always wrong.

    The mean is exact: an answer meets each question equally often. Interval and p-value are of random permutations;
    that the p-value counts the answers themselves as one of them is from Phipson and Smyth, Permutation p-values
    should never be zero, Statistical Applications in Genetics and Molecular Biology 9 (2010) article 39.
    """
    total, mix = len(expected), Counter(taken)
    mean = sum(count * mix[route] for route, count in Counter(expected).items()) / total**2
    reached = _matches(expected, taken)
    deck, lot = list(taken), random.Random(seed)
    shuffles = []
    for _ in range(ROUNDS):
        lot.shuffle(deck)
        shuffles.append(_matches(expected, deck))
    as_good = sum(matches >= reached for matches in shuffles)
    return Shuffled(
        expected=mean,
        interval=Interval(quantile(shuffles, 0.025) / total, quantile(shuffles, 0.975) / total),
        p_value=(as_good + 1) / (ROUNDS + 1),
        rounds=ROUNDS,
    )


def f1_score(hits: int, taken: int, support: int) -> float | None:
    """The harmonic mean of precision (hits of `taken`) and recall (hits of `support`); None when both are of nothing.

    Van Rijsbergen, Information Retrieval, 2nd edition (1979), chapter 7.
    """
    return 2 * hits / (taken + support) if taken + support else None


def quantile(values: Sequence[float], share: float) -> float:
    """The least of the values that at least this share of them do not exceed: the nearest rank, always one of them.

    Definition 1 in Hyndman and Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996)
    361-365. There is at least one value; `share` is above 0 and at most 1.
    """
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _matches(expected: Sequence[str], taken: Sequence[str | None]) -> int:
    return sum(wanted == got for wanted, got in zip(expected, taken, strict=True))
