"""Builds the report on a router from the outcomes of labelled prompts, with controls that show the effect of chance.

A failed call is a wrong answer: it counts against accuracy and recall. A fallback counts as the route that it chose,
because the request would have taken that route; `sources` shows which part of the accuracy is the classifier's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.evaluation.calibration import measure_calibration
from reasoning_grpc.evaluation.earlier_run import EarlierRun, compare_with_run
from reasoning_grpc.evaluation.routing import Outcome
from reasoning_grpc.evaluation.routing_figures import (
    AlwaysDefault,
    Controls,
    Latency,
    RouteFigures,
    RoutingReport,
    Share,
    Tokens,
    Verdict,
)
from reasoning_grpc.evaluation.shares import compute_share
from reasoning_grpc.evaluation.statistics import (
    compare_pairs,
    compute_f1_score,
    compute_shuffled_control,
    find_quantile,
)
from reasoning_grpc.v1 import errors_pb2, routing_pb2, usage_pb2

DEFAULT_ROUTE: Final = "passthrough"


def build_routing_report(
    outcomes: Sequence[Outcome],
    *,
    default_route: str = DEFAULT_ROUTE,
    seed: int = 1,
    earlier: EarlierRun | None = None,
) -> RoutingReport:
    """Computes the report from the outcomes, of which there is at least one, and compares them with an earlier run."""
    expected = [outcome.case.route for outcome in outcomes]
    verdicts = [_build_verdict(outcome) for outcome in outcomes]
    decisions = [outcome.decision for outcome in outcomes if outcome.decision is not None]
    classifications = [each.classification for each in decisions if each.HasField("classification")]
    latencies = [_convert_duration(each.latency) for each in classifications if each.HasField("latency")]
    seconds = [outcome.seconds for outcome in outcomes if outcome.seconds is not None]
    return RoutingReport(
        accuracy=_measure_accuracy(outcomes),
        controls=Controls(
            always_default=_compare_with_default(outcomes, default_route),
            shuffled=compute_shuffled_control(expected, [outcome.actual_route for outcome in outcomes], seed),
        ),
        routes=_measure_routes(outcomes),
        confusion=_count_confusion(outcomes),
        failed=_count(outcome.case.route for outcome in outcomes if outcome.decision is None),
        failures=_count(verdict.failure for verdict in verdicts if verdict.taken is None),
        sources=_measure_groups(outcomes, lambda outcome: [_name_source(outcome.decision)] if outcome.decision else []),
        fallbacks=_count(verdict.failure for verdict in verdicts if verdict.failure and verdict.taken is not None),
        tags=_measure_groups(outcomes, lambda outcome: outcome.case.tags),
        languages=_measure_groups(outcomes, lambda outcome: filter(None, [outcome.case.language])),
        calibration=measure_calibration(outcomes),
        comparison=None if earlier is None else compare_with_run(outcomes, earlier),
        classifier_models=sorted({each.model for each in classifications if each.model}),
        classifier_latency=_measure_latency(latencies) if latencies else None,
        call_latency=_measure_latency(seconds) if seconds else None,
        tokens=_sum_tokens([each.usage for each in classifications if each.HasField("usage")]),
        cost_nano_usd=_sum_cost([each for each in classifications if each.HasField("usage")]),
        seed=seed,
        prompts=verdicts,
    )


def _build_verdict(outcome: Outcome) -> Verdict:
    decision, failure = outcome.decision, ""
    if outcome.failure is not None:
        failure = outcome.failure.reason or outcome.failure.code.name
    elif decision is not None and decision.classification.failure:
        failure = _name_value(errors_pb2.ErrorReason, decision.classification.failure, "ERROR_REASON_")
    elif decision is not None and decision.classification.flaw:
        failure = _name_value(errors_pb2.AnswerFlaw, decision.classification.flaw, "ANSWER_FLAW_")
    return Verdict(
        id=outcome.case.id,
        expected=outcome.case.route,
        taken=outcome.actual_route,
        source="" if decision is None else _name_source(decision),
        failure=failure,
        seconds=outcome.seconds,
        confidence=decision.confidence if decision is not None and decision.HasField("confidence") else None,
    )


def _compare_with_default(outcomes: Sequence[Outcome], route: str) -> AlwaysDefault:
    is_right_by_default = [outcome.case.route == route for outcome in outcomes]
    pairs = Counter(zip((outcome.is_right for outcome in outcomes), is_right_by_default, strict=True))
    return AlwaysDefault(
        route=route,
        accuracy=compute_share(sum(is_right_by_default), len(outcomes)),
        gain=compare_pairs(pairs[True, False], pairs[False, True], len(outcomes)),
    )


def _measure_routes(outcomes: Sequence[Outcome]) -> dict[str, RouteFigures]:
    hits = Counter(outcome.case.route for outcome in outcomes if outcome.is_right)
    answers = Counter(outcome.actual_route for outcome in outcomes if outcome.actual_route is not None)
    support = Counter(outcome.case.route for outcome in outcomes)
    return {
        route: RouteFigures(
            precision=compute_share(hits[route], answers[route]) if answers[route] else None,
            recall=compute_share(hits[route], support[route]) if support[route] else None,
            f1=compute_f1_score(hits[route], answers[route], support[route]),
            support=support[route],
        )
        for route in sorted(answers.keys() | support.keys())
    }


def _count_confusion(outcomes: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    pairs = Counter(
        (outcome.case.route, outcome.actual_route) for outcome in outcomes if outcome.actual_route is not None
    )
    rows = sorted({outcome.case.route for outcome in outcomes})
    columns = sorted({*rows, *(actual for _, actual in pairs)})
    return {row: {column: pairs[row, column] for column in columns} for row in rows}


def _measure_groups(outcomes: Sequence[Outcome], list_keys: Callable[[Outcome], Iterable[str]]) -> dict[str, Share]:
    """Returns the accuracy of the outcomes of each key; an outcome may have several keys."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for key in list_keys(outcome):
            groups.setdefault(key, []).append(outcome)
    return {key: _measure_accuracy(groups[key]) for key in sorted(groups)}


def _measure_accuracy(outcomes: Sequence[Outcome]) -> Share:
    return compute_share(sum(outcome.is_right for outcome in outcomes), len(outcomes))


def _measure_latency(seconds: Sequence[float]) -> Latency:
    return Latency(len(seconds), *(find_quantile(seconds, share) for share in (0.5, 0.9, 0.99, 1)))


def _sum_tokens(usages: Sequence[usage_pb2.Usage]) -> Tokens:
    return Tokens(
        input=sum(usage.input_tokens for usage in usages),
        output=sum(usage.output_tokens for usage in usages),
        decisions=len(usages),
        estimated=any(usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED for usage in usages),
    )


def _sum_cost(classifications: Sequence[routing_pb2.Classification]) -> int | None:
    if not all(each.HasField("cost") for each in classifications):
        return None
    return sum(each.cost.total_nano_usd for each in classifications)


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _name_source(decision: routing_pb2.RouteDecision) -> str:
    return _name_value(routing_pb2.RouteSource, decision.source, "ROUTE_SOURCE_")


def _name_value(enum: Any, number: int, prefix: str) -> str:
    """Returns the name of an enum value without its prefix; the number of a value that these stubs do not know."""
    return str(enum.Name(number)).removeprefix(prefix) if number in enum.values() else str(number)


def _convert_duration(duration: Duration) -> float:
    """Returns the duration in seconds."""
    return duration.seconds + duration.nanos / 1e9
