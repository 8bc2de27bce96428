"""`ModelTimeouts`: the limits on the time of an attempt at a model call."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTimeouts:
    """Our own limits on one attempt at a model call, in addition to the caller's deadline."""

    first_token_seconds: float = 60.0
    """The time until the first delta."""
    stall_seconds: float = 60.0
    """The time between two deltas."""
    total_seconds: float = 600.0
    """The time until the end of the answer."""
