"""Routes are learned from examples: weights, calibration, and the file of a trained router."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reasoning_grpc.domain import Message, Part, Role, Text
from reasoning_grpc.evaluation import read_bundled_cases
from reasoning_grpc.router.embedding import (
    MODEL_HASH,
    EmbeddingUnusable,
    Example,
    InvalidExamples,
    load_bundled_examples,
    parse_examples,
)
from reasoning_grpc.router.embedding.conversation import describe_conversation
from reasoning_grpc.router.embedding.learning import TrainedRouter, read_trained_router, softmax
from reasoning_grpc.router.embedding.learning.logistic import Weights, cross_validate, find_temperature, fit


def make_rows(seed: int, rows: int, classes: int) -> tuple[Any, Any]:
    """Returns random features whose class shifts them, and the classes."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, rows)
    centres = generator.normal(size=(classes, 16)) * 1.5
    return centres[labels] + generator.normal(size=(rows, 16)), labels


@pytest.mark.parametrize("classes", [2, 4])
def test_the_fit_separates_what_can_be_separated(classes: int) -> None:
    """The weights predict unseen rows far better than chance, and those of shuffled labels do not."""
    features, labels = make_rows(1, 300, classes)
    shuffled = np.random.default_rng(2).permutation(labels)

    right = (cross_validate(features, labels, classes).argmax(axis=1) == labels).mean()
    by_chance = (cross_validate(features, shuffled, classes).argmax(axis=1) == shuffled).mean()

    assert right > 0.9
    assert abs(by_chance - 1 / classes) < 0.15


def test_the_fit_ends_at_the_minimum() -> None:
    """The gradient of the penalised loss at the fitted weights is less than a thousandth of that at the start."""
    features, labels = make_rows(3, 200, 3)
    weights = fit(features, labels, 3)
    counts = np.bincount(labels)
    importance = (len(labels) / (3 * counts))[labels]

    def compute_gradient(scores: Any, matrix: Any) -> Any:
        errors = (softmax(scores) - np.eye(3)[labels]) * importance[:, None]
        return np.abs(errors.T @ (features - weights.centre) + matrix).max()

    at_the_start = compute_gradient(np.zeros((200, 3)), np.zeros((3, 16)))
    assert compute_gradient(weights.score(features), weights.matrix) < at_the_start / 1000


def test_the_temperature_makes_probabilities_honest() -> None:
    """Scores that are three times too sure get the temperature that makes up for it."""
    generator = np.random.default_rng(4)
    honest = generator.normal(size=(4000, 2))
    labels = (generator.random(4000) < softmax(honest)[:, 1]).astype(int)

    assert find_temperature(honest * 3, labels) == pytest.approx(3, rel=0.1)
    assert find_temperature(honest, labels) == pytest.approx(1, rel=0.1)


def a_router() -> TrainedRouter:
    """Returns a router of three routes with random weights."""
    generator = np.random.default_rng(5)
    weights = Weights(generator.normal(size=1024), generator.normal(size=(3, 1024)), generator.normal(size=3))
    return TrainedRouter(("a", "b", "c"), weights, 2.0, 7)


def test_a_router_keeps_its_choices_in_its_file(tmp_path: Path) -> None:
    """A router that was written and read gives the same probabilities; they add up to 1 over the routes in question."""
    router, features = a_router(), np.random.default_rng(6).normal(size=1024) / 32
    file = tmp_path / "router.json"
    router.write(file)

    read = read_trained_router(file)

    for names in (("a", "b", "c"), ("c", "a"), ("b",), ("nowhere", "c", "b")):
        estimated = read.estimate(features, names)
        assert list(estimated) == [name for name in names if name != "nowhere"]
        assert sum(estimated.values()) == pytest.approx(1)
        assert estimated == pytest.approx(router.estimate(features, names), abs=1e-3)
    assert read.estimate(features, ("nowhere",)) == {}
    assert json.loads(file.read_text())["embedding_sha256"] == MODEL_HASH


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": 2}, "has the format 2"),
        ({"embedding_sha256": "0" * 64}, "was trained with another embedding"),
        ({"routes": ["a", "b"]}, "has weights that do not belong to its routes"),
        ({"bias": [1.0]}, "has weights that do not belong to its routes"),
        ({"centre": [1.0]}, "has weights that do not belong to its routes"),
        ({"temperature": 0}, "is not the file of a trained router"),
        ({"more": 1}, "is not the file of a trained router"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    """A file of another format, embedding or shape is refused with the reason."""
    file = tmp_path / "router.json"
    a_router().write(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    with pytest.raises(EmbeddingUnusable, match=problem):
        read_trained_router(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A router's file that is not there is refused with the reason."""
    with pytest.raises(EmbeddingUnusable, match="No such file"):
        read_trained_router(tmp_path / "none.json")


def test_the_bundled_examples_are_not_those_of_the_evaluation() -> None:
    """No bundled example is a prompt that measures the router, and both routes have about as many examples."""
    examples = load_bundled_examples()
    conversations = {tuple(map(read_text, example.messages)) for example in examples}
    measured = {tuple(simplify(message.content[0].text) for message in case.messages) for case in read_bundled_cases()}

    assert len(conversations) == len(examples)
    assert not conversations & measured
    counts = [sum(example.route == route for example in examples) for route in ("passthrough", "reasoning")]
    assert sum(counts) == len(examples)
    assert min(counts) > 200


def read_text(message: Message) -> str:
    """Returns the letters and digits of a message; empty when its first part is no text."""
    first = message.content[0].content
    return simplify(first.text) if isinstance(first, Text) else ""


def simplify(text: str) -> str:
    """Returns the letters and digits of a text in lower case."""
    return "".join(filter(str.isalnum, text.casefold()))


def test_a_conversation_is_described_by_its_end_and_its_opening() -> None:
    """The description has the roles of the last messages and the opening, without system messages, and is bounded."""
    turns = [(Role.SYSTEM, "Be brief."), (Role.USER, "first"), (Role.ASSISTANT, "second"), (Role.USER, "yes")]
    messages = [Message(role, (Part(Text(text)),)) for role, text in turns]

    assert describe_conversation(messages, max_messages=8) == (
        "user: first\nassistant: second\nuser: yes",
        "user: first",
    )
    assert describe_conversation(messages, max_messages=2) == ("assistant: second\nuser: yes", "user: yes")
    assert describe_conversation(messages[:1], max_messages=8) == ("system: Be brief.", "user: Be brief.")
    long = [Message(Role.USER, (Part(Text("word " * 100_000)),))] * 3
    assert max(map(len, describe_conversation(long, max_messages=8))) < 1100


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "line 1: Input data was truncated"),
        (b'{"route": "r"}', "line 1: Object missing required field `messages`"),
        (b'{"route": "", "messages": [{"role": "user", "content": "x"}]}', "line 1: has no route"),
        (b'{"route": "r", "messages": [{"role": "bot", "content": "x"}]}', "line 1: has a role that is not known"),
        (b'{"route": "r", "messages": []}', "line 1: has no text"),
        (b"\n", "holds no examples"),
    ],
)
def test_a_line_that_is_no_example_is_refused(line: bytes, problem: str) -> None:
    """A problem of a file of examples is reported with its line."""
    with pytest.raises(InvalidExamples) as refused:
        parse_examples(line)

    assert refused.value.problems == (problem,)


def test_the_prompts_of_the_evaluation_can_be_examples() -> None:
    """A file has one format, whether it measures a router or trains one; tool calls and results belong to it."""
    line = (
        b'{"id": "i", "tags": ["t"], "route": "r", "messages": [{"role": "user", "content": "time?"}, '
        b'{"role": "assistant", "tool_calls": [{"id": "c", "name": "clock", "arguments": {}}]}, '
        b'{"role": "tool", "call_id": "c", "content": "16:20"}]}'
    )

    (example,) = parse_examples(line)

    assert isinstance(example, Example)
    assert describe_conversation(example.messages, max_messages=8)[0] == (
        "user: time?\nassistant: [calls the tool clock: {}]\ntool: 16:20"
    )
