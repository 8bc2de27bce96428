"""`Speeds` remembers the speed of each model, and estimates from it how long an answer will be."""

from typing import Final

from reasoning_grpc.agent.thinking_time import Speed, Speeds

STEP: Final = Speed(0.1, 0.01, 40)
GUESS: Final = Speed(0.1, 0.01).answer_tokens


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
