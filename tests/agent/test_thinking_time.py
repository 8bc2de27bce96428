"""`ThinkingTime` reserves time for the answer, as much as the measured speed of the model asks for."""

from typing import Final

import pytest

from reasoning_grpc.agent.thinking_time import Speed, Speeds, ThinkingTime
from reasoning_grpc.domain import FinishReason, ModelCallPurpose, Usage, UsageSource
from reasoning_grpc.domain.events import AttemptSwitched, InternalDelta, ModelCallFinished, ModelCallStarted
from tests.support.factories import a_context

STEP: Final = Speed(0.1, 0.01, 40)
GUESS: Final = Speed(0.1, 0.01).answer_tokens
TOKENS: Final = 10
DEADLINE: Final = 3.0


class Run:
    """The thinking time of a run that begins at 0 and has a deadline, on a clock that moves only when it is told to."""

    def __init__(self, speeds: Speeds | None = None, *, max_answer_tokens: int | None = TOKENS) -> None:
        self._now = 0.0
        self.time = ThinkingTime(
            speeds or Speeds(),
            "fake",
            a_context(deadline=DEADLINE),
            limit_seconds=60,
            max_answer_tokens=max_answer_tokens,
            clock=lambda: self._now,
        )

    def make_step(self, seconds: float, delay_seconds: float = 0.0) -> None:
        """Records a step whose tokens come at an even pace, after the delay of a retry."""
        if delay_seconds:
            self.time.record(AttemptSwitched("fake", "fake", 2, "UPSTREAM_OVERLOADED", delay_seconds=delay_seconds))
        self._make_call(ModelCallPurpose.STEP, seconds, delay_seconds)

    def make_answer(self, seconds: float) -> None:
        """Records an answer whose tokens come at an even pace."""
        self._make_call(ModelCallPurpose.SYNTHESIS, seconds)

    def _make_call(self, purpose: ModelCallPurpose, seconds: float, delay_seconds: float = 0.0) -> None:
        self.time.record(ModelCallStarted(purpose, "fake"))
        self._now += delay_seconds + seconds / TOKENS
        self.time.record(InternalDelta("word"))
        self._now += seconds - seconds / TOKENS
        usage = Usage(10, TOKENS, 10 + TOKENS, UsageSource.PROVIDER)
        self.time.record(ModelCallFinished(purpose, "fake", 1, FinishReason.STOP, "stop", usage))


async def test_a_third_of_the_time_is_kept_for_an_unknown_model() -> None:
    """Before a speed was measured, a third of the time is kept for the answer."""
    assert Run().time.end_time() == pytest.approx(DEADLINE * 2 / 3)


@pytest.mark.parametrize(("seconds", "end"), [(0.1, 2.7), (0.7, 1.85), (1.0, 1.4)])
async def test_the_reserve_follows_the_speed_of_the_model(seconds: float, end: float) -> None:
    """The slower a model was, the earlier the thinking ends, but a tenth of the time is always kept."""
    run = Run()

    run.make_step(seconds)

    assert run.time.end_time() == pytest.approx(end)


async def test_the_slowest_step_counts() -> None:
    """After a slow step, a quick one does not shorten the reserve."""
    run = Run()

    run.make_step(0.7)
    run.make_step(0.1)

    assert run.time.end_time() == pytest.approx(1.85)


async def test_the_wait_for_a_retry_does_not_count_as_slowness() -> None:
    """The wait before a retry does not enlarge the time that is reserved for the answer."""
    run = Run()

    run.make_step(0.7, delay_seconds=1.0)

    assert run.time.end_time() == pytest.approx(1.85)


async def test_the_reserve_follows_the_length_of_the_answers() -> None:
    """A long answer is expected at first; after short answers, more of the time is used for thinking."""
    speeds, ends = Speeds(), []

    for _ in range(6):
        run = Run(speeds, max_answer_tokens=None)
        run.make_step(0.1)
        ends.append(run.time.end_time())
        run.make_answer(0.1)

    assert ends[0] < 0
    assert ends == sorted(ends)
    assert ends[-1] > DEADLINE * 0.8


def record_answers(speeds: Speeds, *tokens: int) -> float:
    """Records answers of these lengths, and returns the expected length of the next one in tokens."""
    for each in tokens:
        speeds.record("fake", Speed(0.1, 0.01, each), answer=True)
    speed = speeds.get("fake")
    assert speed is not None
    return speed.answer_tokens


def test_short_answers_replace_the_first_guess() -> None:
    """After a few short answers a short one is expected, whether a step or an answer was recorded first."""
    for steps in (0, 1):
        speeds = Speeds()
        for _ in range(steps):
            speeds.record("fake", STEP, answer=False)

        assert record_answers(speeds, 10) < 0.6 * GUESS
        assert record_answers(speeds, 10, 10, 10) < 0.2 * GUESS


def test_one_long_answer_counts_at_once() -> None:
    """After one long answer a long one is expected, because the deadline would cut it off otherwise."""
    speeds = Speeds()

    assert record_answers(speeds, 10, 10, 10, 900) == 900
    assert record_answers(speeds, 10) > 400
