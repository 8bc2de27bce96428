"""`FirstTokenTimes`: knows how long an upstream takes to begin an answer, and so which silence is unusual."""

from typing import Final

_LEAST_SECONDS: Final = 1.0
"""No shorter silence is unusual, because a busy moment of this process can take nearly as long."""
_UNKNOWN_SECONDS: Final = 10.0
"""The silence that is unusual for an upstream that has not answered yet: a reasoning model may take 8 seconds."""
_FACTOR: Final = 2.0
"""How many times the longest time of late a silence must last to be unusual."""
_FALL_SHARE: Final = 0.02
"""The share of the difference by which the longest time falls with each shorter one."""


class FirstTokenTimes:
    """The times that one upstream took to begin its answers.

    A call that is cut by a short deadline says little about the upstream, because a healthy model may take longer than
    that. So its silence counts only under two conditions:

    - It lasted at least a second, and twice as long as the slowest answers of late took to begin. The slowest decide,
      and not the average, because a model may answer short prompts at once and long ones after seconds. Only times of
      first tokens are recorded, so calls with short deadlines do not change what is usual.
    - The upstream began no other answer meanwhile. A caller whose prompts are too long for its deadline thus says
      nothing against an upstream that answers others.
    """

    def __init__(self) -> None:
        self._longest: float | None = None
        """It rises at once, and falls slowly. None before the first answer."""
        self._last_began = float("-inf")

    def record(self, seconds: float, now: float) -> None:
        """Records that an answer begins now, after this time."""
        longest = self._longest
        if longest is None or seconds >= longest:
            self._longest = seconds
        else:
            self._longest = longest + (seconds - longest) * _FALL_SHARE
        self._last_began = now

    def is_silent_since(self, time: float) -> bool:
        """Whether no answer has begun after this time."""
        return self._last_began <= time

    def is_unusual(self, seconds: float) -> bool:
        """Whether a silence of this length is unusual."""
        if self._longest is None:
            return seconds >= _UNKNOWN_SECONDS
        return seconds >= max(_LEAST_SECONDS, _FACTOR * self._longest)
