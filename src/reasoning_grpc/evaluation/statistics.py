"""The statistics behind the figures: proportions, paired comparisons, permutations, quantiles.

Every interval is a 95 % interval.
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
"""How often the shuffled control shuffles; its smallest possible p-value is therefore 1 in 2001."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference in quality between two answerers of the same questions."""

    difference: float
    """The first's share of right answers minus the second's."""
    interval: Interval
    p_value: float
    """Two-sided: the probability of a difference of at least this size between two equally good answerers."""


@dataclass(frozen=True, slots=True)
class Shuffled:
    """The result of the same answers when each goes to a randomly chosen question."""

    expected: float
    """The exact mean of the share of right answers."""
    interval: Interval
    """The middle 95 % of the shuffles."""
    p_value: float
    """One-sided: the probability that a shuffle reaches at least the share of the answers themselves."""
    rounds: int


def compute_wilson_interval(hits: int, total: int) -> Interval:
    """Returns the score interval of a proportion. `total` is at least 1.

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


def compare_pairs(only_first: int, only_second: int, total: int) -> Difference:
    """Returns by how much the first was better than the second on the same `total` questions, at least 1.

    Only the first answered `only_first` questions rightly, and only the second answered `only_second` rightly. The
    interval is the adjusted Wald interval of Bonett and Price, Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data, Journal of Educational and Behavioral Statistics 37 (2012) 479-488. Its
    middle is a little nearer to 0 than the difference.
    """
    first, second = (only_first + 1) / (total + 2), (only_second + 1) / (total + 2)
    reach = _Z * math.sqrt((first + second - (first - second) ** 2) / (total + 2))
    return Difference(
        difference=(only_first - only_second) / total,
        interval=Interval(max(-1.0, first - second - reach), min(1.0, first - second + reach)),
        p_value=compute_mcnemar_p_value(only_first, only_second),
    )


def compute_mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Returns the exact two-sided p-value of McNemar's test of whether the two are equally good.

    It is the binomial sign test of the questions on which they differ: McNemar, Note on the sampling error of the
    difference between correlated proportions or percentages, Psychometrika 12 (1947) 153-157.
    """
    differing = only_first + only_second
    tail = sum(math.comb(differing, count) for count in range(min(only_first, only_second) + 1))
    possible: int = 2**differing
    return min(1.0, 2 * tail / possible)  # only whole numbers before this line, so nothing is rounded


def compute_shuffled_control(expected: Sequence[str], answers: Sequence[str | None], seed: int) -> Shuffled:
    """Returns the result of the answers when they are shuffled among the questions; None is always wrong.

    The mean is exact, because each answer meets each question equally often. Interval and p-value come from random
    permutations. The p-value counts the answers themselves as one of them: Phipson and Smyth, Permutation p-values
    should never be zero, Statistical Applications in Genetics and Molecular Biology 9 (2010) article 39.
    """
    total, mix = len(expected), Counter(answers)
    mean = sum(count * mix[route] for route, count in Counter(expected).items()) / total**2
    hits = _count_matches(expected, answers)
    shuffled, generator = list(answers), random.Random(seed)
    shuffles = []
    for _ in range(ROUNDS):
        generator.shuffle(shuffled)
        shuffles.append(_count_matches(expected, shuffled))
    as_good = sum(matches >= hits for matches in shuffles)
    return Shuffled(
        expected=mean,
        interval=Interval(find_quantile(shuffles, 0.025) / total, find_quantile(shuffles, 0.975) / total),
        p_value=(as_good + 1) / (ROUNDS + 1),
        rounds=ROUNDS,
    )


def compute_f1_score(hits: int, answers: int, support: int) -> float | None:
    """Returns the harmonic mean of precision, hits / `answers`, and recall, hits / `support`; None when both are 0 / 0.

    Van Rijsbergen, Information Retrieval, 2nd edition (1979), chapter 7.
    """
    return 2 * hits / (answers + support) if answers + support else None


def find_quantile(values: Sequence[float], share: float) -> float:
    """Returns the nearest rank: the smallest of the values which at least this share of them does not exceed.

    Definition 1 in Hyndman and Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996)
    361-365. There is at least one value; `share` is above 0 and at most 1.
    """
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _count_matches(expected: Sequence[str], answers: Sequence[str | None]) -> int:
    return sum(wanted == answer for wanted, answer in zip(expected, answers, strict=True))
