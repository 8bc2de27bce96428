"""`DeltaGaps`: how the deltas of an answer follow each other."""

from bisect import bisect_left

from reasoning_grpc.domain import Pace, Usage
from reasoning_grpc.telemetry import DELTA_GAP_BOUNDS


class DeltaGaps:
    """The times between the deltas of an answer that has at least two."""

    __slots__ = ("_counts", "_first_seconds", "_last_seconds")

    def __init__(self, first_seconds: float) -> None:
        """`first_seconds` is when the first delta came."""
        self._first_seconds = self._last_seconds = first_seconds
        self._counts = [0] * (len(DELTA_GAP_BOUNDS) + 1)

    def record(self, elapsed: float) -> None:
        """Records that another delta has come at this time."""
        self._counts[bisect_left(DELTA_GAP_BOUNDS, elapsed - self._last_seconds)] += 1
        self._last_seconds = elapsed

    def measure(self, usage: Usage, *, shows_reasoning: bool) -> Pace:
        """Returns the pace of an answer that used these tokens, and among whose deltas is its reasoning or is not."""
        # Reasoning that the provider keeps to itself comes before the first delta.
        hidden_tokens = 0 if shows_reasoning else usage.reasoning_tokens or 0
        seconds, tokens = self._last_seconds - self._first_seconds, usage.output_tokens - hidden_tokens
        return Pace(self._counts, seconds, seconds / (tokens - 1) if tokens > 1 else None)
