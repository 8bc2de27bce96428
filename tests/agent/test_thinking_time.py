"""What the agent remembers of a model's speed, from which it reckons how long the answer will take."""

from typing import Final

from reasoning_grpc.agent.thinking_time import Speed, Speeds

STEP: Final = Speed(0.1, 0.01, 40)
GUESS: Final = Speed(0.1, 0.01).answer_tokens


def answered(speeds: Speeds, *tokens: int) -> float:
    """How many tokens an answer is expected to have, after answers of so many."""
    for each in tokens:
        speeds.record("fake", Speed(0.1, 0.01, each), answer=True)
    speed = speeds.get("fake")
    assert speed is not None
    return speed.answer_tokens


def test_the_guess_gives_way_to_short_answers() -> None:
    """A few short answers are enough to expect no long one, whatever came first, a step or an answer."""
    for steps in (0, 1):
        speeds = Speeds()
        for _ in range(steps):
            speeds.record("fake", STEP, answer=False)

        assert answered(speeds, 10) < 0.6 * GUESS
        assert answered(speeds, 10, 10, 10) < 0.2 * GUESS


def test_one_long_answer_is_expected_again() -> None:
    """What was long once may be so again, and would be cut by the deadline: it counts at once."""
    speeds = Speeds()

    assert answered(speeds, 10, 10, 10, 900) == 900
    assert answered(speeds, 10) > 400
