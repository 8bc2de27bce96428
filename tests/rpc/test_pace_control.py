"""How the lag of the event loop and refusals set the pause between two reads of an upstream's answer."""

import pytest

from reasoning_grpc.domain import ReadingPace
from reasoning_grpc.rpc.pace_control import PaceControl

_SAMPLES = 300
"""So many samples that those before them count no longer."""


def find_pause(lag_seconds: float, *, has_refused: bool, is_limited: bool = False) -> float:
    """Returns the pause at a lasting lag, when 25 ms are accepted and half a second is the longest pause."""
    pace = ReadingPace()
    control = PaceControl(pace, max_lag_seconds=0.025, longest_pause_seconds=0.5)
    for _ in range(_SAMPLES):
        control.record(lag_seconds, has_refused=has_refused, is_limited=is_limited)
    return pace.pause_seconds


@pytest.mark.parametrize("has_refused", [False, True])
@pytest.mark.parametrize("lag_seconds", [0.0, 0.004])
def test_a_loop_that_lags_little_pauses_nothing(lag_seconds: float, *, has_refused: bool) -> None:
    """Not even when calls are refused, as they are where the configuration admits few."""
    assert find_pause(lag_seconds, has_refused=has_refused) == 0.0


@pytest.mark.parametrize(
    ("lag_seconds", "has_refused", "expected"),
    [(0.0125, False, 0.05), (0.025, False, 0.1), (1.0, False, 0.1), (0.0125, True, 0.25), (0.025, True, 0.5)],
)
def test_pauses_grow_with_the_lag_and_are_longest_while_calls_are_refused(
    lag_seconds: float, has_refused: bool, expected: float
) -> None:
    """A fifth of the longest pause is what a lag alone can cause."""
    assert find_pause(lag_seconds, has_refused=has_refused) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("lag_seconds", [0.0, 0.0125, 0.025])
def test_pauses_are_longest_while_calls_are_refused_below_the_configured_bound(lag_seconds: float) -> None:
    """The bound keeps the lag low then, so the lag says nothing about what shorter pauses would cost."""
    assert find_pause(lag_seconds, has_refused=True, is_limited=True) == pytest.approx(0.5, rel=1e-3)
    assert find_pause(0.0, has_refused=False, is_limited=True) == 0.0


def test_pauses_outlast_a_tenth_of_a_second_without_refusals() -> None:
    """Refusals come and go with each change of the bound of the calls in flight."""
    pace = ReadingPace()
    control = PaceControl(pace, max_lag_seconds=0.025, longest_pause_seconds=0.5)
    for _ in range(_SAMPLES):
        control.record(0.0, has_refused=True, is_limited=True)

    for _ in range(5):
        control.record(0.0, has_refused=False, is_limited=True)

    assert pace.pause_seconds > 0.35


def test_one_long_turn_pauses_nothing() -> None:
    """Such as the one in which a library is imported."""
    pace = ReadingPace()
    control = PaceControl(pace, max_lag_seconds=0.025, longest_pause_seconds=0.5)

    control.record(3.0, has_refused=False, is_limited=False)
    control.record(0.0, has_refused=False, is_limited=False)

    assert pace.pause_seconds == 0.0


def test_an_idle_process_pauses_nothing() -> None:
    """The next call is not read with the pauses of the load before it."""
    pace = ReadingPace()
    control = PaceControl(pace, max_lag_seconds=0.025, longest_pause_seconds=0.5)
    for _ in range(_SAMPLES):
        control.record(1.0, has_refused=True, is_limited=True)

    control.rest()

    assert pace.pause_seconds == 0.0
    control.record(0.0, has_refused=False, is_limited=False)
    assert pace.pause_seconds == 0.0
