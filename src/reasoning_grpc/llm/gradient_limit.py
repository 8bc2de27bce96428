"""`GradientLimit`: finds out how much may be in progress at an upstream at once, from how long it takes to begin."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

_TOLERANCE: Final = 1.5
"""How many times the usual time counts as usual still."""
_SLACK_SECONDS: Final = 0.5
"""How much more counts as usual besides. A burst of calls makes this process itself that slow for a moment, which says
nothing about an upstream that answers in milliseconds; one that is too full takes seconds more."""
_LARGEST_CUT: Final = 0.5
"""The smallest part of the limit that one step leaves."""
_SMOOTHING: Final = 0.2
"""The share of a step that the limit takes at once, so that one bad window does not decide."""
_USUAL_SHARE: Final = 0.05
"""The share of a new window in the exponential moving average of the usual time."""
_RECOVERY: Final = 0.95
"""How the usual time comes down when the upstream has become much faster than it."""
_DROP_FACTOR: Final = 0.7
"""The part of the limit that is left when the upstream refuses a call because it gets too many."""


@dataclass(slots=True)
class _Window:
    began: float
    count: int = 0
    seconds: float = 0.0
    most_in_progress: int = 0
    has_cut: bool = False


class GradientLimit:
    """An adaptive limit: it grows while the times stay usual, and shrinks as they grow beyond that.

    It works like the limit "Gradient2" of Netflix's concurrency-limits: it compares the average of a short window with
    a long exponential moving average. An average as the base line sheds less than the shortest time ever seen, to
    which everything else is slow. It makes no step on few samples, nor for a limit that is far from being used.
    """

    def __init__(
        self, *, initial: int, minimum: int, maximum: int, window_seconds: float = 1.0, window_samples: int = 10
    ) -> None:
        self._limit = float(initial)
        self.limit = initial
        """How much may be in progress at once; only this class sets it."""
        self._minimum, self._maximum = minimum, maximum
        self._window_seconds, self._window_samples = window_seconds, window_samples
        self._usual: float | None = None
        self._window: _Window | None = None

    def record(self, seconds: float, in_progress: int, now: float) -> bool:
        """Records how long the upstream took to begin an answer, and how much was in progress meanwhile.

        `now` is the time of a monotonic clock, in seconds. Returns whether the limit may have changed.
        """
        window = self._window
        if window is None or window.has_cut:
            window = self._find_window(now)
        window.count += 1
        window.seconds += seconds
        if in_progress > window.most_in_progress:
            window.most_in_progress = in_progress
        if window.count < self._window_samples or now - window.began < self._window_seconds:
            return False
        self._step(window)
        self._window = None
        return True

    def record_refusal(self, now: float) -> None:
        """Records that the upstream refused a call because it gets too many. It counts once a window."""
        window = self._find_window(now)
        if not window.has_cut:
            window.has_cut = True
            self._set(self._limit * _DROP_FACTOR)

    def _find_window(self, now: float) -> _Window:
        if self._window is None or (self._window.has_cut and now - self._window.began >= self._window_seconds):
            self._window = _Window(now)
        return self._window

    def _step(self, window: _Window) -> None:
        short = window.seconds / window.count
        usual = short if self._usual is None else self._usual + (short - self._usual) * _USUAL_SHARE
        self._usual = usual * _RECOVERY if usual > 2 * short else usual
        if window.has_cut or (short <= self._usual and window.most_in_progress < self._limit / 2):
            return
        gradient = max(_LARGEST_CUT, min(1.0, (_TOLERANCE * self._usual + _SLACK_SECONDS) / short)) if short else 1.0
        # A limit far above what was in progress did not bound it, so a cut begins there.
        limit = min(self._limit, 2.0 * window.most_in_progress) if gradient < 1 else self._limit
        target = limit * gradient + sqrt(limit)
        if target > limit and window.most_in_progress < limit / 2:
            return
        self._set(limit + (target - limit) * _SMOOTHING)

    def _set(self, limit: float) -> None:
        self._limit = min(float(self._maximum), max(float(self._minimum), limit))
        self.limit = int(self._limit)
