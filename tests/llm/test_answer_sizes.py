"""How long the answers of a model usually are is learned from them."""

import random

from reasoning_grpc.llm.answer_sizes import AnswerSizes


def test_a_model_with_few_answers_is_not_known() -> None:
    """Before twenty answers the estimate is 1024 tokens."""
    sizes = AnswerSizes()
    for _ in range(19):
        sizes.record("m", 10)

    assert (sizes.estimate("m"), sizes.estimate("other")) == (1024, 1024)
    sizes.record("m", 10)
    assert sizes.estimate("m") == 10


def test_one_in_twenty_answers_is_longer() -> None:
    """The estimate is the 95th percentile, whatever the order of the answers."""
    sizes, answers = AnswerSizes(), list(range(1, 241))
    random.Random(3).shuffle(answers)
    for tokens in answers:
        sizes.record("m", tokens)

    assert sizes.estimate("m") == 228


def test_only_the_latest_answers_count() -> None:
    """A model whose answers become shorter is soon known as such."""
    sizes = AnswerSizes()
    for _ in range(1000):
        sizes.record("m", 5000)
    for _ in range(256):
        sizes.record("m", 50)

    assert sizes.estimate("m") == 50


def test_a_thousand_models_are_remembered() -> None:
    """When there are more models, the sizes of those that answered longest ago are forgotten."""
    sizes = AnswerSizes()
    for number in range(1001):
        for _ in range(20):
            sizes.record(f"m{number}", 10)

    assert [sizes.estimate(f"m{number}") for number in (0, 1, 1000)] == [1024, 10, 10]
