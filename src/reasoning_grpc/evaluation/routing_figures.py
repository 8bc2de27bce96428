"""The figures of the report on a router; `eval --json` prints them by the names of these fields."""

from dataclasses import dataclass

from reasoning_grpc.evaluation.statistics import Difference, Interval, Shuffled


@dataclass(frozen=True, slots=True)
class Share:
    """A share, with the interval in which the true share may lie."""

    hits: int
    total: int
    share: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """The figures that say how well one route is told apart from the others."""

    precision: Share | None
    """The share of prompts that should take the route among those that took it; None when none took it."""
    recall: Share | None
    """The share of prompts that took the route among those that should take it; None when none should."""
    f1: float | None
    support: int
    """The number of prompts that should take the route."""


@dataclass(frozen=True, slots=True)
class AlwaysDefault:
    """The control that sends every prompt to one route."""

    route: str
    accuracy: Share
    gain: Difference
    """By how much the router is better than this control."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls with which the accuracy has to be compared."""

    always_default: AlwaysDefault
    shuffled: Shuffled


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The decisions whose confidence lies between two bounds."""

    low: float
    high: float
    prompts: int
    confidence: float
    """The mean confidence."""
    right: Share
    """How often they were right; a calibrated router is right as often as it is confident."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the confidence of a router is worth."""

    prompts: int
    """The number of decisions that have a confidence."""
    error: float
    """The expected calibration error: the mean distance of confidence and share of right answers, over the bins."""
    brier: float
    """The mean squared distance of the confidence from 1 where the route is right and from 0 where it is wrong."""
    bins: list[CalibrationBin]
    """Ten bins of equal width; those without a decision are left out."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference of this run from an earlier one on the same prompts."""

    prompts: int
    """The number of prompts that both runs have."""
    overall: Difference
    tags: dict[str, Difference]
    """The difference by tag."""
    languages: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in seconds, as nearest ranks, so that each is a measured value."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that the classifications used."""

    input: int
    output: int
    decisions: int
    """The number of decisions that report their usage."""
    estimated: bool
    """Whether the server estimated any of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One case with its outcome."""

    id: str
    expected: str
    taken: str | None
    """The route that the server chose; None when the call failed."""
    source: str
    """The source of the decision; empty when the call failed."""
    failure: str
    """The reason for which the call failed or the classifier's answer could not be used; empty when neither is so."""
    seconds: float | None
    """The duration of the call; None when no call was made."""
    confidence: float | None
    """The confidence of the decision; None when it has none."""


@dataclass(frozen=True, slots=True)
class RoutingReport:
    """All figures of one run; `eval --json` prints these fields by these names."""

    accuracy: Share
    controls: Controls
    routes: dict[str, RouteFigures]
    confusion: dict[str, dict[str, int]]
    """The number of prompts by expected route, then by chosen route."""
    failed: dict[str, int]
    """The number of failed calls by expected route."""
    failures: dict[str, int]
    """The number of failed calls by reason."""
    sources: dict[str, Share]
    """The accuracy by the source of the decision."""
    fallbacks: dict[str, int]
    """The number of classifier's answers that could not be used, by reason."""
    tags: dict[str, Share]
    languages: dict[str, Share]
    """The accuracy by language, of the prompts whose file says the language."""
    calibration: Calibration | None
    """None when no decision has a confidence."""
    comparison: Comparison | None
    """None when there is no earlier run to compare with."""
    classifier_models: list[str]
    classifier_latency: Latency | None
    """None when no decision needed the classifier."""
    call_latency: Latency | None
    """None when no call was made."""
    tokens: Tokens
    cost_nano_usd: int | None
    """The cost of the tokens in billionths of a US dollar; None when a price is not known."""
    seed: int
    prompts: list[Verdict]
