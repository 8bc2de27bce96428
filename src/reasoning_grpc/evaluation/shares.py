"""`compute_share`: a share with its interval."""

from reasoning_grpc.evaluation.routing_figures import Share
from reasoning_grpc.evaluation.statistics import compute_wilson_interval


def compute_share(hits: int, total: int) -> Share:
    """Returns the share of hits in `total`, which is at least 1."""
    return Share(hits, total, hits / total, compute_wilson_interval(hits, total))
