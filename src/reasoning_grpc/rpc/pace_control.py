"""`PaceControl`: lets tokens leave in groups before calls are refused, and in larger ones while they are."""

from typing import Final

from reasoning_grpc.domain import ReadingPace

_WEIGHT: Final = 0.2
"""The weight of the latest sample in the average lag. A sample is taken some fifty times a second."""
_REFUSALS_WEIGHT: Final = 0.03
"""The weight of the latest sample in the share of samples in which calls were refused. That is an average of a second
or so: refusals come and go with each change of the bound of the calls in flight, and the pauses shall not."""
_LEAST_PRESSURE: Final = 0.2
"""The lag, to the one that is accepted, from which on answers are read with pauses."""
_SHARE_OF_LAG: Final = 0.2
"""The longest pause while no call is refused, to the one while calls are."""


class PaceControl:
    """Sets the pace at which answers are read by the lag of the event loop, and by whether calls are refused."""

    def __init__(self, pace: ReadingPace, *, max_lag_seconds: float, longest_pause_seconds: float) -> None:
        """`max_lag_seconds` is the average lag that is accepted."""
        self._pace = pace
        self._max_lag = max_lag_seconds
        self._longest = longest_pause_seconds
        self._pressure = 0.0
        """The average lag, to the one that is accepted; at most 1."""
        self._refusing = 0.0
        """The share of the latest samples in which calls were refused."""

    def record(self, lag_seconds: float, *, has_refused: bool, is_limited: bool) -> None:
        """Records a sample of the lag, and whether a call was refused since the one before.

        `is_limited` says that fewer calls are admitted than the configuration allows, because the loop has lagged. Then
        refusals alone set the pauses: that the loop does not lag is the work of the bound, and shorter pauses would
        only refuse more.
        """
        self._pressure += (min(1.0, lag_seconds / self._max_lag) - self._pressure) * _WEIGHT
        self._refusing += (has_refused - self._refusing) * _REFUSALS_WEIGHT
        pressure = self._pressure if self._pressure >= _LEAST_PRESSURE else 0.0
        if is_limited:
            pressure = max(pressure, self._refusing)
        share = _SHARE_OF_LAG + (1 - _SHARE_OF_LAG) * self._refusing
        self._pace.pause_seconds = self._longest * pressure * share

    def rest(self) -> None:
        """Ends all pauses: no call is in flight."""
        self._pressure = self._refusing = self._pace.pause_seconds = 0.0
