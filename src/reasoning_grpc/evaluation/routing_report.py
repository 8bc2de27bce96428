"""What the outcomes of labelled prompts say of a router, beside what chance would say.

A call that failed is a wrong answer: it counts against accuracy and recall. A fallback counts as the route that it
took, because that is the route that the request would have taken; `sources` tells how much of the accuracy is the
classifier's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.evaluation.routing import Outcome
from reasoning_grpc.evaluation.statistics import (
    Difference,
    Interval,
    Shuffled,
    f1_score,
    paired_difference,
    quantile,
    shuffled_control,
    wilson_interval,
)
from reasoning_grpc.v1 import errors_pb2, routing_pb2, usage_pb2

DEFAULT_ROUTE: Final = "passthrough"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, with the interval in which the true share may lie."""

    hits: int
    total: int
    share: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """How well one route is told from the others."""

    precision: Share | None
    """Of the prompts that took it, those that should; None when none took it."""
    recall: Share | None
    """Of the prompts that should take it, those that did; None when none should."""
    f1: float | None
    support: int
    """How many prompts should take it."""


@dataclass(frozen=True, slots=True)
class AlwaysDefault:
    """The control that sends every prompt to one route."""

    route: str
    accuracy: Share
    gain: Difference
    """What the router is better by."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What the accuracy has to be compared with."""

    always_default: AlwaysDefault
    shuffled: Shuffled


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds: nearest ranks, so each one was measured."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that classifying used."""

    input: int
    output: int
    decisions: int
    """How many decisions told their usage."""
    estimated: bool
    """Whether the server estimated any of it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A case, and what became of it."""

    id: str
    expected: str
    taken: str | None
    source: str
    """What decided; empty when the call failed."""
    failure: str
    """Why the call failed, or why the classifier's answer could not be used; empty when neither."""
    seconds: float


@dataclass(frozen=True, slots=True)
class RoutingReport:
    """All figures of one run. Its fields are those of the JSON."""

    accuracy: Share
    controls: Controls
    routes: dict[str, RouteFigures]
    confusion: dict[str, dict[str, int]]
    """The route expected, then the route taken."""
    failed: dict[str, int]
    """The route expected of the calls that failed."""
    failures: dict[str, int]
    """The reasons for which calls failed."""
    sources: dict[str, Share]
    """What decided, and how often it was right."""
    fallbacks: dict[str, int]
    """The reasons for which the classifier's answer could not be used."""
    tags: dict[str, Share]
    classifier_models: list[str]
    classifier_latency: Latency | None
    """None when no classifier was asked."""
    call_latency: Latency
    tokens: Tokens
    cost_nano_usd: int | None
    """What those cost, in billionths of a US dollar; None when a price is not known."""
    seed: int
    prompts: list[Verdict]


def routing_report(outcomes: Sequence[Outcome], *, default_route: str = DEFAULT_ROUTE, seed: int = 1) -> RoutingReport:
    """The figures of at least one outcome."""
    expected = [outcome.case.route for outcome in outcomes]
    verdicts = [_verdict(outcome) for outcome in outcomes]
    decisions = [outcome.decision for outcome in outcomes if outcome.decision is not None]
    classifications = [each.classification for each in decisions if each.HasField("classification")]
    measured = [_seconds(each.latency) for each in classifications if each.HasField("latency")]
    return RoutingReport(
        accuracy=_right(outcomes),
        controls=Controls(
            always_default=_always_default(outcomes, default_route),
            shuffled=shuffled_control(expected, [outcome.taken for outcome in outcomes], seed),
        ),
        routes=_routes(outcomes),
        confusion=_confusion(outcomes),
        failed=_counts(outcome.case.route for outcome in outcomes if outcome.decision is None),
        failures=_counts(verdict.failure for verdict in verdicts if verdict.taken is None),
        sources=_right_by(outcomes, lambda outcome: [_source(outcome.decision)] if outcome.decision else []),
        fallbacks=_counts(verdict.failure for verdict in verdicts if verdict.failure and verdict.taken is not None),
        tags=_right_by(outcomes, lambda outcome: outcome.case.tags),
        classifier_models=sorted({each.model for each in classifications if each.model}),
        classifier_latency=_latency(measured) if measured else None,
        call_latency=_latency([outcome.seconds for outcome in outcomes]),
        tokens=_tokens([each.usage for each in classifications if each.HasField("usage")]),
        cost_nano_usd=_cost_nano_usd([each for each in classifications if each.HasField("usage")]),
        seed=seed,
        prompts=verdicts,
    )


def _verdict(outcome: Outcome) -> Verdict:
    decision, failure = outcome.decision, ""
    if outcome.failure is not None:
        failure = outcome.failure.reason or outcome.failure.code.name
    elif decision is not None and decision.classification.failure:
        failure = _word(errors_pb2.ErrorReason, decision.classification.failure, "ERROR_REASON_")
    elif decision is not None and decision.classification.flaw:
        failure = _word(errors_pb2.AnswerFlaw, decision.classification.flaw, "ANSWER_FLAW_")
    return Verdict(
        id=outcome.case.id,
        expected=outcome.case.route,
        taken=outcome.taken,
        source="" if decision is None else _source(decision),
        failure=failure,
        seconds=outcome.seconds,
    )


def _always_default(outcomes: Sequence[Outcome], route: str) -> AlwaysDefault:
    by_default = [outcome.case.route == route for outcome in outcomes]
    pairs = Counter(zip((outcome.is_right for outcome in outcomes), by_default, strict=True))
    return AlwaysDefault(
        route=route,
        accuracy=_required_share(sum(by_default), len(outcomes)),
        gain=paired_difference(pairs[True, False], pairs[False, True], len(outcomes)),
    )


def _routes(outcomes: Sequence[Outcome]) -> dict[str, RouteFigures]:
    hits = Counter(outcome.case.route for outcome in outcomes if outcome.is_right)
    taken = Counter(outcome.taken for outcome in outcomes if outcome.taken is not None)
    support = Counter(outcome.case.route for outcome in outcomes)
    return {
        route: RouteFigures(
            precision=_share(hits[route], taken[route]),
            recall=_share(hits[route], support[route]),
            f1=f1_score(hits[route], taken[route], support[route]),
            support=support[route],
        )
        for route in sorted(taken.keys() | support.keys())
    }


def _confusion(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    pairs = Counter((outcome.case.route, outcome.taken) for outcome in outcomes if outcome.taken is not None)
    rows = sorted({outcome.case.route for outcome in outcomes})
    columns = sorted({*rows, *(taken for _, taken in pairs)})
    return {row: {column: pairs[row, column] for column in columns} for row in rows}


def _right_by(outcomes: Sequence[Outcome], keys: Callable[[Outcome], Iterable[str]]) -> dict[str, Share]:
    """How many are right under each key; an outcome may have several."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for key in keys(outcome):
            groups.setdefault(key, []).append(outcome)
    return {key: _right(groups[key]) for key in sorted(groups)}


def _right(outcomes: Sequence[Outcome]) -> Share:
    return _required_share(sum(outcome.is_right for outcome in outcomes), len(outcomes))


def _share(hits: int, total: int) -> Share | None:
    return _required_share(hits, total) if total else None


def _required_share(hits: int, total: int) -> Share:
    return Share(hits, total, hits / total, wilson_interval(hits, total))


def _latency(seconds: Sequence[float]) -> Latency:
    return Latency(len(seconds), *(quantile(seconds, share) for share in (0.5, 0.9, 0.99, 1)))


def _tokens(usages: Sequence[usage_pb2.Usage]) -> Tokens:
    return Tokens(
        input=sum(usage.input_tokens for usage in usages),
        output=sum(usage.output_tokens for usage in usages),
        decisions=len(usages),
        estimated=any(usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED for usage in usages),
    )


def _cost_nano_usd(classifications: Sequence[routing_pb2.Classification]) -> int | None:
    if not all(each.HasField("cost") for each in classifications):
        return None
    return sum(each.cost.total_nano_usd for each in classifications)


def _counts(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _source(decision: routing_pb2.RouteDecision) -> str:
    return _word(routing_pb2.RouteSource, decision.source, "ROUTE_SOURCE_")


def _word(enum: Any, number: int, prefix: str) -> str:
    """The value's own word; its number, when a newer server sent one that these stubs do not know."""
    return str(enum.Name(number)).removeprefix(prefix) if number in enum.values() else str(number)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
