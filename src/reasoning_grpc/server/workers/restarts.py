"""`Restarts`: when a worker that died is started again, and when that is given up."""

from typing import Final

_FIRST_DELAY_SECONDS: Final = 0.1
_LONGEST_DELAY_SECONDS: Final = 30.0
_GOOD_RUN_SECONDS: Final = 30.0
"""After a run of this length a worker is replaced at once, because the cause must be a new one."""
MOST_FAILED_STARTS: Final = 5
"""The number of starts in a row without any that has succeeded, after which no more is tried."""


class Restarts:
    """Counts how the workers with one number end."""

    def __init__(self) -> None:
        self._delay_seconds = 0.0
        self._failed_starts = 0

    @property
    def are_hopeless(self) -> bool:
        """Whether the worker has failed to start so often that it will not start any more."""
        return self._failed_starts >= MOST_FAILED_STARTS

    def record_end(self, *, has_served: bool, lived_seconds: float) -> float:
        """Records the end of a worker, and returns the seconds after which the next one is started."""
        self._failed_starts = 0 if has_served else self._failed_starts + 1
        if has_served and lived_seconds >= _GOOD_RUN_SECONDS:
            self._delay_seconds = 0.0
        delay_seconds = self._delay_seconds
        self._delay_seconds = min(max(2 * delay_seconds, _FIRST_DELAY_SECONDS), _LONGEST_DELAY_SECONDS)
        return delay_seconds
