"""`measure_calibration`: compares how sure a router was with how often it was right."""

from collections.abc import Sequence
from typing import Final

from reasoning_grpc.evaluation.routing import Outcome
from reasoning_grpc.evaluation.routing_figures import Calibration, CalibrationBin
from reasoning_grpc.evaluation.shares import compute_share

_BINS: Final = 10


def measure_calibration(outcomes: Sequence[Outcome]) -> Calibration | None:
    """Returns the calibration of the decisions that have a confidence; None when there are none.

    The error is that of Naeini et al., Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015.
    """
    judged = [
        (outcome.decision.confidence, outcome.is_right)
        for outcome in outcomes
        if outcome.decision is not None and outcome.decision.HasField("confidence")
    ]
    if not judged:
        return None
    bins = [each for index in range(_BINS) if (each := _measure_bin(judged, index)) is not None]
    return Calibration(
        prompts=len(judged),
        error=sum(each.prompts * abs(each.confidence - each.right.share) for each in bins) / len(judged),
        brier=sum((confidence - is_right) ** 2 for confidence, is_right in judged) / len(judged),
        bins=bins,
    )


def _measure_bin(judged: Sequence[tuple[float, bool]], index: int) -> CalibrationBin | None:
    """Returns the bin of this index; the last one includes a confidence of 1."""
    inside = [each for each in judged if min(int(each[0] * _BINS), _BINS - 1) == index]
    if not inside:
        return None
    return CalibrationBin(
        low=index / _BINS,
        high=(index + 1) / _BINS,
        prompts=len(inside),
        confidence=sum(confidence for confidence, _ in inside) / len(inside),
        right=compute_share(sum(is_right for _, is_right in inside), len(inside)),
    )
